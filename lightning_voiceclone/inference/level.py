"""How loud a clone is: as loud as its source, as far as that does not clip."""

import torch
from torch import Tensor

from lightning_voiceclone.audio.noise import speech_power

PEAK = 0.99  # of full scale, that a gain may lead to
AUDIBLE = 1e-3  # a peak below which a clone is silent, which no gain should hide


def with_speech_power(audio: Tensor, sample_rate: int, wanted: float) -> Tensor:
    """Samples (N,) with a gain, so that their speech has a mean square, or their peak is 0.99 if that is quieter.

    Args:
        audio: (N,); what is silent, or has no speech to measure, is given back as it is.
        sample_rate: in Hz.
        wanted: :func:`~lightning_voiceclone.audio.noise.speech_power`.
    """
    peak = float(audio.abs().max())
    power = speech_power(audio.numpy(), sample_rate)
    if peak < AUDIBLE or not power or not wanted:
        return audio
    gain = torch.tensor(min((wanted / power) ** 0.5, PEAK / peak), dtype=audio.dtype)
    return audio * gain
