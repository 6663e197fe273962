"""A tiny Whisper model in the files of CTranslate2, with random weights: for tests without the real one."""

import struct
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

WIDTH, HIDDEN, POSITIONS = 128, 32, 100  # of the encoder's states, of its dense layers, and 2 seconds
TYPES = {1: np.int8, 4: np.float16}


def write_whisper(folder: Path, *, spec: str = "WhisperSpec", blocks: int = 2, kind: int = 4) -> str:
    """Write the model's file into the folder, and return the folder as WhisperContentEncoder takes it.

    Args:
        folder: where to.
        spec: model type that the file states.
        blocks: of the encoder.
        kind: CTranslate2's number of the weights' type: 4 for float16, 1 for int8.
    """
    rng = np.random.default_rng(0)
    shapes: dict[str, tuple[int, ...]] = {
        "conv1/weight": (WIDTH, 80, 3), "conv1/bias": (WIDTH,), "conv2/weight": (WIDTH, WIDTH, 3),
        "conv2/bias": (WIDTH,), "layer_norm/gamma": (WIDTH,), "layer_norm/beta": (WIDTH,),
        "position_encodings/encodings": (POSITIONS, WIDTH),
    }  # fmt: skip
    for index in range(blocks):
        of_block: dict[str, tuple[int, ...]] = {
            "self_attention/layer_norm/gamma": (WIDTH,), "self_attention/layer_norm/beta": (WIDTH,),
            "self_attention/linear_0/weight": (3 * WIDTH, WIDTH), "self_attention/linear_0/bias": (3 * WIDTH,),
            "self_attention/linear_1/weight": (WIDTH, WIDTH), "self_attention/linear_1/bias": (WIDTH,),
            "ffn/layer_norm/gamma": (WIDTH,), "ffn/layer_norm/beta": (WIDTH,),
            "ffn/linear_0/weight": (HIDDEN, WIDTH), "ffn/linear_0/bias": (HIDDEN,),
            "ffn/linear_1/weight": (WIDTH, HIDDEN), "ffn/linear_1/bias": (WIDTH,),
        }  # fmt: skip
        shapes |= {f"layer_{index}/{name}": shape for name, shape in of_block.items()}
    arrays = [_array(f"encoder/{name}", 0.2 * rng.standard_normal(shape), kind) for name, shape in shapes.items()]
    arrays.append(_array("decoder/embeddings/weight", rng.standard_normal((4, 4)), 4))
    name = spec.encode() + b"\0"
    text = struct.pack("<IH", 6, len(name)) + name + struct.pack("<II", 3, len(arrays)) + b"".join(arrays)
    (folder / "model.bin").write_bytes(text + struct.pack("<I", 0))
    return str(folder)


def _array(name: str, values: NDArray[np.float64], kind: int) -> bytes:
    data = np.asarray(values, TYPES[kind])
    encoded = name.encode() + b"\0"
    head = struct.pack("<H", len(encoded)) + encoded + struct.pack("<B", data.ndim)
    return head + struct.pack(f"<{data.ndim}I", *data.shape) + struct.pack("<BI", kind, data.nbytes) + data.tobytes()
