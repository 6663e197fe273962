"""Loudness of a clone: that of its source, as far as that does not clip."""

import torch
from torch import Tensor

from lightning_voiceclone.audio.noise import speech_power

PEAK = 0.99  # of full scale: the highest peak after the gain
AUDIBLE = 1e-3  # peak below which a clone counts as silent and is not amplified


def with_speech_power(audio: Tensor, sample_rate: int, wanted: float) -> Tensor:
    """Scale samples (N,) so that their speech has the mean square ``wanted``, or to a peak of 0.99 if that is quieter.

    Args:
        audio: (N,); returned unchanged if it is silent or has no speech to measure.
        sample_rate: in Hz.
        wanted: mean square, as of :func:`~lightning_voiceclone.audio.noise.speech_power`.
    """
    peak = float(audio.abs().max())
    power = speech_power(audio.numpy(), sample_rate)
    if peak < AUDIBLE or not power or not wanted:
        return audio
    gain = torch.tensor(min((wanted / power) ** 0.5, PEAK / peak), dtype=audio.dtype)
    return audio * gain
