"""Exported graphs with 8-bit weights, which ONNX Runtime multiplies in 8 bits."""

import json
import logging
from pathlib import Path

from lightning_voiceclone.errors import PluginError
from lightning_voiceclone.inference.export.folder import DESCRIPTION
from lightning_voiceclone.utils.files import atomic_folder
from lightning_voiceclone.utils.optional import file_sha256, need

OPERATORS = ["MatMul", "Gemm"]
# In 8 bits the vocoder's phase is noise (similarity 0.83 to 0.80, DNSMOS 2.88 to 2.64); content and generator lose
# nothing that two pairs show. The speaker encoder is run once a speaker.
# A convolution of features stays in single precision: in 8 bits these lose the content (cosine 0.976 to that in single
# precision, 0.9999 without). So an encoder computes its first one as a convolution, and not as a product.
GRAPHS = tuple(f"{part}{last}.onnx" for part in ("content_encoder", "generator") for last in ("", ".last"))
FUSED = (*GRAPHS, "generator.reference.onnx", "vocoder.onnx", "vocoder.last.onnx")


def quantize_export(folder: Path, output: Path) -> None:
    """Write an export whose content encoder and generator compute matrix products in 8 bits (dynamic quantisation).

    Each column of a weight has a scale of its own, and so has each input as it comes; everything else stays in single
    precision. Operations of the graphs of each chunk are joined where ONNX Runtime has one for several, which is worth
    the time here, and not each time a folder is loaded.

    Args:
        folder: of ``lvc export``.
        output: folder to write; one that is there is replaced.

    Raises:
        OSError: if it cannot be written.
        PluginError: if onnx is not installed.
    """
    need("lvc_runtime", "onnx")
    try:
        from onnxruntime.quantization import QuantType, quant_pre_process, quantize_dynamic
    except ImportError as error:
        raise PluginError(f"--bits 8 needs the package onnx ({error}); pip install onnx") from error
    described = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
    logging.getLogger().addFilter(_no_advice)
    try:
        with atomic_folder(output) as temporary:
            for name in described["files"]:
                if name in GRAPHS:
                    quant_pre_process(folder / name, temporary / name, skip_symbolic_shape=True)  # folds constants
                    # Signed weights overflow 16 bits in processors without VNNI: three times the error, no faster.
                    quantize_dynamic(temporary / name, temporary / name, weight_type=QuantType.QUInt8,
                                     per_channel=True, op_types_to_quantize=OPERATORS)  # fmt: skip
                else:
                    (temporary / name).write_bytes((folder / name).read_bytes())
                if name in FUSED:
                    _fuse(temporary / name)
            described["files"] = {name: file_sha256(temporary / name) for name in described["files"]}
            (temporary / DESCRIPTION).write_text(json.dumps(described, indent=1) + "\n", encoding="utf-8")
    finally:
        logging.getLogger().removeFilter(_no_advice)


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
