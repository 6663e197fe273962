"""Read and write recordings: WAV, FLAC, OGG and MP3, at any rate, mono or not."""

import io
import logging
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import numpy as np
import soundfile
import soxr

from lightning_voiceclone.audio.mixdown import Mixdown, mixdown_of
from lightning_voiceclone.audio.opening import Decoder, PathLike, name_of, opened
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.utils.files import atomic_file, interruption_held, unwritable_above

# Samples at the lower of two rates that soxr's HQ filter may see beyond a segment; 100 already give 1e-7.
RESAMPLING_MARGIN = 500
logger = logging.getLogger(__name__)


def seconds_of(path: PathLike) -> float:
    """Length of a recording, by its headers, those that are wrong corrected.

    Raises:
        RecordingError: if it cannot be decoded.
    """
    with opened(path) as file:
        return file.frames / file.rate


def read_audio(
    path: PathLike,
    sample_rate: int | None = None,
    *,
    start: float = 0.0,
    end: float | None = None,
    mono: bool = True,
    mixdown: Mixdown | None = None,
) -> tuple[np.ndarray, int]:
    """Samples and their rate: float32 (N,), or (channels, N) where ``mono`` is False.

    Only the segment is decoded. It equals that slice of the whole recording resampled, because the resampler sees
    what lies around it.

    Args:
        path: of a WAV, FLAC, OGG or MP3 file.
        sample_rate: to resample to (soxr, HQ), or None for the file's own.
        start: of the segment, in seconds from the file's beginning.
        end: of the segment, in seconds; None, or beyond the file's end, for the rest.
        mono: whether to average the channels (or take one, where they cancel each other) and to subtract a constant
            offset, of the whole file; see :mod:`~lightning_voiceclone.audio.mixdown`.
        mixdown: of the file, if it is known; None to decode all of the file for it, once for each file and process.

    Raises:
        RecordingError: if the file cannot be decoded, or the segment is empty or begins after the file's end.
    """
    return _read(path, sample_rate, start, end, mono, mixdown)[:2]


def read_with_notes(path: PathLike, sample_rate: int | None = None) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """As :func:`read_audio` of the whole, and what a user should know of the file: that it is truncated, or had an
    offset.

    Returns:
        Samples (N,), their rate, and notes, a line each.

    Raises:
        RecordingError: as :func:`read_audio`.
    """
    return _read(path, sample_rate, 0.0, None, True)


def _read(
    path: PathLike, sample_rate: int | None, start: float, end: float | None, mono: bool, known: Mixdown | None = None
) -> tuple[np.ndarray, int, tuple[str, ...]]:
    name = name_of(path)
    if not 0 <= start < math.inf or (end is not None and not start < end):
        raise RecordingError(f"{name}: the segment from {start} s to {end} s is empty; its end must come after")
    with opened(path) as file:
        return _read_open(file, sample_rate, start, end, mixdown_of(file, known) if mono else None)


def read_open(file: Decoder, sample_rate: int) -> tuple[np.ndarray, tuple[str, ...]]:
    """As :func:`read_with_notes`, of a recording that is open: samples (N,) and notes."""
    audio, _, notes = _read_open(file, sample_rate, 0.0, None, mixdown_of(file))
    return audio, notes


def _read_open(
    file: Decoder, sample_rate: int | None, start: float, end: float | None, mixdown: Mixdown | None
) -> tuple[np.ndarray, int, tuple[str, ...]]:
    name, wanted = file.name, sample_rate or file.rate
    end = None if end is None or end * file.rate >= file.frames else end
    audio, decoded = segment_of(file, mixdown, wanted, start, end)
    notes = _notes(file, decoded if end is None else None) + _mixdown_notes(name, mixdown)
    if not len(audio) and not start:
        raise RecordingError(f"{name}: empty: no sound in it can be decoded")
    if not len(audio):
        raise RecordingError(f"{name}: the segment begins at {start} s, where the recording has ended")
    return np.ascontiguousarray(audio.T, dtype=np.float32), wanted, notes


