"""Read, check and write recordings: WAV, FLAC, OGG and MP3, at any rate, mono or not."""

import functools
import hashlib
import io
import logging
import math
import os
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from lightning_voiceclone.audio.opening import (
    BLOCK,
    Decoder,
    FileKey,
    PathLike,
    decoder_of,
    name_of,
    opened,
    opened_file,
)
from lightning_voiceclone.audio.spectrum import Power, bandwidth
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.files import interruption_held, unwritable_above, whole_file

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".mp3"})
SILENCE_DBFS = -60.0
# Samples at the lower of two rates that soxr's HQ filter may see beyond a segment; 100 already give 1e-7.
RESAMPLING_MARGIN = 500
logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class RecordingFacts:
    """What a check found out.

    Args:
        seconds: length, of the segment where one was asked for.
        rate: samples a second of the file.
        channels: of the file.
        bandwidth_hz: above it there is nothing but the noise of quantisation, or less than -90 dB of the strongest.
        sha256: of the file's bytes, hexadecimal.
        peak_dbfs: greatest absolute sample in dB below full scale.
        clipped: share of samples at full scale, from 0 to 1.
        snr_db: speech over steady noise, from -20 to 60.
    """

    seconds: float
    rate: int
    channels: int
    bandwidth_hz: float
    sha256: str
    peak_dbfs: float
    clipped: float
    snr_db: float


def recordings_below(folder: PathLike) -> list[Path]:
    """Paths of what can be decoded below a folder, at any depth, in order; nothing that is hidden."""
    folder = Path(folder)
    found = (path for path in folder.rglob("*") if path.suffix.lower() in AUDIO_SUFFIXES)
    return sorted(path for path in found if not any(part.startswith(".") for part in path.relative_to(folder).parts))


def seconds_of(path: PathLike) -> float:
    """Length of a recording, by its headers, those that are wrong corrected.

    Raises:
        RecordingError: if it cannot be decoded.
    """
    with opened(path) as file:
        return file.frames / file.rate


def read_audio(
    path: PathLike, sample_rate: int | None = None, *, start: float = 0.0, end: float | None = None, mono: bool = True
) -> tuple[np.ndarray, int]:
    """Samples and their rate: float32 (N,), or (channels, N) where ``mono`` is False.

    Only the segment is decoded. It equals that slice of the whole recording resampled, because the resampler sees
    what lies around it.

    Args:
        path: of a WAV, FLAC, OGG or MP3 file.
        sample_rate: to resample to (soxr, HQ), or None for the file's own.
        start: of the segment, in seconds from the file's beginning.
        end: of the segment, in seconds; None, or beyond the file's end, for the rest.
        mono: whether to average the channels.

    Raises:
        RecordingError: if the file cannot be decoded, or the segment is empty or begins after the file's end.
    """
    return _read(path, sample_rate, start, end, mono)[:2]


def read_with_notes(path: PathLike, sample_rate: int | None = None) -> tuple[np.ndarray, int, tuple[str, ...]]:
    """As :func:`read_audio` of the whole, and what a user should know of the file: that it is truncated, say.

    Returns:
        Samples (N,), their rate, and notes, a line each.

    Raises:
        RecordingError: as :func:`read_audio`.
    """
    return _read(path, sample_rate, 0.0, None, True)


def _read(
    path: PathLike, sample_rate: int | None, start: float, end: float | None, mono: bool
) -> tuple[np.ndarray, int, tuple[str, ...]]:
    name = name_of(path)
    if not 0 <= start < math.inf or (end is not None and not start < end):
        raise RecordingError(f"{name}: the segment from {start} s to {end} s is empty; its end must come after")
    with opened(path) as file:
        rate = file.rate
        wanted = sample_rate or rate
        step_in, step_out = rate // math.gcd(rate, wanted), wanted // math.gcd(rate, wanted)
        margin = 0 if wanted == rate else math.ceil(RESAMPLING_MARGIN * max(1, rate / wanted))
        # Decoding begins where a sample of the whole, resampled, lies exactly on one of the file's.
        units = max(0, math.floor(start * rate) - margin) // step_in
        end = None if end is None or end * rate >= file.frames else end
        first, last = round(start * wanted), None if end is None else round(end * wanted)
        if last is not None and last <= first:
            raise RecordingError(f"{name}: the segment from {start} s to {end} s is empty; its end must come after")
        begin = units * step_in
        audio = _decode(file, begin, None if end is None else math.ceil(end * rate) + margin, mono)
        notes = _notes(file, len(audio) if begin == 0 and end is None else None)
    if wanted != rate and len(audio):
        audio = soxr.resample(audio, rate, wanted, quality="HQ")
    offset = units * step_out
    audio = audio[first - offset : None if last is None else last - offset]
    if not len(audio) and not start:
        raise RecordingError(f"{name}: empty: no sound in it can be decoded")
    if not len(audio):
        raise RecordingError(f"{name}: the segment begins at {start} s, where the recording has ended")
    return np.ascontiguousarray(audio.T, dtype=np.float32), wanted, notes


