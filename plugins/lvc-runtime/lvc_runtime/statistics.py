"""What conversion takes from the whole source: ``voice/statistics.py`` and ``voice/guidance.py`` of the toolkit."""

import math
from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lvc_runtime.chunks import Array, Frames, State, concatenated
from lvc_runtime.features import VOICED

NAME = "statistics."
BLOCK_SECONDS = 2.0  # of speech, for one embedding of its speaker
MEMORY_SECONDS = 30.0  # of running means: what is longer ago fades
PRIOR_SECONDS = 1.0  # weight of what is assumed before anything has passed
USUAL_LEVEL = -3.5  # ln of the RMS of speech at -30 dB of full scale
SILENT_LEVEL = -6.9  # -60 dB: silence is no speech, and moves no mean
LEAST_VOICED = 0.2  # of a block, for it to be of a speaker
MEDIAN_STEP = 0.3  # of ln f0, about its standard deviation, divided by the frames so far

Embed = Callable[[Frames], Array]  # speaker embedding (1, D) of frames


class Statistics(Protocol):
    """How a source's statistics are found. What is kept between chunks is in the state, by names with ``statistics.``.

    ``pieces``: frames at whose multiples the generator's chunks end, because the speaker may change there; or None.
    """

    pieces: int | None

    def prosody(self, frames: Frames, state: State, embed: Embed | None) -> tuple[Frames, State]:
        """Frames with ``energy`` less its mean, the source's ``register`` (1, T) in Hz, and its ``own`` speaker."""

    def guide(self, made: Array, own: Array, strength: float, state: State) -> tuple[Array, State]:
        """Features (1, F, T) extrapolated away from the source's speaker, and the next state."""


class WholeStatistics:
    """Of the whole recording: those that are in the state, else of the frames given, which must be all."""

    pieces: int | None = None

    def prosody(self, frames: Frames, state: State, embed: Embed | None) -> tuple[Frames, State]:
        """As of :class:`Statistics`."""
        state, made = dict(state), dict(frames)
        count = frames["features"].shape[-1]
        if "energy" in frames:
            mean = _value(state, "level", lambda: frames["energy"].mean(-1, dtype=np.float64).astype(np.float32))
            made["energy"] = frames["energy"] - mean[:, None]
        if "f0" in frames:
            register = _value(state, "register", lambda: np.array([median_f0(frames["f0"][0])], np.float32))
            made["register"] = np.broadcast_to(register[:, None], frames["f0"].shape)
        if embed is not None:
            _value(state, "speaker", lambda: embed(frames))
        if (speaker := state.get(NAME + "speaker")) is not None:
            made["own"] = np.broadcast_to(speaker[..., None], (*speaker.shape, count))
        return made, state

    def guide(self, made: Array, own: Array, strength: float, state: State) -> tuple[Array, State]:
        """As of :class:`Statistics`."""
        moments = state.get(NAME + "moments")
        if moments is None:
            moments = moments_of(made, own)
            state = {**state, NAME + "moments": moments}
        return extrapolate(made, own, strength, moments[..., None]), state


