"""What conversion takes from the whole source: median f0, mean energy, its speaker, and deviations for guidance.

Two definitions. :class:`WholeStatistics`: of a recording that is given at once, or known before (of a file too long to
be given at once, from one minute of it). :class:`RunningStatistics`: of a stream that nothing is known about before,
from what has passed so far.
"""

import math
from collections.abc import Callable
from typing import Protocol

import torch
from torch import Tensor

from lightning_voiceclone.core.chunks import Frames, concatenated
from lightning_voiceclone.core.interfaces import SpeakerEncoder
from lightning_voiceclone.core.streaming import State
from lightning_voiceclone.features.prosody import VOICED, median_f0
from lightning_voiceclone.voice.analysis import Analysis
from lightning_voiceclone.voice.guidance import extrapolate, moments_of

NAME = "statistics."
BLOCK_SECONDS = 2.0  # of speech, for one embedding of its speaker
MEMORY_SECONDS = 30.0  # of running means: what is longer ago fades
PRIOR_SECONDS = 1.0  # weight of what is assumed before anything has passed
USUAL_LEVEL = -3.5  # ln of the RMS of speech at -30 dB of full scale
SILENT_LEVEL = -6.9  # -60 dB: silence is no speech, and moves no mean
LEAST_VOICED = 0.2  # of a block, for it to be of a speaker
MEDIAN_STEP = 0.3  # of ln f0, about its standard deviation, divided by the frames so far


class Embeds(Protocol):
    """The part of a model that statistics need; :class:`~lightning_voiceclone.voice.model.VoiceModel` has it."""

    speaker_encoder: SpeakerEncoder | None

    def embed(self, reference: Analysis) -> Tensor:
        """Speaker embedding (B, D)."""


class Statistics(Protocol):
    """How a source's statistics are found. What is kept between chunks is in the state, by names with ``statistics.``.

    ``pieces``: frames at whose multiples the generator's chunks end, because the speaker may change there; or None.
    """

    pieces: int | None

    def prosody(self, frames: Frames, state: State, embed: Embeds | None) -> tuple[Frames, State]:
        """Frames with ``energy`` less its mean, the source's ``register`` (B, T) in Hz, and its ``own`` speaker.

        Args:
            frames: f0, voicing, energy (B, T) as far as the model has them; features (B, F, T) and audio.
            state: between chunks.
            embed: the model, where the speaker is needed; ``own`` (B, D, T) is NaN until it is known.
        """

    def guide(self, made: Tensor, own: Tensor, strength: float, state: State) -> tuple[Tensor, State]:
        """:func:`~lightning_voiceclone.voice.guidance.extrapolate` of features (B, F, T), and the next state."""


class WholeStatistics:
    """Of the whole recording: those that are in the state, else of the frames given, which must be all.

    The state then holds them: level (B,), register (B,), speaker (B, D) and moments (B, 5, F). They can
    be put into the state of a longer recording of the same source, which is given chunk by chunk.
    """

    pieces: int | None = None

    def prosody(self, frames: Frames, state: State, embed: Embeds | None) -> tuple[Frames, State]:
        """As of :class:`Statistics`."""
        state, made = dict(state), dict(frames)
        if "energy" in frames:
            energy = frames["energy"]
            mean = self._value(state, "level", lambda: energy.sum(-1) / energy.shape[-1])
            made["energy"] = energy - mean[:, None]
        if "f0" in frames:
            register = self._value(state, "register", lambda: median_f0(frames["f0"]))
            made["register"] = register[:, None].expand_as(frames["f0"])
        if embed is not None:
            self._value(state, "speaker", lambda: embed.embed(analysis_of(frames)))
        if (speaker := state.get(NAME + "speaker")) is not None:
            count = frames["features"].shape[-1]
            made["own"] = speaker[..., None].expand(-1, -1, count)
        return made, state

    def guide(self, made: Tensor, own: Tensor, strength: float, state: State) -> tuple[Tensor, State]:
        """As of :class:`Statistics`."""
        if (known := state.get(NAME + "moments")) is not None:
            return extrapolate(made, own, strength, known[..., None]), state
        return extrapolate(made, own, strength), {**state, NAME + "moments": moments_of(made, own)}

    @staticmethod
    def _value(state: State, name: str, compute: Callable[[], Tensor]) -> Tensor:
        if NAME + name not in state:
            state[NAME + name] = compute()
        return state[NAME + name]


