"""Loudness of a clone: that of its source, as far as that does not clip."""

import torch
from torch import Tensor

from lightning_voiceclone.audio.noise import speech_power
from lightning_voiceclone.core.streaming import State
from lightning_voiceclone.voice.statistics import MEMORY_SECONDS

PEAK = 0.99  # of full scale: the highest peak after the gain
AUDIBLE = 1e-3  # peak below which a clone counts as silent and is not amplified
ACTIVE = 0.03  # of the mean power, 15 dB below it: quieter frames of a stream are no speech
USUAL_POWER = 1e-3  # of speech, -30 dB of full scale
PRIOR_SECONDS = 0.2
MOST_GAIN = 30.0
KNEE = 0.9


def with_speech_power(audio: Tensor, sample_rate: int, wanted: float) -> Tensor:
    """Scale samples (N,) so that their speech has the mean square ``wanted``, or to a peak of 0.99 if that is quieter.

    Args:
        audio: (N,); returned unchanged if it is silent or has no speech to measure.
        sample_rate: in Hz.
        wanted: mean square, as of :func:`~lightning_voiceclone.audio.noise.speech_power`.
    """
    gain = gain_to(audio, sample_rate, wanted)
    return audio if gain == 1 else audio * torch.tensor(gain, dtype=audio.dtype)


def gain_to(audio: Tensor, sample_rate: int, wanted: float) -> float:
    """The gain of :func:`with_speech_power`; 1 for none."""
    peak = float(audio.abs().max())
    power = speech_power(audio.numpy(), sample_rate)
    if peak < AUDIBLE or not power or not wanted:
        return 1.0
    return min((wanted / power) ** 0.5, PEAK / peak)


class RunningLevel:
    """Gain, sample by sample, with which the output of a stream is as loud as its source, on the mean of what passed.

    Frames of the source that are at most 15 dB below its mean count. Both means begin equal, as if a fifth of a second
    had passed, and fade over half a minute. Where the state has ``level.gain`` (B,), that gain is used throughout. What
    would go beyond 0.9 of full scale is bent, and stays below 1.

    Args:
        frame_rate: frames a second.
    """

    def __init__(self, frame_rate: float) -> None:
        self._memory, self._prior = MEMORY_SECONDS * frame_rate, PRIOR_SECONDS * frame_rate

    def apply(self, samples: Tensor, power: Tensor, state: State) -> tuple[Tensor, State]:
        """Samples (B, M * hop) with the gain, and the next state.

        Args:
            samples: (B, M * hop) of the output.
            power: (B, M) mean square of the source at each frame.
            state: between chunks; it is not changed.
        """
        if (gain := state.get("level.gain")) is not None:
            return bent(samples * _as(gain, samples)[:, None]), state
        rows, frames = power.shape
        made = samples.unflatten(-1, (frames, -1)).square().mean(-1).cpu().double()
        means = state.get("level.means", torch.full((rows, 2), USUAL_POWER, dtype=torch.float64))
        count = state.get("level.count", torch.full((rows,), self._prior, dtype=torch.float64))
        gains = [_gain(means)]
        for pair in torch.stack([power.cpu().double(), made], -1).unbind(1):
            active = ((pair[:, 0] > ACTIVE * means[:, 0]) & (pair[:, 0] > AUDIBLE**2)).double()
            count = (count + active).clamp_max(self._memory)
            means = means + (active / count)[:, None] * (pair - means)
            gains.append(_gain(means))
        track = torch.stack(gains, -1)
        hop = samples.shape[-1] // frames
        share = (torch.arange(hop, dtype=torch.float64) + 1) / hop
        slopes = track[:, :-1, None] + share * (track[:, 1:] - track[:, :-1])[..., None]
        return bent(samples * _as(slopes.flatten(1), samples)), {
            **state,
            "level.means": means,
            "level.count": count,
        }


def bent(samples: Tensor) -> Tensor:
    """Samples with what is beyond 0.9 of full scale bent, so that it stays below 1; the others as they are."""
    magnitude = samples.abs()
    over = KNEE + (1 - KNEE) * torch.tanh((magnitude - KNEE) / (1 - KNEE))
    return torch.where(magnitude > KNEE, torch.sign(samples) * over, samples)


def _gain(means: Tensor) -> Tensor:
    return (means[:, 0] / means[:, 1].clamp_min(1e-12)).sqrt().clamp(1 / MOST_GAIN, MOST_GAIN)


def _as(values: Tensor, like: Tensor) -> Tensor:
    """Values in the type and on the device of others; not all devices have double precision."""
    return values.to(like.dtype).to(like.device)