class RunningStatistics:
    """Of what has passed so far, fading over half a minute; each frame's depend on no later frame, nor on the chunks.

    Args:
        frame_rate: frames a second.
        grid: frames at whose multiples the generator's chunks may begin.
        channels: D, of a speaker embedding.
    """

    def __init__(self, frame_rate: float, grid: int = 1, channels: int = 0) -> None:
        self._channels = channels
        self._block_frames = math.ceil(BLOCK_SECONDS * frame_rate / grid) * grid
        self.pieces: int | None = self._block_frames
        self._memory, self._prior = MEMORY_SECONDS * frame_rate, PRIOR_SECONDS * frame_rate
        self._most_blocks = MEMORY_SECONDS / BLOCK_SECONDS

    def prosody(self, frames: Frames, state: State, embed: Embed | None) -> tuple[Frames, State]:
        """As of :class:`Statistics`."""
        state, made = dict(state), dict(frames)
        if "energy" in frames:
            made["energy"] = frames["energy"] - self._level(frames["energy"][0], state)[None]
        if "f0" in frames:
            made["register"] = self._register(frames["f0"][0], state)[None]
        if embed is not None:
            made["own"] = self._speaker(frames, state, embed)
        return made, state

    def _level(self, energy: Array, state: State) -> Array:
        """Mean (T,) of the energy (T,) up to each frame."""
        mean, count = _number(state, "level", USUAL_LEVEL), _number(state, "level_count", self._prior)
        means = np.empty(len(energy))
        for index, value in enumerate(energy.tolist()):
            if value > SILENT_LEVEL:
                count = min(count + 1, self._memory)
                mean += (value - mean) / count
            means[index] = mean
        state |= {NAME + "level": np.array([mean]), NAME + "level_count": np.array([count])}
        return means.astype(np.float32)

    def _register(self, f0: Array, state: State) -> Array:
        """Median (T,) of f0 (T,) up to each frame; NaN until one is voiced."""
        middle, count = _number(state, "register", math.nan), _number(state, "register_count", 0.0)
        middles = np.empty(len(f0))
        for index, value in enumerate(f0.tolist()):
            if value > 0:
                height = math.log(value)
                count = min(count + 1, self._memory)
                off = height - middle
                middle = height if math.isnan(middle) else middle + MEDIAN_STEP / count * ((off > 0) - (off < 0))
            middles[index] = middle
        state |= {NAME + "register": np.array([middle]), NAME + "register_count": np.array([count])}
        return np.exp(middles).astype(np.float32)

    def _speaker(self, frames: Frames, state: State, embed: Embed) -> Array:
        """Mean embedding (1, D, T) of the blocks that were over before each frame; NaN before the first is."""
        fields: Frames = {name: frames[name] for name in ("features", "audio", "voicing") if name in frames}
        count = frames["features"].shape[-1]
        sizes = {name: value.shape[-1] // count for name, value in fields.items()}
        speaker, weight = state.get(NAME + "speaker"), _number(state, "speaker_count", 0.0)
        held: Frames = {name: state.pop(NAME + "block." + name) for name in fields if NAME + "block." + name in state}
        tracks, begin = [], 0
        while begin < count:
            end = min(begin + self._block_frames - (held["features"].shape[-1] if held else 0), count)
            now = {name: value[..., begin * sizes[name] : end * sizes[name]] for name, value in fields.items()}
            held = concatenated([held, now] if held else [now])
            tracks.append((speaker, end - begin))
            if held["features"].shape[-1] == self._block_frames:
                speaker, weight = self._block(held, speaker, weight, embed)
                held = {}
            begin = end
        state |= {f"{NAME}block.{name}": value.copy() for name, value in held.items()}
        if speaker is not None:
            state |= {NAME + "speaker": speaker, NAME + "speaker_count": np.array([weight])}
        unknown = np.full((1, self._channels), np.nan, np.float32)
        rows = [np.repeat((unknown if known is None else known)[..., None], length, -1) for known, length in tracks]
        return np.concatenate(rows, -1)

    def _block(self, block: Frames, speaker: Array | None, weight: float, embed: Embed) -> tuple[Array, float]:
        """The mean embedding and the number of blocks in it, with one more where that has a voice."""
        new = embed(block)
        mean = np.full_like(new, np.nan) if speaker is None else speaker
        if "voicing" in block and (block["voicing"] > VOICED).mean() < LEAST_VOICED:
            return mean, weight
        weight = min(weight + 1, self._most_blocks)
        known = np.nan_to_num(mean, nan=0.0)
        return (known + (new - known) / np.float32(weight)).astype(np.float32), weight

    def guide(self, made: Array, own: Array, strength: float, state: State) -> tuple[Array, State]:
        """As of :class:`Statistics`."""
        first = np.zeros((1, 5, made.shape[1]))
        first[:, 2] = 1
        values, count = state.get(NAME + "moments", first)[0], _number(state, "moments_count", self._prior)
        both = np.stack([made[0], made[0] - own[0]]).astype(np.float64)
        tracks = np.empty((*values.shape, made.shape[-1]))
        for index in range(made.shape[-1]):
            count = min(count + 1, self._memory)
            share = 1 / count
            off = both[..., index] - values[:2]
            products = np.concatenate([np.square(off), off[:1] * off[1:]])
            values = values + share * np.concatenate([off, products * (1 - share) - values[2:]])
            tracks[..., index] = values
        state = {**state, NAME + "moments": values[None], NAME + "moments_count": np.array([count])}
        return extrapolate(made, own, strength, tracks[None]), state


def median_f0(f0: Array) -> float:
    """Median over voiced frames of f0 (T,) in Hz, the lower of the two in the middle; NaN if none is voiced."""
    voiced = np.sort(f0[f0 > 0])
    return float(voiced[(len(voiced) - 1) // 2]) if len(voiced) else math.nan


def moments_of(made: Array, own: Array) -> NDArray[np.float64]:
    """Over time, of each channel (1, 5, F): means of ``made`` and of ``made - own``, variances, and covariance."""
    wide, difference = made.astype(np.float64), (made - own).astype(np.float64)
    means = wide.mean(-1), difference.mean(-1)
    off = wide - means[0][..., None], difference - means[1][..., None]
    return np.stack([*means, np.square(off[0]).mean(-1), np.square(off[1]).mean(-1), (off[0] * off[1]).mean(-1)], 1)


def extrapolate(made: Array, own: Array, strength: float, moments: NDArray[np.float64]) -> Array:
    """``made + strength * (made - own)``, each channel rescaled to the deviation of ``made``.

    Moments are (1, 5, F, 1 or T), as of :func:`moments_of`.
    """
    mean, mean_difference, variance, difference, covariance = (moments[:, index] for index in range(5))
    grown = np.sqrt(np.maximum(variance + 2 * strength * covariance + strength**2 * difference, 0))
    deviation, centre = np.sqrt(np.maximum(variance, 0)), mean + strength * mean_difference
    extrapolated = made + np.float32(strength) * (made - own)
    centre, scale = centre.astype(np.float32), (deviation / np.maximum(grown, 1e-5)).astype(np.float32)
    return centre + (extrapolated - centre) * scale


def _value(state: State, name: str, compute: Callable[[], Array]) -> Array:
    if NAME + name not in state:
        state[NAME + name] = compute()
    return state[NAME + name]


def _number(state: State, name: str, first: float) -> float:
    return float(state[NAME + name][0]) if NAME + name in state else first
