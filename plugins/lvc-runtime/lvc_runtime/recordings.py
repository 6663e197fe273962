"""Recordings: read as mono at the model's rate, check, bring to a usual level, sample a long one, write."""

import math
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import soundfile
import soxr

from lvc_runtime.chunks import Array
from lvc_runtime.errors import RuntimeFailure

Note = Callable[[str], None]
Recording = str | os.PathLike[str] | tuple[Array, int]
LOUDEST, QUIETEST, USUAL = 2.0, 0.01, 0.5  # peaks; MP3 decoders overshoot full scale by a fifth
SILENT = 1e-3
LEAST_REFERENCE_SECONDS, MOST_REFERENCE_SECONDS = 0.5, 60.0
LONGEST_SECONDS = 60.0  # of a source that is converted as a whole; of a longer one, so much is a sample of it
PIECE_SECONDS, FADE_SECONDS = 5.0, 0.01  # of the sample
LEAST_OFFSET = 1e-3  # of full scale: a constant offset beyond it is subtracted
LEAST_SAMPLES = 1000  # the mean of less is that of its sound
ACTIVE = 0.1  # of the mean power: quieter pieces have little speech


def read(recording: Recording, rate: int, name: str) -> tuple[str, Array]:
    """Name of a recording, ``name`` where it has none, and its samples (N,) at ``rate``.

    They are the mean of its channels, without a constant offset.

    Args:
        recording: a path, or a pair of samples (N,) or (channels, N) in [-1, 1] and their rate.
        rate: in Hz.
        name: of samples.

    Raises:
        RuntimeFailure: if it cannot be read, or has no samples.
    """
    if isinstance(recording, tuple):
        samples, own = np.asarray(recording[0]), int(recording[1])
        if samples.ndim not in (1, 2) or not np.issubdtype(samples.dtype, np.floating) or own < 1:
            raise RuntimeFailure(f"{name}: {samples.shape} of {samples.dtype} at {own} Hz; give floating-point samples"
                                 " (N,) or (channels, N) and their rate")  # fmt: skip
        columns = np.atleast_2d(samples).T
    else:
        name = os.fspath(recording)
        try:
            columns, own = soundfile.read(name, dtype="float32", always_2d=True)
        except (soundfile.SoundFileError, OSError, TypeError) as error:
            raise RuntimeFailure(f"{name} cannot be read: {' '.join(str(error).split())}") from error
    mono = columns.mean(1, dtype=np.float32) if columns.shape[1] > 1 else columns[:, 0].astype(np.float32)
    offset = float(mono.mean(dtype=np.float64)) if len(mono) >= LEAST_SAMPLES else 0.0
    if abs(offset) >= LEAST_OFFSET:
        mono = mono - np.float32(offset)
    return name, mono if own == rate else soxr.resample(mono, own, rate, quality="HQ").astype(np.float32)


def check(audio: Array, rate: int, name: str, least_seconds: float) -> None:
    """Refuse samples (N,) that cannot be used.

    Raises:
        RuntimeFailure: if they are too few, silent or not finite; names which.
    """
    if len(audio) < least_seconds * rate:
        raise RuntimeFailure(f"{name} lasts {len(audio) / rate:.2f} s, at least {least_seconds:g} s are needed;"
                             " give a longer one")  # fmt: skip
    if not np.isfinite(audio).all():
        raise RuntimeFailure(f"{name} has samples that are not finite numbers; record or export it again")
    if np.abs(audio).max() < SILENT:
        raise RuntimeFailure(f"{name} is silent (peak below -60 dB); give one with speech")


def levelled(audio: Array, name: str, note: Note) -> tuple[Array, float]:
    """Samples at a level that the model was trained on, and the factor, which is 1 for usual ones."""
    peak = float(np.abs(audio).max())
    if QUIETEST <= peak <= LOUDEST:
        return audio, 1.0
    what = "far beyond full scale" if peak > LOUDEST else "very quiet"
    note(f"{name} is {what}, its peak at {20 * math.log10(peak):+.0f} dB: scaled to half of full scale")
    return audio * np.float32(USUAL / peak), USUAL / peak


def reference(recording: Recording, rate: int, name: str, note: Note) -> Array:
    """Samples (N,) of a reference, checked.

    Raises:
        RuntimeFailure: as of :func:`read` and :func:`check`.
    """
    name, audio = read(recording, rate, name)
    check(audio, rate, name, LEAST_REFERENCE_SECONDS)
    return levelled(audio, name, note)[0]


def sample(audio: Array, rate: int) -> Array:
    """One minute of a longer source (N,): pieces with speech, spread evenly, faded where they were cut."""
    piece = round(PIECE_SECONDS * rate)
    starts = range(0, len(audio), piece)
    powers = np.array([np.square(audio[begin : begin + piece], dtype=np.float64).mean() for begin in starts])
    active = np.flatnonzero(powers >= ACTIVE * powers.mean())
    count = min(round(LONGEST_SECONDS * rate) // piece, len(active))
    chosen = sorted({int(active[round(place)]) for place in np.linspace(0, len(active) - 1, count)})
    spans: list[list[int]] = []
    for index in chosen:
        begin, end = index * piece, min((index + 1) * piece, len(audio))
        if spans and spans[-1][1] == begin:
            spans[-1][1] = end
        else:
            spans.append([begin, end])
    slope = np.linspace(0, 1, round(FADE_SECONDS * rate), dtype=np.float32)
    pieces = [audio[begin:end].copy() for begin, end in spans]
    for part in pieces:
        fade = slope[: len(part) // 2]
        part[: len(fade)] *= fade
        part[len(part) - len(fade) :] *= fade[::-1]
    return np.concatenate(pieces)


def check_writable(path: str | os.PathLike[str]) -> None:
    """Reject a path that :func:`write` cannot write to: call it before work that takes long.

    Raises:
        RuntimeFailure: if its suffix is neither .wav nor .flac, or nothing may be written there.
    """
    path = Path(path)
    if path.suffix.lower() not in {".wav", ".flac"}:
        raise RuntimeFailure(f"{path}: cannot write {path.suffix or 'a file without suffix'}; name it .wav or .flac")
    if not path.parent.is_dir() or not os.access(path.parent, os.W_OK) or path.is_dir():
        raise RuntimeFailure(f"{path} cannot be written: {path.parent} is no folder that you may write to")


def write(path: str | os.PathLike[str], audio: Array, rate: int) -> None:
    """Write samples (N,) in [-1, 1] as 16-bit WAV or FLAC, by the suffix; the file appears whole or not at all.

    Raises:
        RuntimeFailure: as of :func:`check_writable`, or if writing fails.
    """
    check_writable(path)
    path = Path(path)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    samples = np.clip(np.round(audio * 32768.0), -32768, 32767).astype(np.int16)
    try:
        soundfile.write(temporary, samples, rate, subtype="PCM_16", format=path.suffix[1:].upper())
        os.replace(temporary, path)
    except (soundfile.SoundFileError, OSError) as error:
        temporary.unlink(missing_ok=True)
        raise RuntimeFailure(f"{path} cannot be written: {' '.join(str(error).split())}") from error