def _decode(file: Decoder, first: int, last: int | None, mono: bool) -> np.ndarray:
    """(N,) or (N, channels) samples."""
    blocks = [_mono(block) if mono else block for block in file.blocks(first, last)]
    if not blocks:
        return np.zeros(0 if mono else (0, file.channels), np.float32)
    return blocks[0] if len(blocks) == 1 else np.concatenate(blocks)


def _mono(block: np.ndarray) -> np.ndarray:
    return block[:, 0] if block.shape[1] == 1 else block.mean(axis=1, dtype=np.float32)


def _notes(file: Decoder, frames: int | None) -> tuple[str, ...]:
    """What a user should know of a file; ``frames`` that the whole of it decoded to, or None for a segment."""
    notes = []
    if reason := file.layout.truncated or (None if frames is None else _shortfall(file.frames, frames)):
        notes.append(f"{file.name} is truncated: {reason}; what is there is used")
    if file.layout.damage:
        notes.append(f"{file.name} is damaged: {file.layout.damage}; the rest is used")
    if file.layout.remark:
        notes.append(f"{file.name}: {file.layout.remark}")
    return tuple(notes)


def _shortfall(promised: int, frames: int) -> str | None:
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
        durable: as of :func:`~lightning_voiceclone.files.whole_file`.

    Raises:
        ConfigurationError: if the suffix is another one, or samples are not finite numbers.
        OSError: if the file cannot be written (a full disk, say).
    """
    path = Path(path)
    container = _container(path)
    audio = np.asarray(audio, dtype=np.float32)
    if not np.isfinite(audio).all():
        raise ConfigurationError(f"{path}: not written, because samples are NaN or infinite; look at what made them")
    peak = float(np.abs(audio).max(initial=0.0))
    if peak > 1.0:
        logger.warning("%s: clipped, because samples reach %.3f; full scale is 1", path, peak)
    samples = np.clip(np.round(audio.T * 32768.0), -32768, 32767).astype(np.int16)
    encoded = io.BytesIO()  # so that a full disk is Python's own OSError, with its number, not a decoder's message
    with interruption_held():
        soundfile.write(encoded, samples, sample_rate, subtype="PCM_16", format=container)
    with whole_file(path, durable=durable) as temporary:
        temporary.write_bytes(encoded.getbuffer())


def check_writable(path: PathLike) -> None:
    """Refuse a name that :func:`write_audio` cannot write to: before the work, if that takes long.

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
    """WAV or FLAC, as the suffix says."""
    if path.suffix.lower() not in {".wav", ".flac"}:
        wanted = path.suffix or "a file without suffix"
        raise ConfigurationError(f"{path}: cannot write {wanted}; name it .wav or .flac")
    return path.suffix[1:].upper()


def check_recording(
    path: PathLike, *, min_seconds: float = 0.0, start: float = 0.0, end: float | None = None
) -> RecordingFacts:
    """Decode a recording, or a segment of it, and say what it is.

    Args:
        path: of the file.
        min_seconds: shortest length that is accepted.
        start: of the segment to judge, in seconds.
        end: of the segment, in seconds, or None for the rest.

    Raises:
        RecordingError: in one line, if the file is missing, empty, not audio, truncated, silent (peak below -60 dB of
            full scale), too short, or has samples that are not finite numbers. Clipping is a fact, not a fault.
    """
    name = name_of(path)
    with opened_file(path) as (stream, key):
        sha256 = _sha256(key) if key else _digest(stream.fileno())
        with decoder_of(stream, key, name) as file:
            if reason := file.layout.truncated:
                raise RecordingError(f"{name}: truncated: {reason}")
            if file.layout.damage:
                raise RecordingError(f"{name}: damaged: {file.layout.damage}")
            frames, peak, clipped, power = _measure(file, start, end)
    rate, channels = file.rate, file.channels
    seconds, peak_dbfs = frames / rate, _loud_and_long(name, frames / rate, peak, min_seconds)
    widest = bandwidth(power.spectrum, rate, file.subtype)
    return RecordingFacts(seconds, rate, channels, widest, sha256, peak_dbfs, clipped / (frames * channels),
                          power.snr_db)  # fmt: skip


