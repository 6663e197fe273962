"""Framing: one rule for all extractors, so that their frames line up.

Frame t holds n_fft samples centred on sample (t + 1/2) * hop; N samples give exactly N // hop frames.
"""

import functools
import math
from collections.abc import Callable

import torch
from torch import Tensor

from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError, RecordingError

CHUNK_FRAMES = 400  # a thread: of 1024 samples, their spectra (1.6 MB) stay in a core's cache, and few calls do it
KEPT_BYTES = (32 << 20) - (64 << 10)  # just below the largest block by which glibc learns what is worth keeping


def pad(audio: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Audio (B, N) with (n_fft - hop) / 2 samples more at each end, reflected: (B, N + n_fft - hop).

    An odd difference gives the right end the odd sample. Audio that is shorter than the padding is reflected again
    and again, as numpy.pad does it.
    """
    samples, total = audio.shape[-1], n_fft - hop_length
    left, right = total // 2, total - total // 2
    if right < samples:
        ends = audio[:, 1 : left + 1].flip(1), audio[:, samples - right - 1 : samples - 1].flip(1)
        return torch.cat([ends[0], audio, ends[1]], 1)  # three times as fast as torch.nn.functional.pad
    positions = torch.arange(-left, samples + right, device=audio.device)
    period = max(2 * (samples - 1), 1)
    folded = positions % period
    return audio[:, torch.minimum(folded, period - folded) if samples > 1 else torch.zeros_like(folded)]


def frame(audio: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Frames (B, T, n_fft) of audio (B, N), T = N // hop; a view of the padded audio, so do not write into it."""
    return pad(audio, n_fft, hop_length).unfold(-1, n_fft, hop_length)


def frame_context(n_fft: int, hop_length: int) -> Context:
    """Context of a frame of ``n_fft`` samples: the frames that share samples with it, placed as in :func:`frame`."""
    reach = math.ceil(max(n_fft - hop_length, 0) / 2 / hop_length)
    return Context(reach, reach)


def by_chunks(frames: Tensor, function: Callable[[Tensor], Tensor]) -> Tensor:
    """Features (B, F, T) of frames (B, T, n_fft) by ``function``, which gives (B, T, F), on a CPU some at a time."""
    most = CHUNK_FRAMES * torch.get_num_threads()
    if frames.device.type != "cpu" or frames.shape[0] * frames.shape[1] <= most:
        return function(frames).transpose(1, 2).contiguous()
    _keep_freed_memory()
    rows = max(most // frames.shape[1], 1)
    chunks = [[function(chunk).transpose(1, 2) for chunk in some.split(most, 1)] for some in frames.split(rows)]
    return torch.cat([some[0] if len(some) == 1 else torch.cat(some, 2) for some in chunks])


def framed_features(
    name: str, audio: Tensor, n_fft: int, hop_length: int, function: Callable[[Tensor], Tensor]
) -> Tensor:
    """Features (B, F, T) of audio (B, N), T = N // hop_length: the whole ``forward`` of an extractor of frames.

    Half-precision audio is computed in single precision, autocast or not: its three digits are too few for a target.

    Args:
        name: of the extractor, for errors.
        audio: (B, N) in [-1, 1].
        n_fft: samples of a frame.
        hop_length: samples from one frame to the next.
        function: from frames (B, T, n_fft) to features (B, T, F).

    Raises:
        ConfigurationError: if audio is not (B, N) of floating-point numbers.
        RecordingError: if it is shorter than one hop.
    """
    check_audio(name, audio, hop_length)
    with torch.autocast(audio.device.type, enabled=False):
        features = by_chunks(frame(at_least_single(audio), n_fft, hop_length), function)
    return features.to(audio.dtype)


@functools.cache
def _keep_freed_memory() -> None:
    """Make the C library keep the memory that a chunk frees, for the next one.

    glibc returns free memory to the system as soon as there is twice as much as the largest block that was ever freed,
    and each chunk would then wait for thousands of fresh pages: that made features up to three times as slow, or not,
    as other code had happened to free. One large block, never written to, settles it; elsewhere it does nothing.
    """
    torch.empty(KEPT_BYTES, dtype=torch.uint8, device="cpu")


def at_least_single(audio: Tensor) -> Tensor:
    """Half-precision samples as single ones: the transform of half-precision numbers exists on few devices."""
    return audio.float() if audio.dtype in (torch.float16, torch.bfloat16) else audio


def check_audio(name: str, audio: Tensor, hop_length: int) -> None:
    """Reject audio that cannot be framed.

    Raises:
        ConfigurationError: if audio is not (B, N) of floating-point samples.
        RecordingError: if it is shorter than one frame.
    """
    if audio.ndim != 2 or not audio.is_floating_point():
        raise ConfigurationError(
            f"{name} expects audio (batch, samples) of floating-point numbers in [-1, 1] but got"
            f" {tuple(audio.shape)} of {audio.dtype}; mix down to one channel and add the axis of the batch"
        )
    if audio.shape[1] < hop_length:
        raise RecordingError(
            f"{name} got {audio.shape[1]} samples, but one frame takes {hop_length}; give a longer recording"
        )


def check_grid(name: str, sample_rate: int, hop_length: int, n_fft: int) -> None:
    """Reject settings with which frames would leave gaps.

    Raises:
        ConfigurationError: names the setting, its value and what it must be.
    """
    if sample_rate <= 0 or hop_length <= 0:
        raise ConfigurationError(
            f"{name}: sample_rate is {sample_rate} and hop_length is {hop_length}; both must be above 0"
        )
    if n_fft % 2 or n_fft < hop_length:
        raise ConfigurationError(
            f"{name}: n_fft is {n_fft}, but must be even and at least hop_length ({hop_length}), or samples between"
            f" frames would be lost; set n_fft to {2 * hop_length} or more"
        )
