"""Read, check and write recordings: WAV, FLAC, OGG and MP3, at any rate, mono or not."""

import functools
import hashlib
import io
import logging
import math
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import soundfile
import soxr

from lightning_voiceclone.audio.containers import truncation
from lightning_voiceclone.audio.noise import band_powers, speech_over_noise, steady_noise
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.files import interruption_held, unwritable_above, whole_file

AUDIO_SUFFIXES = frozenset({".wav", ".flac", ".ogg", ".oga", ".mp3"})
SILENCE_DBFS = -60.0
BLOCK = 1 << 20  # frames decoded at once in a check, so that memory does not grow with the recording
SPECTRUM = 1024  # samples of the frames of which the bandwidth is measured
NOISE_BANDS = 16  # in which noise is looked for, up to 8 kHz: above there is hardly a voice
# Samples at the lower of two rates that soxr's HQ filter may see beyond a segment; 100 already give 1e-7.
RESAMPLING_MARGIN = 500
QUANTIZATION_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}
PathLike = str | os.PathLike[str]
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
    with _opened(path) as file:
        rate = file.samplerate
        wanted = sample_rate or rate
        step_in, step_out = rate // math.gcd(rate, wanted), wanted // math.gcd(rate, wanted)
        margin = 0 if wanted == rate else math.ceil(RESAMPLING_MARGIN * max(1, rate / wanted))
        # Decoding begins where a sample of the whole, resampled, lies exactly on one of the file's.
        units = max(0, math.floor(start * rate) - margin) // step_in
        first, last = round(start * wanted), None if end is None else round(end * wanted)
        if last is not None and last <= first:
            raise RecordingError(f"{path}: the segment from {start} s to {end} s is empty; its end must come after")
        begin = units * step_in
        audio = _decode(file, path, begin, -1 if end is None else math.ceil(end * rate) + margin - begin)
    audio = audio.mean(axis=1, dtype=np.float32) if mono else audio
    if wanted != rate and len(audio):
        audio = soxr.resample(audio, rate, wanted, quality="HQ")
    offset = units * step_out
    audio = audio[first - offset : None if last is None else last - offset]
    if not len(audio):
        raise RecordingError(f"{path}: the segment begins at {start} s, where the recording has ended")
    return np.ascontiguousarray(audio.T, dtype=np.float32), wanted


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
    path = Path(path)
    try:
        found = path.stat()
        if path.is_dir():
            raise RecordingError(f"{path}: is a folder, not a recording")
        if not found.st_size:
            raise RecordingError(f"{path}: empty file (0 bytes)")
        sha256, cut = _file_facts(path, found.st_size, found.st_mtime_ns)
    except OSError as error:
        raise RecordingError(f"{path}: {_reason(error)}") from error
    if cut:
        raise RecordingError(f"{path}: truncated: {cut}")
    with _opened(path) as file:
        frames, peak, clipped, power = _measure(file, path, start, end)
        rate, channels, subtype = file.samplerate, file.channels, file.subtype
    seconds, peak_dbfs = frames / rate, _loud_and_long(path, frames / rate, peak, min_seconds)
    bandwidth = _bandwidth(power.spectrum, rate, subtype)
    return RecordingFacts(seconds, rate, channels, bandwidth, sha256, peak_dbfs, clipped / (frames * channels),
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
    magnitude = np.abs(audio)
    peak_dbfs = _loud_and_long(name, len(audio) / sample_rate, float(magnitude.max(initial=0.0)), min_seconds)
    power = _Power(sample_rate)
    for first in range(0, len(audio), BLOCK):
        power.add(audio[first : first + BLOCK])
    clipped = int((magnitude >= 1 - 2**-15).sum()) / len(audio)
    return RecordingFacts(len(audio) / sample_rate, sample_rate, 1, _bandwidth(power.spectrum, sample_rate, "PCM_16"),
                          "", peak_dbfs, clipped, power.snr_db)  # fmt: skip


def _loud_and_long(path: PathLike, seconds: float, peak: float, min_seconds: float) -> float:
    """The peak in dB of full scale; refuses what is silent or too short."""
    peak_dbfs = 20 * math.log10(max(peak, 1e-10))
    if peak_dbfs < SILENCE_DBFS:
        raise RecordingError(f"{path}: silent: its peak is {peak_dbfs:.0f} dB of full scale, least {SILENCE_DBFS:.0f}")
    if seconds < min_seconds:
        raise RecordingError(f"{path}: too short: {seconds:.2f} s, least {min_seconds} s")
    return peak_dbfs


def _opened(path: PathLike) -> soundfile.SoundFile:
    try:
        return soundfile.SoundFile(os.fspath(path))
    except (soundfile.LibsndfileError, TypeError) as error:  # TypeError: a suffix that asks for raw samples
        if not Path(path).exists():
            raise RecordingError(f"{path}: there is no such file") from error
        if Path(path).is_dir():
            raise RecordingError(f"{path} is a folder; name the recordings in it, as {path}/*.wav") from error
        raise RecordingError(
            f"{path}: not audio that can be decoded (WAV, FLAC, OGG, MP3): {_reason(error)}"
        ) from error


def _reason(error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    told = " ".join(getattr(error, "error_string", str(error)).split())
    return told.removeprefix("Error : ").rstrip(".")


def _decode(file: soundfile.SoundFile, path: PathLike, start: int | None, frames: int) -> np.ndarray:
    """(frames, channels) from ``start``, or from where the last reading ended; -1 frames are all the rest."""
    try:
        if start is not None and start >= file.frames:
            return np.zeros((0, file.channels), np.float32)
        if start:
            file.seek(start)
        return file.read(frames, dtype="float32", always_2d=True)
    except soundfile.LibsndfileError as error:
        raise RecordingError(f"{path}: truncated or damaged: {_reason(error)}") from error


@functools.lru_cache(maxsize=64)
def _file_facts(path: Path, size: int, modified: int) -> tuple[str, str | None]:
    """SHA-256 and truncation of a file, once for all its segments; size and time of change are the cache's key."""
    with path.open("rb") as file:
        return _digest(file), truncation(path)


def _digest(file: io.BufferedReader) -> str:
    digest = hashlib.sha256()
    while chunk := file.read(BLOCK):
        digest.update(chunk)
    return digest.hexdigest()


def _blocks(file: soundfile.SoundFile, path: PathLike, first: int, last: int) -> Iterator[np.ndarray]:
    position = first
    while position < last:
        block = _decode(file, path, first if position == first else None, min(BLOCK, last - position))
        if not len(block):
            return
        position += len(block)
        yield block


def _measure(
    file: soundfile.SoundFile, path: PathLike, start: float, end: float | None
) -> tuple[int, float, int, "_Power"]:
    """Frames, peak, samples at full scale, and the power of the channels' mean."""
    rate = file.samplerate
    first, last = round(start * rate), file.frames if end is None else round(end * rate)
    if not file.frames:
        raise RecordingError(f"{path}: empty: its header is followed by no samples")
    if first >= file.frames or last > file.frames + rate // 10 or last <= first:
        length = file.frames / rate
        raise RecordingError(f"{path}: the segment from {start} s to {end} s is not within its {length:.2f} s")
    frames, peak, clipped, power = 0, 0.0, 0, _Power(rate)
    for block in _blocks(file, path, first, min(last, file.frames)):
        if not np.isfinite(block).all():
            raise RecordingError(f"{path}: has samples that are NaN or infinite")
        magnitude = np.abs(block)
        frames, peak = frames + len(block), max(peak, float(magnitude.max()))
        clipped += int((magnitude >= 1 - 2**-15).sum())
        power.add(block.mean(axis=1))
    if not frames:
        raise RecordingError(f"{path}: empty: it has no samples")
    # An MP3's own count may be an estimate; its container has been judged before.
    if (missing := min(last, file.frames) - first - frames) > 0 and file.format != "MP3":
        raise RecordingError(f"{path}: truncated: its header promises {missing} samples more than are there")
    return frames, peak, clipped, power


class _Power:
    """Powers of mono samples that come in blocks: their mean by frequency, and by bands how they move.

    Args:
        rate: samples a second.
    """

    def __init__(self, rate: int) -> None:
        self.window = np.hanning(SPECTRUM).astype(np.float32)
        self.total, self.windows = np.zeros(SPECTRUM // 2 + 1), 0
        self.rate = rate
        self.bands: list[np.ndarray] = []

    def add(self, mono: np.ndarray) -> None:
        """Take in (N,) samples."""
        self.bands.append(band_powers(mono, self.rate)[:NOISE_BANDS])
        # A window cut by the recording's end would spread over all frequencies: it is left out if it is not the only.
        whole = len(mono) // SPECTRUM * SPECTRUM
        mono = (mono[:whole] if whole else np.pad(mono, (0, SPECTRUM - len(mono)))).reshape(-1, SPECTRUM)
        self.total += (np.abs(np.fft.rfft(mono * self.window)) ** 2).sum(axis=0)
        self.windows += len(mono)

    @property
    def spectrum(self) -> np.ndarray:
        """(bins,) in which white noise of variance v is v everywhere."""
        return self.total / self.windows / float((self.window**2).sum())

    @property
    def snr_db(self) -> float:
        """Speech over steady noise."""
        bands = np.concatenate(self.bands, axis=1)
        return speech_over_noise(bands.sum(axis=0), steady_noise(bands))


def _bandwidth(spectrum: np.ndarray, rate: int, subtype: str) -> float:
    """Hz, from a power spectrum in which white noise of variance v is v everywhere."""
    bits = QUANTIZATION_BITS.get(subtype)
    # Dither triples the power of the rounding; twice as much again is room for the estimate's own spread.
    quantization = 0.0 if bits is None else 6 * 4.0 ** (1 - bits) / 12
    smooth = np.convolve(spectrum, np.ones(5) / 5, mode="same")
    above = np.flatnonzero(smooth > max(quantization, 1e-9 * smooth.max()))
    return float((above[-1] + 1 if len(above) else 0) * rate / SPECTRUM) if len(above) < len(smooth) else rate / 2
