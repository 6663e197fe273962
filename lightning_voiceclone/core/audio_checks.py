"""Checks of audio samples."""

import torch
from torch import Tensor

from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import RecordingError


def require_audible(audio: Tensor, spec: AudioSpec, name: str, least_seconds: float) -> None:
    """Refuse audio that is too short or has no signal.

    Raises:
        RecordingError: if (N,) samples are too few, silent (peak below 1e-3) or not finite; names which.
    """
    require_long(audio.shape[-1] / spec.sample_rate, name, least_seconds)
    require_finite(audio, name)
    require_loud(float(audio.abs().max()), name)


def require_finite(audio: Tensor, name: str) -> None:
    """Refuse samples that are not finite.

    Raises:
        RecordingError: names the recording.
    """
    if not torch.isfinite(audio).all():
        raise RecordingError(f"{name} has samples that are not finite numbers; record or export it again")


def require_loud(peak: float, name: str) -> None:
    """Refuse the peak of a recording without a signal.

    Raises:
        RecordingError: if it is below 1e-3; names the recording.
    """
    if peak < 1e-3:
        raise RecordingError(f"{name} is silent (peak below -60 dB); give one with speech")


def require_long(seconds: float, name: str, least_seconds: float) -> None:
    """Refuse the length of a recording.

    Raises:
        RecordingError: if it is less; names the recording.
    """
    if seconds < least_seconds:
        raise RecordingError(
            f"{name} lasts {seconds:.2f} s, at least {least_seconds:g} s are needed; give a longer one"
        )
