"""Loudness of a clone, that of its source: ``inference/level.py`` and ``audio/noise.py`` of the toolkit, in NumPy."""

import math

import numpy as np

from lvc_runtime.chunks import Array, State
from lvc_runtime.statistics import MEMORY_SECONDS

PEAK = 0.99  # of full scale: the highest peak after the gain
AUDIBLE = 1e-3  # peak below which a clone counts as silent and is not amplified
ACTIVE = 0.03  # of the mean power, 15 dB below it: quieter frames are no speech
USUAL_POWER = 1e-3  # of speech, -30 dB of full scale
PRIOR_SECONDS = 0.2
MOST_GAIN = 30.0
KNEE = 0.9
FRAME_SECONDS = 0.032
BAND_HZ, LOWEST_HZ = 500.0, 60.0  # below the lowest there is no voice
BLOCK = 4096  # frames at once


def speech_power(audio: Array, sample_rate: int) -> float:
    """Mean square of speech between 60 Hz and the highest whole band: of the frames at most 15 dB below the mean."""
    size = int(2 ** round(math.log2(FRAME_SECONDS * sample_rate)))
    audio = np.pad(audio, (0, max(size - len(audio), 0)))
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    highest = int(np.round(np.arange(0, sample_rate / 2 + 1, BAND_HZ)[-1] * size / sample_rate))
    lowest = max(1, round(LOWEST_HZ * size / sample_rate))
    frames = np.lib.stride_tricks.sliding_window_view(audio, size)[:: size // 2]
    powers = [np.square(np.abs(np.fft.rfft(frames[begin : begin + BLOCK] * window))[:, lowest:highest]).sum(1)
              for begin in range(0, len(frames), BLOCK)]  # fmt: skip
    total = np.concatenate(powers) * (2 / (size * float(np.square(window).sum())))
    active = total[total > ACTIVE * total.mean()]
    return float(active.mean()) if len(active) else 0.0


def gain_to(audio: Array, sample_rate: int, wanted: float) -> float:
    """The gain with which speech (N,) has the mean square ``wanted``, or a peak of 0.99 if that is quieter."""
    peak, power = float(np.abs(audio).max(initial=0.0)), speech_power(audio, sample_rate)
    if peak < AUDIBLE or not power or not wanted:
        return 1.0
    return min((wanted / power) ** 0.5, PEAK / peak)


class RunningLevel:
    """Gain, sample by sample, with which the output of a stream is as loud as its source, on the mean of what passed.

    Args:
        frame_rate: frames a second.
    """

    def __init__(self, frame_rate: float) -> None:
        self._memory, self._prior = MEMORY_SECONDS * frame_rate, PRIOR_SECONDS * frame_rate

    def apply(self, samples: Array, power: Array, state: State) -> tuple[Array, State]:
        """Samples (M * hop,) with the gain, and the next state; ``power`` (M,) is that of the source's frames."""
        if (gain := state.get("level.gain")) is not None:
            return bent(samples * np.float32(gain[0])), state
        frames = len(power)
        made = np.square(samples.reshape(frames, -1)).mean(-1).astype(np.float64)
        means = tuple(state["level.means"][0].tolist()) if "level.means" in state else (USUAL_POWER, USUAL_POWER)
        count = float(state["level.count"][0]) if "level.count" in state else self._prior
        gains = [_gain(*means)]
        for source, clone in zip(power.tolist(), made.tolist(), strict=True):  # few frames: arrays would take longer
            if source > ACTIVE * means[0] and source > AUDIBLE**2:
                count = min(count + 1, self._memory)
                means = means[0] + (source - means[0]) / count, means[1] + (clone - means[1]) / count
            gains.append(_gain(*means))
        track, hop = np.array(gains), len(samples) // frames
        share = (np.arange(hop) + 1) / hop
        slopes = track[:-1, None] + share * (track[1:] - track[:-1])[:, None]
        after = {**state, "level.means": np.array([means]), "level.count": np.array([count])}
        return bent(samples * slopes.reshape(-1).astype(np.float32)), after


def bent(samples: Array) -> Array:
    """Samples with what is beyond 0.9 of full scale bent, so that it stays below 1; the others as they are."""
    magnitude = np.abs(samples)
    if magnitude.max(initial=0.0) <= KNEE:
        return samples.astype(np.float32)
    over = KNEE + (1 - KNEE) * np.tanh((magnitude - KNEE) / (1 - KNEE))
    return np.where(magnitude > KNEE, np.sign(samples) * over, samples).astype(np.float32)


def _gain(source: float, clone: float) -> float:
    return min(max(math.sqrt(source / max(clone, 1e-12)), 1 / MOST_GAIN), MOST_GAIN)
