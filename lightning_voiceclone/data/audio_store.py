"""Sources of audio samples: files, or memory without a copy on disk."""

import contextlib
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
import soxr
from numpy.typing import NDArray

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.audio.mixdown import Mixdown

FULL_SCALE = 32768.0  # of 16-bit samples


def quantize(audio: NDArray[np.float32]) -> NDArray[np.int16]:
    """Samples in [-1, 1] as 16-bit numbers; what lies beyond is clipped."""
    return (audio * FULL_SCALE).round().clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)


class AudioStore(Protocol):
    """Recordings by name; the names are the paths of a manifest.

    Where ``decoded`` is true, a segment at the recording's own rate is read without decoding, so that a cache of whole
    recordings would only take memory.
    """

    decoded: bool

    def read(self, name: str, sample_rate: int, start: float, end: float) -> NDArray[np.float32]:
        """Mono samples (N,) in [-1, 1] of a segment.

        Args:
            name: of the recording.
            sample_rate: in Hz, to which it is resampled.
            start: of the segment, in seconds from the recording's beginning.
            end: of the segment, likewise.

        Raises:
            RecordingError: if it cannot be read.
        """
        ...


class FileStore:
    """Recordings in files.

    Args:
        root: folder to which their names are relative.
        mixdowns: by name, of the files that need more than the mean of their channels; None where they are not known,
            and a file is decoded once to determine its own.
        written: time at which the mixdowns were determined, in seconds since 1970; files that changed later are
            decoded to determine theirs again.
    """

    decoded = False

    def __init__(self, root: Path, mixdowns: Mapping[str, Mixdown] | None = None, written: float = math.inf) -> None:
        self.root = root
        self.mixdowns = mixdowns
        self.written = written

    def read(self, name: str, sample_rate: int, start: float, end: float) -> NDArray[np.float32]:
        """As :class:`AudioStore`; only the segment is decoded."""
        path = self.root / name
        return read_audio(path, sample_rate, start=start, end=end, mixdown=self._mixdown(name, path))[0]

    def _mixdown(self, name: str, path: Path) -> Mixdown | None:
        if self.mixdowns is None:
            return None
        with contextlib.suppress(OSError):  # reading it raises the error
            if path.stat().st_mtime >= self.written:
                return None
        return self.mixdowns.get(name, Mixdown())


class MemoryStore:
    """Recordings in memory, as 16-bit samples like those of a file.

    Args:
        recordings: mono samples (N,) in [-1, 1], by name.
        sample_rate: of all, in Hz.
    """

    decoded = False  # a segment takes a copy of the whole

    def __init__(self, recordings: Mapping[str, NDArray[np.float32]], sample_rate: int) -> None:
        self.sample_rate = sample_rate
        self._kept = {name: quantize(audio) for name, audio in recordings.items()}

    def read(self, name: str, sample_rate: int, start: float, end: float) -> NDArray[np.float32]:
        """As :class:`AudioStore`.

        Raises:
            KeyError: if there is no recording of that name.
        """
        audio = self._kept[name].astype(np.float32) / FULL_SCALE
        if sample_rate != self.sample_rate:
            audio = soxr.resample(audio, self.sample_rate, sample_rate, quality="HQ")
        return audio[round(start * sample_rate) : round(end * sample_rate)]
