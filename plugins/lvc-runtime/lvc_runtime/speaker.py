"""The target speaker: analysed references, and the ``.voice`` file that keeps them, which the toolkit reads too."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lvc_runtime.chunks import Array
from lvc_runtime.errors import RuntimeFailure

SUFFIX = ".voice"
FORMAT = 1
GREATEST_BYTES = 1 << 28
TYPES = {"F32": np.float32, "I64": np.int64}
FIELDS = {"lengths": (1, "I64"), "speaker": (2, "F32"), "frames": (3, "F32"), "content": (3, "F32"),
          "register": (1, "F32")}  # fmt: skip


@dataclass(frozen=True)
class Speaker:
    """A target speaker: references that were analysed once, for any number of conversions.

    Args:
        length: R, frames of the references.
        model_sha256: hash of the encoders that made it; another model's speaker is refused.
        speaker: (1, D) embedding, or None.
        frames: (1, R, F) features, normalised, or None.
        content: (1, C, R) content of each frame, or None.
        register: (1,) median of f0 in Hz, or None.
    """

    length: int
    model_sha256: str
    speaker: Array | None = None
    frames: Array | None = None
    content: Array | None = None
    register: Array | None = None

    def fields(self) -> dict[str, Array]:
        """By the generator's names, those that there are."""
        named = {"speaker": self.speaker, "reference_frames": self.frames, "reference_content": self.content}
        return {name: value for name, value in named.items() if value is not None}

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the speaker to a file, in the format of safetensors.

        Raises:
            RuntimeFailure: if the path does not end in ``.voice``, or cannot be written.
        """
        path = Path(path)
        if path.suffix != SUFFIX:
            raise RuntimeFailure(f"{path}: a speaker is saved as {SUFFIX}; name it {path.stem}{SUFFIX}")
        arrays = {"lengths": np.array([self.length], np.int64), "speaker": self.speaker, "frames": self.frames,
                  "content": self.content, "register": self.register}  # fmt: skip
        header: dict[str, object] = {
            "__metadata__": {"speaker": json.dumps({"format": FORMAT, "model_sha256": self.model_sha256})}
        }
        blocks, place = [], 0
        for name, value in arrays.items():
            if value is None:
                continue
            block = np.ascontiguousarray(value).tobytes()
            header[name] = {"dtype": FIELDS[name][1], "shape": value.shape, "data_offsets": [place, place + len(block)]}
            blocks, place = [*blocks, block], place + len(block)
        text = json.dumps(header).encode()
        text += b" " * (-len(text) % 8)
        temporary = path.with_name(f".{path.name}.{os.getpid()}")
        try:
            temporary.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blocks))
            os.replace(temporary, path)
        except OSError as error:
            temporary.unlink(missing_ok=True)
            raise RuntimeFailure(f"{path} cannot be written: {error.strerror}; name another path") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str]) -> "Speaker":
        """Read a file of :meth:`save`, or of the toolkit. No code of the file runs.

        Raises:
            RuntimeFailure: if the file is missing, damaged, or no speaker.
        """
        path = Path(path)
        if not path.is_file():
            raise RuntimeFailure(f"{path}: there is no such file; Speaker.save writes one")
        if path.stat().st_size > GREATEST_BYTES:
            raise RuntimeFailure(f"{path}: larger than any speaker ({path.stat().st_size} bytes); save it again")
        try:
            content = path.read_bytes()
            size = int.from_bytes(content[:8], "little")
            header = json.loads(content[8 : 8 + size])
            stated = json.loads(header.pop("__metadata__")["speaker"])
            arrays = {name: _array(name, entry, content[8 + size :]) for name, entry in header.items()}
            length = int(arrays.pop("lengths")[0])
            made = cls(length, str(stated["model_sha256"]), **arrays)
            stated_format = stated.get("format")
        except (ValueError, TypeError, KeyError, IndexError, AttributeError, RecursionError, OSError) as error:
            raise RuntimeFailure(f"{path} is no speaker, or is damaged; Speaker.save writes one") from error
        if stated_format != FORMAT:
            raise RuntimeFailure(f"{path} has format {stated_format!r}, this version reads {FORMAT}")
        return made


def _array(name: str, entry: dict, data: bytes) -> np.ndarray:
    axes, kind = FIELDS[name]
    begin, end = entry["data_offsets"]
    value = np.frombuffer(data[begin:end], TYPES[kind]).reshape(entry["shape"])
    if entry["dtype"] != kind or value.ndim != axes:
        raise ValueError(name)
    return value.copy()