class Samples(Protocol):
    """What a segment is read from: an open file, or a recording in a shard."""

    name: str
    rate: int
    channels: int

    def blocks(self, first: int, last: int | None = None) -> Iterator[np.ndarray]:
        """As :meth:`~lightning_voiceclone.audio.opening.Decoder.blocks`."""
        ...


def segment_of(
    file: Samples, mixdown: Mixdown | None, wanted: int, start: float, end: float | None
) -> tuple[np.ndarray, int | None]:
    """Samples (n,) or, without a mixdown, (n, channels) of a segment at the rate ``wanted``, and how many were decoded,
    if that began at the file's beginning.

    Args:
        file: that is open.
        mixdown: of all of it.
        wanted: in Hz.
        start: of the segment, in seconds.
        end: of the segment, in seconds; None for the file's end.

    Raises:
        RecordingError: if the segment is empty, or cannot be decoded.
    """
    first, last = round(start * wanted), None if end is None else round(end * wanted)
    if last is not None and last <= first:
        raise RecordingError(f"{file.name}: the segment from {start} s to {end} s is empty; its end must come after")
    span = math.floor(start * file.rate), None if end is None else math.ceil(end * file.rate)
    return _segment(file, mixdown, wanted, span, (first, last))


def _segment(
    file: Samples, mixdown: Mixdown | None, wanted: int, span: tuple[int, int | None], place: tuple[int, int | None]
) -> tuple[np.ndarray, int | None]:
    """Samples of a segment at the rate ``wanted``, and how many were decoded, if that began at the file's beginning.

    Args:
        file: that is open.
        mixdown: of all of the file; None keeps the channels.
        wanted: in Hz.
        span: of the file's samples that hold the segment; None for its end.
        place: of the segment, in samples at ``wanted``.
    """
    rate = file.rate
    step_in, step_out = rate // math.gcd(rate, wanted), wanted // math.gcd(rate, wanted)
    margin = 0 if wanted == rate else math.ceil(RESAMPLING_MARGIN * max(1, rate / wanted))
    # Decoding begins where a sample of the whole, resampled, lies exactly on one of the file's.
    units = max(0, span[0] - margin) // step_in
    begin = units * step_in
    audio = _decode(file, begin, None if span[1] is None else span[1] + margin, mixdown)
    decoded = len(audio) if begin == 0 else None
    if wanted != rate and len(audio):
        audio = soxr.resample(audio, rate, wanted, quality="HQ")
    offset = units * step_out
    return audio[place[0] - offset : None if place[1] is None else place[1] - offset], decoded


class Pieces:
    """Mono samples of an open recording at a rate, piece by piece; each equals that slice of the whole, resampled.

    Args:
        file: that is open.
        sample_rate: in Hz.
    """

    def __init__(self, file: Decoder, sample_rate: int) -> None:
        self._file, self._wanted, self._mixdown = file, sample_rate, mixdown_of(file)

    @property
    def notes(self) -> tuple[str, ...]:
        """What a user should know of the file, as of :func:`read_with_notes`."""
        return _notes(self._file, None) + _mixdown_notes(self._file.name, self._mixdown)

    def __call__(self, first: int, last: int) -> np.ndarray:
        """Samples (n,) float32 from ``first`` to ``last``; fewer where the recording ends.

        Raises:
            RecordingError: if what is there cannot be decoded.
        """
        rate, wanted = self._file.rate, self._wanted
        span = first * rate // wanted, -(-last * rate // wanted)
        if span[0] >= self._file.frames:
            return np.zeros(0, np.float32)
        audio, _ = _segment(self._file, self._mixdown, wanted, span, (first, last))
        return np.ascontiguousarray(audio, np.float32)


def _mixdown_notes(name: str, mixdown: Mixdown | None) -> tuple[str, ...]:
    return () if mixdown is None else tuple(f"{name}: {note}" for note in mixdown.notes)


