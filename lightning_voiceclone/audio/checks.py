"""Check recordings: whether a file is whole and has sound, its bandwidth and its noise."""

import functools
import hashlib
import math
import os
from dataclasses import dataclass, field

import numpy as np

from lightning_voiceclone.audio.io import shortfall
from lightning_voiceclone.audio.mixdown import Mixdown, mixdown_of
from lightning_voiceclone.audio.opening import BLOCK, Decoder, FileKey, PathLike, decoder_of, name_of, opened_file
from lightning_voiceclone.audio.spectrum import Power, bandwidth
from lightning_voiceclone.errors import RecordingError

SILENCE_DBFS = -60.0


@dataclass(frozen=True)
class RecordingFacts:
    """Facts that a check found about a recording.

    Args:
        seconds: length of the recording, or of the segment if one was given.
        rate: samples a second of the file.
        channels: of the file.
        bandwidth_hz: above it there is nothing but the noise of quantisation, or less than -90 dB of the strongest.
        sha256: of the file's bytes, hexadecimal.
        peak_dbfs: greatest absolute sample of the mixdown in dB of full scale.
        clipped: share of samples at full scale, from 0 to 1.
        snr_db: speech over steady noise, from -20 to 60.
        mixdown: of the file.
    """

    seconds: float
    rate: int
    channels: int
    bandwidth_hz: float
    sha256: str
    peak_dbfs: float
    clipped: float
    snr_db: float
    mixdown: Mixdown = field(default_factory=Mixdown)


def check_recording(
    path: PathLike, *, min_seconds: float = 0.0, start: float = 0.0, end: float | None = None
) -> RecordingFacts:
    """Decode a recording, or a segment of it, and measure it.

    Args:
        path: of the file.
        min_seconds: shortest length that is accepted.
        start: of the segment to check, in seconds.
        end: of the segment, in seconds, or None for the rest.

    Raises:
        RecordingError: in one line, if the file is missing, empty, not audio, truncated, silent (peak of the mixdown
            below -60 dB of full scale), too short, or has samples that are not finite numbers. Clipping is a fact, not
            a fault.
    """
    name = name_of(path)
    with opened_file(path) as (stream, key):
        sha256 = _sha256(key) if key else digest_of(stream.fileno())
        with decoder_of(stream, key, name) as file:
            if reason := file.layout.truncated:
                raise RecordingError(f"{name}: truncated: {reason}")
            if file.layout.damage:
                raise RecordingError(f"{name}: damaged: {file.layout.damage}")
            mixdown = mixdown_of(file)
            frames, peak, clipped, power = _measure(file, start, end, mixdown)
    rate, channels = file.rate, file.channels
    seconds, peak_dbfs = frames / rate, _loud_and_long(name, frames / rate, peak, min_seconds)
    widest = bandwidth(power.spectrum, rate, file.subtype)
    return RecordingFacts(seconds, rate, channels, widest, sha256, peak_dbfs, clipped / (frames * channels),
                          power.snr_db, mixdown)  # fmt: skip


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
    return digest_of(key.descriptor)


def digest_of(descriptor: int) -> str:
    """SHA-256 of an open file's bytes, hexadecimal."""
    digest, position = hashlib.sha256(), 0
    while chunk := os.pread(descriptor, 1 << 20, position):
        digest.update(chunk)
        position += len(chunk)
    return digest.hexdigest()


def _measure(file: Decoder, start: float, end: float | None, mixdown: Mixdown) -> tuple[int, float, int, Power]:
    """Frames, peak of the mixdown, samples of all channels at full scale, and the power of the mixdown."""
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
        mono = mixdown(block)
        frames, peak = frames + len(block), max(peak, float(np.abs(mono).max()))
        clipped += int((np.abs(block) >= 1 - 2**-15).sum())
        power.add(mono)
    if not frames:
        raise RecordingError(f"{name}: empty: it has no samples")
    if reason := shortfall(min(last, file.frames) - first, frames):
        raise RecordingError(f"{name}: truncated: {reason}")
    return frames, peak, clipped, power
