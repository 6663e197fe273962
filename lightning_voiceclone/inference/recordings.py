"""Recordings as Python gives them, and audio as it gets it: paths, or samples with their rate."""

import os
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import soxr
import torch
from torch import Tensor

from lightning_voiceclone.audio.io import read_audio, write_audio
from lightning_voiceclone.audio.mixdown import measure_mixdown
from lightning_voiceclone.errors import ConfigurationError, RecordingError

INPUTS = "a path, or samples with their rate: (samples, sample_rate)"


class Audio(NamedTuple):
    """Mono audio. Any pair of samples and rate is accepted where an ``Audio`` is.

    Attributes:
        samples: (N,) in [-1, 1], a tensor or a numpy array; (channels, N) is mixed down when it is read in.
        sample_rate: in Hz.
    """

    samples: Tensor | np.ndarray
    sample_rate: int


Recording = str | os.PathLike[str] | tuple[Tensor | np.ndarray, int]


def read(recording: Recording, sample_rate: int | None = None) -> Audio:
    """Read a file or samples as mono audio: the mean of the channels, without a constant offset.

    Args:
        recording: a path, or a pair of samples (N,) or (channels, N) and their rate.
        sample_rate: to resample to, in Hz; None keeps the recording's own.

    Raises:
        RecordingError: if the file cannot be decoded, or the samples are empty or of another shape.
        ConfigurationError: if it is neither a path nor such a pair.
    """
    if (path := path_of(recording)) is not None:
        samples, rate = read_audio(path, sample_rate)
        return Audio(torch.from_numpy(samples), rate)
    mono, _ = mono_of(recording, sample_rate, "the recording")
    return Audio(torch.from_numpy(mono), sample_rate or pair_of(recording)[1])


def write(path: str | os.PathLike[str], audio: tuple[Tensor | np.ndarray, int]) -> None:
    """Write audio as 16-bit WAV or FLAC, by the path's suffix; the file appears whole or not at all.

    Args:
        path: ending in .wav or .flac; parent folders are created.
        audio: samples (N,) or (channels, N) in [-1, 1], and their rate.

    Raises:
        ConfigurationError: if the suffix is another one, or samples are not finite numbers.
        OSError: if the file cannot be written.
    """
    samples, rate = pair_of(audio)
    write_audio(path, samples, rate)


def path_of(recording: Recording) -> str | os.PathLike[str] | None:
    """The recording, if it is a path."""
    return recording if isinstance(recording, str | os.PathLike) else None


def mono_of(recording: Any, sample_rate: int | None, name: str) -> tuple[np.ndarray, tuple[str, ...]]:
    """Samples (N,) of a pair of samples and rate, resampled, and notes on them that begin with ``name``.

    Raises:
        ConfigurationError: as of :func:`pair_of`.
        RecordingError: likewise, or if the samples are empty or of another shape.
    """
    samples, rate = pair_of(recording)
    if not 0 < samples.ndim < 3 or not samples.size:
        raise RecordingError(f"samples have the shape {samples.shape}; give (N,) or (channels, N), and at least one")
    columns = np.atleast_2d(samples).T
    mixdown = measure_mixdown([columns])
    mono = mixdown(columns)
    if sample_rate not in (None, rate):
        mono = soxr.resample(mono, rate, sample_rate, quality="HQ")
    return np.ascontiguousarray(mono, np.float32), tuple(f"{name}: {note}" for note in mixdown.notes)


def pair_of(recording: Any) -> tuple[np.ndarray, int]:
    """Samples as float32, and their rate.

    Raises:
        ConfigurationError: if it is no pair of samples and rate.
        RecordingError: if the samples are not floating-point numbers.
    """
    if not isinstance(recording, Sequence) or isinstance(recording, str) or len(recording) != 2:
        raise ConfigurationError(f"a recording is {INPUTS}, not {type(recording).__name__}")
    samples, rate = recording
    if isinstance(samples, Tensor):
        samples = samples.detach().cpu().numpy()
    if not isinstance(samples, np.ndarray) or isinstance(rate, bool) or not isinstance(rate, int) or rate < 1:
        raise ConfigurationError(f"a recording is {INPUTS}, not ({type(samples).__name__}, {rate!r})")
    if not np.issubdtype(samples.dtype, np.floating):
        raise RecordingError(f"samples are {samples.dtype}; give floating-point numbers in [-1, 1]")
    return samples.astype(np.float32), rate
