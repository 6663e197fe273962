"""How frames lie on samples: one rule for all extractors, so that their frames line up.

Frame t holds n_fft samples centred on sample (t + 1/2) * hop; N samples give exactly N // hop frames.
"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.errors import ConfigurationError, RecordingError


def pad(audio: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Audio (B, N) with (n_fft - hop) / 2 samples more at each end, reflected: (B, N + n_fft - hop).

    An odd difference gives the right end the odd sample. Audio that is shorter than the padding is reflected again
    and again, as numpy.pad does it.
    """
    samples, total = audio.shape[-1], n_fft - hop_length
    left, right = total // 2, total - total // 2
    if right < samples:
        return F.pad(audio, (left, right), mode="reflect")
    positions = torch.arange(-left, samples + right, device=audio.device)
    period = max(2 * (samples - 1), 1)
    folded = positions % period
    return audio[:, torch.minimum(folded, period - folded) if samples > 1 else torch.zeros_like(folded)]


def frame(audio: Tensor, n_fft: int, hop_length: int) -> Tensor:
    """Frames (B, T, n_fft) of audio (B, N), T = N // hop; a view of the padded audio, so do not write into it."""
    return pad(audio, n_fft, hop_length).unfold(-1, n_fft, hop_length)


def check_audio(name: str, audio: Tensor, hop_length: int) -> None:
    """Refuse what cannot be framed.

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
    """Refuse settings with which frames would leave gaps.

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
