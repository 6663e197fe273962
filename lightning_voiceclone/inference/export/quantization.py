"""Exported graphs with 8-bit weights, which ONNX Runtime multiplies in 8 bits."""

import json
import logging
from pathlib import Path

from lightning_voiceclone.errors import PluginError
from lightning_voiceclone.inference.export.folder import DESCRIPTION
from lightning_voiceclone.utils.files import atomic_folder
from lightning_voiceclone.utils.optional import file_sha256, need

OPERATORS = ["MatMul", "Gemm"]
# Content and generator lose nothing in 8 bits that two pairs show. The speaker encoder is run once a speaker.
# A convolution of features stays in single precision: in 8 bits these lose the content (cosine 0.976 to that in single
# precision, 0.9999 without). So an encoder computes its first one as a convolution, and not as a product.
GRAPHS = tuple(f"{part}{last}.onnx" for part in ("content_encoder", "generator") for last in ("", ".last"))
# With one scale for all of an input, a vocoder's phase is noise (similarity 0.83 to 0.80, DNSMOS 2.88 to 2.64). With a
# scale for each block of it, and the first layer and the inverse transform in single precision, the error is 32 dB
# below the sound.
VOCODERS = ("vocoder.onnx", "vocoder.last.onnx")
BLOCK, IN_8_BITS = 32, 4  # the latter is ONNX Runtime's number for computing in 8 bits
BLOCKS_FORMAT = 3  # of a folder with such blocks, which need ONNX Runtime 1.23
FUSED = (*GRAPHS, "generator.reference.onnx", *VOCODERS)


def quantize_export(folder: Path, output: Path) -> None:
    """Write an export that computes matrix products in 8 bits (dynamic quantisation).

    In the content encoder and the generator each column of a weight has a scale of its own, and so has each input as it
    comes; in the dense layers of a vocoder with a state each block of 32 of both has. That is faster for the few steps
    of a chunk, and slower for many. Everything else stays in single precision. Operations of the graphs of each chunk
    are joined where ONNX Runtime has one for several: done here, it need not be done each time a folder is loaded.

    Args:
        folder: of ``lvc export``.
        output: folder to write; one that is there is replaced.

    Raises:
        OSError: if it cannot be written.
        PluginError: if onnx is not installed.
    """
    need("lvc_runtime", "onnx")
    try:
        import onnxruntime.quantization  # noqa: F401
    except ImportError as error:
        raise PluginError(f"--bits 8 needs the package onnx ({error}); pip install onnx") from error
    described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    in_blocks = described["parts"].get("vocoder", {}).get("stateful", False)
    described["format"] = max(described["format"], BLOCKS_FORMAT if in_blocks else 0)
    logging.getLogger().addFilter(_no_advice)
    try:
        with atomic_folder(output) as temporary:
            for name in described["files"]:
                if name in GRAPHS:
                    _in_columns(folder / name, temporary / name)
                elif name in VOCODERS and in_blocks:
                    _in_blocks(folder / name, temporary / name, described["spec"]["channels"])
                else:
                    (temporary / name).write_bytes((folder / name).read_bytes())
                if name in FUSED:
                    _fuse(temporary / name)
            described["files"] = {name: file_sha256(temporary / name) for name in described["files"]}
            (temporary / DESCRIPTION).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    finally:
        logging.getLogger().removeFilter(_no_advice)


def _in_columns(path: Path, output: Path) -> None:
    """Write a graph whose products have a scale for each column of the weight, and one for the input."""
    from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic

    quant_pre_process(path, output, skip_symbolic_shape=True)  # folds constants
    # Signed weights overflow 16 bits in processors without VNNI: three times the error, no faster.
    quantize_dynamic(output, output, weight_type=QuantType.QUInt8, per_channel=True, op_types_to_quantize=OPERATORS)


def _in_blocks(path: Path, output: Path, channels: int) -> None:
    """Write a graph whose dense layers, but for the first, have a scale for each block of the weight and the input.

    A product with as many rows as there are ``channels`` of features is the envelope of the bins, and stays as it is.
    """
    import onnx
    from onnxruntime.quantization import quant_pre_process
    from onnxruntime.quantization.matmul_nbits_quantizer import MatMulNBitsQuantizer

    quant_pre_process(path, output, skip_symbolic_shape=True)
    model = onnx.load(output)
    weights = {weight.name: list(weight.dims) for weight in model.graph.initializer}
    biased = {name for node in model.graph.node if node.op_type == "Add" for name in node.input}
    products = [node for node in model.graph.node if node.op_type == "MatMul"]
    dense = [node.name for node in products
             if node.output[0] in biased and (rows := weights.get(node.input[1], [1])[0]) % BLOCK == 0
             and rows != channels]  # fmt: skip
    others = [node.name for node in products if node.name not in dense[1:]]
    quantizer = MatMulNBitsQuantizer(model, bits=8, block_size=BLOCK, is_symmetric=True,
                                     accuracy_level=IN_8_BITS, nodes_to_exclude=others)  # fmt: skip
    quantizer.process()
    quantizer.model.save_model_to_file(str(output))


def _fuse(path: Path) -> None:
    """Write a graph anew with the operations joined that the runtime's own level, which is quicker, leaves apart."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    fused = path.with_suffix(".fused")
    options.optimized_model_filepath = str(fused)
    onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    fused.replace(path)


def _no_advice(record: logging.LogRecord) -> bool:
    return "pre-processing before quantization" not in record.getMessage()