class RunningStatistics:
    """Of what has passed so far, fading over half a minute; each frame's depend on no later frame, nor on the chunks.

    The mean of the energy and the deviations begin at usual values, which weigh as much as one second. The median of f0
    follows ln f0 of voiced frames by steps of a sign (Robbins and Monro 1951), which shrink as 1 / n. The speaker is
    the mean of the embeddings of blocks of 2 s with voice; until the first is over there is no guidance.

    Args:
        frame_rate: frames a second.
        grid: frames at whose multiples the generator's chunks may begin.
    """

    def __init__(self, frame_rate: float, grid: int = 1) -> None:
        self.pieces: int | None = math.ceil(BLOCK_SECONDS * frame_rate / grid) * grid
        self._memory, self._prior = MEMORY_SECONDS * frame_rate, PRIOR_SECONDS * frame_rate
        self._most_blocks = MEMORY_SECONDS / BLOCK_SECONDS

    def prosody(self, frames: Frames, state: State, embed: Embeds | None) -> tuple[Frames, State]:
        """As of :class:`Statistics`."""
        state, made = dict(state), dict(frames)
        if "energy" in frames:
            made["energy"] = frames["energy"] - self._level(frames["energy"], state)
        if "f0" in frames:
            made["register"] = self._register(frames["f0"], state)
        if embed is not None:
            made["own"] = self._speaker(frames, state, embed)
        return made, state

    def _level(self, energy: Tensor, state: State) -> Tensor:
        """Mean (B, T) of the energy (B, T) up to each frame."""
        rows = len(energy)
        mean = _taken(state, "level", torch.full((rows,), USUAL_LEVEL, dtype=torch.float64))
        count = _taken(state, "level_count", torch.full((rows,), self._prior, dtype=torch.float64))
        means = []
        for value in energy.cpu().double().unbind(-1):
            sounding = (value > SILENT_LEVEL).double()
            count = (count + sounding).clamp_max(self._memory)
            mean = mean + sounding * (value - mean) / count
            means.append(mean)
        _keep(state, level=mean, level_count=count)
        return torch.stack(means, -1).to(energy)

    def _register(self, f0: Tensor, state: State) -> Tensor:
        """Median (B, T) of f0 (B, T) up to each frame; NaN until one is voiced."""
        rows = len(f0)
        middle = _taken(state, "register", torch.full((rows,), torch.nan, dtype=torch.float64))
        count = _taken(state, "register_count", torch.zeros(rows, dtype=torch.float64))
        middles = []
        for value in f0.cpu().double().unbind(-1):
            voiced = value > 0
            height = torch.where(voiced, value, 1.0).log()
            count = (count + voiced).clamp_max(self._memory)
            step = MEDIAN_STEP / count.clamp_min(1) * torch.sign(height - middle)
            middle = torch.where(voiced, torch.where(middle.isnan(), height, middle + step), middle)
            middles.append(middle)
        _keep(state, register=middle, register_count=count)
        return torch.stack(middles, -1).exp().to(f0)

    def _speaker(self, frames: Frames, state: State, embed: Embeds) -> Tensor:
        """Mean embedding (B, D, T) of the blocks that were over before each frame."""
        assert self.pieces is not None
        fields: Frames = {name: frames[name] for name in ("features", "audio", "voicing") if name in frames}
        count = frames["features"].shape[-1]
        sizes = {name: value.shape[-1] // count for name, value in fields.items()}
        speaker, weight = state.get(NAME + "speaker"), state.get(NAME + "speaker_count")
        held: Frames = {name: state.pop(NAME + "block." + name) for name in fields if NAME + "block." + name in state}
        tracks, begin = [], 0
        while begin < count:
            end = min(begin + self.pieces - (held["features"].shape[-1] if held else 0), count)
            now = {name: value[..., begin * sizes[name] : end * sizes[name]] for name, value in fields.items()}
            held = concatenated([held, now] if held else [now])
            tracks.append((speaker, end - begin))
            if held["features"].shape[-1] == self.pieces:
                speaker, weight = self._block(held, speaker, weight, embed)
                held = {}
            begin = end
        state |= {f"{NAME}block.{name}": value.clone() for name, value in held.items()}
        if speaker is not None and weight is not None:
            state |= {NAME + "speaker": speaker, NAME + "speaker_count": weight}
        assert embed.speaker_encoder is not None
        unknown = frames["features"].new_full((len(frames["features"]), embed.speaker_encoder.channels), torch.nan)
        rows = [(unknown if known is None else known)[..., None].expand(-1, -1, length) for known, length in tracks]
        return torch.cat(rows, -1)

    def _block(
        self, block: Frames, speaker: Tensor | None, weight: Tensor | None, embed: Embeds
    ) -> tuple[Tensor, Tensor]:
        """The mean embedding and the number of blocks in it, with one more where that has a voice."""
        new = embed.embed(analysis_of(block))
        if speaker is None or weight is None:
            speaker, weight = torch.full_like(new, torch.nan), new.new_zeros(len(new))
        share = (block["voicing"] > VOICED).float().mean(-1) if "voicing" in block else torch.ones(len(new))
        counted = (share.to(new) >= LEAST_VOICED).to(new)
        weight = (weight + counted).clamp_max(self._most_blocks)
        moved = speaker.nan_to_num(0.0) + (new - speaker.nan_to_num(0.0)) / weight.clamp_min(1)[:, None]
        return torch.where(counted[:, None] > 0, moved, speaker), weight

    def guide(self, made: Tensor, own: Tensor, strength: float, state: State) -> tuple[Tensor, State]:
        """As of :class:`Statistics`; normalised features begin at mean 0 and deviation 1, without a difference."""
        rows, channels, _ = made.shape
        first = torch.zeros(rows, 5, channels, dtype=torch.float64)
        first[:, 2] = 1
        values = _taken(state, "moments", first)
        count = _taken(state, "moments_count", torch.full((rows,), self._prior, dtype=torch.float64))
        both = torch.stack([made, made - own], 1).cpu().double()
        tracks = []
        for value in both.unbind(-1):
            count = (count + 1).clamp_max(self._memory)
            share = (1 / count)[:, None, None]
            off = value - values[:, :2]
            products = torch.cat([off.square(), off[:, :1] * off[:, 1:]], 1)
            moved = torch.cat([off, products * (1 - share) - values[:, 2:]], 1)
            values = values + share * moved
            tracks.append(values)
        state = {**state, NAME + "moments": values, NAME + "moments_count": count}
        return extrapolate(made, own, strength, torch.stack(tracks, -1)), state


def analysis_of(frames: Frames) -> Analysis:
    """The frames, all of them real, as an analysis to embed."""
    features = frames["features"]
    lengths = torch.full((len(features),), features.shape[-1], device=features.device)
    audio = frames.get("audio", features.new_zeros(len(features), 0))
    return Analysis(audio, features, lengths, frames.get("f0"), frames.get("voicing"), frames.get("energy"))


def _taken(state: State, name: str, first: Tensor) -> Tensor:
    return state.get(NAME + name, first)


def _keep(state: State, **values: Tensor) -> None:
    state |= {NAME + name: value for name, value in values.items()}