def _decode(file: Samples, first: int, last: int | None, mixdown: Mixdown | None) -> np.ndarray:
    """(N,) or, without a mixdown, (N, channels) samples."""
    blocks = [block if mixdown is None else mixdown(block) for block in file.blocks(first, last)]
    if not blocks:
        return np.zeros((0, file.channels) if mixdown is None else 0, np.float32)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _notes(file: Decoder, frames: int | None) -> tuple[str, ...]:
    """Notes on a file for the user; ``frames`` is the length of the decoded file, or None for a segment."""
    notes = []
    if reason := file.layout.truncated or (None if frames is None else shortfall(file.frames, frames)):
        notes.append(f"{file.name} is truncated: {reason}; what is there is used")
    if file.layout.damage:
        notes.append(f"{file.name} is damaged: {file.layout.damage}; the rest is used")
    if file.layout.remark:
        notes.append(f"{file.name}: {file.layout.remark}")
    return tuple(notes)


def shortfall(promised: int, frames: int) -> str | None:
    """Why a recording is truncated of which fewer samples decoded than its header promises."""
    if frames >= promised:
        return None
    return f"its header promises {promised - frames} samples more than are there"


def write_audio(path: PathLike, audio: np.ndarray, sample_rate: int, *, durable: bool = True) -> None:
    """Write 16-bit WAV or FLAC, by the path's suffix; the file appears whole or not at all.

    Args:
        path: ending in .wav or .flac; parent folders are created.
        audio: (N,) or (channels, N) in [-1, 1]; what lies beyond is clipped, with a warning in the log.
        sample_rate: in Hz.
        durable: as of :func:`~lightning_voiceclone.utils.files.atomic_file`.

    Raises:
        ConfigurationError: if the suffix is another one, or samples are not finite numbers.
        OSError: if the file cannot be written (for example because the disk is full).
    """
    path = Path(path)
    container = _container(path)
    audio = np.asarray(audio, dtype=np.float32)
    if not np.isfinite(audio).all():
        raise ConfigurationError(f"{path}: not written, because samples are NaN or infinite; look at what made them")
    peak = float(np.abs(audio).max(initial=0.0))
    if peak > 1.0:
        logger.warning("%s: clipped, because samples reach %.3f; full scale is 1", path, peak)
    samples = to_16_bits(audio.T)
    encoded = io.BytesIO()  # so that a full disk is Python's own OSError, with its number, not a decoder's message
    with interruption_held():
        soundfile.write(encoded, samples, sample_rate, subtype="PCM_16", format=container)
    with atomic_file(path, durable=durable) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def to_16_bits(audio: np.ndarray) -> np.ndarray:
    """Samples in [-1, 1] as 16-bit integers; what lies beyond is clipped."""
    return np.clip(np.round(audio * 32768.0), -32768, 32767).astype(np.int16)


def check_writable(path: PathLike) -> None:
    """Reject a path that :func:`write_audio` cannot write to: call it before work that takes long.

    Raises:
        ConfigurationError: if its suffix is neither .wav nor .flac, or nothing may be written there.
    """
    path = Path(path)
    if path.is_dir():
        raise ConfigurationError(f"{path} cannot be written: a folder is there; name another file")
    if (above := unwritable_above(path)) is not None:
        raise ConfigurationError(
            f"{path} cannot be written: {above} is no folder that you may write to; name another file"
        )
    if path.exists() and not path.stat().st_mode & 0o222:
        raise ConfigurationError(f"{path} is there already and is write-protected; name another file")
    _container(path)


def _container(path: Path) -> str:
    """WAV or FLAC, by the suffix."""
    if path.suffix.lower() not in {".wav", ".flac"}:
        wanted = path.suffix or "a file without suffix"
        raise ConfigurationError(f"{path}: cannot write {wanted}; name it .wav or .flac")
    return path.suffix[1:].upper()