def check_samples(audio: np.ndarray, sample_rate: int, name: str, *, min_seconds: float = 0.0) -> RecordingFacts:
    """As :func:`check_recording` of a mono 16-bit WAV with these samples, which is on no disk and has no hash.

    Args:
        audio: (N,) float32 in [-1, 1], of 16-bit numbers.
        sample_rate: in Hz.
        name: of the recording, for errors.
        min_seconds: shortest length that is accepted.

    Raises:
        RecordingError: if it is silent, too short, or has samples that are not finite numbers.
    """
    if not np.isfinite(audio).all():
        raise RecordingError(f"{name}: has samples that are NaN or infinite")
    magnitude, seconds = np.abs(audio), len(audio) / sample_rate
    peak_dbfs = _loud_and_long(name, seconds, float(magnitude.max(initial=0.0)), min_seconds)
    power = Power(sample_rate)
    for first in range(0, len(audio), BLOCK):
        power.add(audio[first : first + BLOCK])
    clipped = int((magnitude >= 1 - 2**-15).sum()) / len(audio)
    widest = bandwidth(power.spectrum, sample_rate, "PCM_16")
    return RecordingFacts(seconds, sample_rate, 1, widest, "", peak_dbfs, clipped, power.snr_db)


def _loud_and_long(name: str, seconds: float, peak: float, min_seconds: float) -> float:
    """The peak in dB of full scale; refuses what is silent or too short."""
    peak_dbfs = 20 * math.log10(max(peak, 1e-10))
    if peak_dbfs < SILENCE_DBFS:
        raise RecordingError(f"{name}: silent: its peak is {peak_dbfs:.0f} dB of full scale, least {SILENCE_DBFS:.0f}")
    if seconds < min_seconds:
        raise RecordingError(f"{name}: too short: {seconds:.2f} s, least {min_seconds} s")
    return peak_dbfs


@functools.lru_cache(maxsize=64)
def _sha256(key: FileKey) -> str:
    """SHA-256 of a file, once for all its segments."""
    return _digest(key.descriptor)


def _digest(descriptor: int) -> str:
    digest, position = hashlib.sha256(), 0
    while chunk := os.pread(descriptor, 1 << 20, position):
        digest.update(chunk)
        position += len(chunk)
    return digest.hexdigest()


def _measure(file: Decoder, start: float, end: float | None) -> tuple[int, float, int, Power]:
    """Frames, peak, samples at full scale, and the power of the channels' mean."""
    rate, name = file.rate, file.name
    first, last = round(start * rate), file.frames if end is None else round(end * rate)
    if not file.frames:
        raise RecordingError(f"{name}: empty: its header is followed by no samples")
    if first >= file.frames or last > file.frames + rate // 10 or last <= first:
        length = file.frames / rate
        raise RecordingError(f"{name}: the segment from {start} s to {end} s is not within its {length:.2f} s")
    frames, peak, clipped, power = 0, 0.0, 0, Power(rate)
    for block in file.blocks(first, last):
        if not np.isfinite(block).all():
            raise RecordingError(f"{name}: has samples that are NaN or infinite")
        magnitude = np.abs(block)
        frames, peak = frames + len(block), max(peak, float(magnitude.max()))
        clipped += int((magnitude >= 1 - 2**-15).sum())
        power.add(_mono(block))
    if not frames:
        raise RecordingError(f"{name}: empty: it has no samples")
    if reason := _shortfall(min(last, file.frames) - first, frames):
        raise RecordingError(f"{name}: truncated: {reason}")
    return frames, peak, clipped, power
