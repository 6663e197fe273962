"""Several models as one: its features are the mean of what their generators make."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import ContentEncoder, FeatureExtractor, Generator, SpeakerEncoder
from lightning_voiceclone.core.masking import RESAMPLING, resample_frames
from lightning_voiceclone.core.part import Part, describe
from lightning_voiceclone.core.spec import check_join
from lightning_voiceclone.core.streaming import ALONE, Context, State
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.normalizer import Normalizer
from lightning_voiceclone.voice.model import VoiceModel

E = TypeVar("E", ContentEncoder, SpeakerEncoder)
FRAMEWISE = ("content", "f0", "voicing", "energy", "noise")  # fields of a condition with the frames last


@dataclass(frozen=True)
class Inputs:
    """Which of the joint inputs are a member's own.

    Args:
        content: its channels of the joint content.
        speaker: its numbers of the joint speaker embedding.
        noise: its channels of the joint noise.
        pitch: whether it takes f0 and voicing.
        energy: whether it takes the energy.
    """

    content: slice
    speaker: slice
    noise: slice
    pitch: bool
    energy: bool


class JointContentEncoder(ContentEncoder):
    """The contents of several encoders, their channels one after another; at the features' rate where theirs differ.

    Args:
        members: encoders, all of features or all of audio, and the normalizer of the features of each.
        frame_rate: of the features.

    Raises:
        ConfigurationError: if one takes features and another audio.
    """

    normalized = False

    def __init__(self, members: Sequence[tuple[ContentEncoder, Normalizer]], frame_rate: float) -> None:
        super().__init__()
        encoders, normalizers = zip(*members, strict=True)
        self.encoders, self.normalizers = nn.ModuleList(encoders), nn.ModuleList(normalizers)
        self._members = tuple(members)
        self.takes = _common_input(encoders)
        rates = {encoder.frame_rate for encoder in encoders}
        self.frame_rate = rates.pop() if len(rates) == 1 else frame_rate
        self.channels = sum(encoder.channels for encoder in encoders)
        self.context = functools.reduce(Context.beside, map(self._context, encoders))

    def _context(self, encoder: ContentEncoder) -> Context:
        if encoder.frame_rate == self.frame_rate:
            return encoder.context
        ratio = encoder.frame_rate / self.frame_rate
        inner = encoder.context if self.takes == "features" else ALONE.then(encoder.context, ratio)
        return inner.then(RESAMPLING, ratio)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, T') of raw features (B, F, T) or audio (B, N)."""
        made = [encoder(_own_input(encoder, normalizer, x), lengths) for encoder, normalizer in self._members]
        rates = [encoder.frame_rate for encoder, _ in self._members]
        counts = [round(content.shape[-1] * self.frame_rate / rate) for content, rate in zip(made, rates, strict=True)]
        frames = x.shape[-1] if self.takes == "features" and len(set(rates)) > 1 else min(counts)
        return torch.cat([resample_frames(content, frames, rate, self.frame_rate)
                          for content, rate in zip(made, rates, strict=True)], 1)  # fmt: skip

    def init_state(self, batch: int) -> State | None:
        """State of all encoders; None where one has none, or their frames do not come at the same moments."""
        frames = {(encoder.frame_rate, encoder.context.right if self.takes == "audio" else 0)
                  for encoder, _ in self._members}  # fmt: skip
        return None if len(frames) > 1 else _joint_state([encoder for encoder, _ in self._members], batch)

    def forward_chunk(self, x: Tensor, state: State, ahead: int = 0) -> tuple[Tensor, State]:
        """Content of the next chunk of features or audio."""
        made, after = [], State()
        for number, (encoder, normalizer) in enumerate(self._members):
            own_ahead = int(min(ahead, encoder.context.right))
            own = _own_input(encoder, normalizer, x[..., : x.shape[-1] - ahead + own_ahead])
            content, then = encoder.forward_chunk(own, _state_of(state, number), ahead=own_ahead)
            made.append(content)
            after |= _named(then, number)
        return torch.cat(made, 1), after


class JointSpeakerEncoder(SpeakerEncoder):
    """The embeddings of several encoders, one after another.

    Args:
        members: encoders, all of features or all of audio, and the normalizer of the features of each.

    Raises:
        ConfigurationError: if one takes features and another audio.
    """

    normalized = False

    def __init__(self, members: Sequence[tuple[SpeakerEncoder, Normalizer]]) -> None:
        super().__init__()
        encoders, normalizers = zip(*members, strict=True)
        self.encoders, self.normalizers = nn.ModuleList(encoders), nn.ModuleList(normalizers)
        self._members = tuple(members)
        self.takes = _common_input(encoders)
        self.channels = sum(encoder.channels for encoder in encoders)
        self.one_speaker = encoders[0].one_speaker if len(encoders) == 1 else None  # a cosine of one embedding

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embedding (B, D) of raw features (B, F, T) or audio (B, N)."""
        return torch.cat([encoder(_own_input(encoder, normalizer, x), lengths)
                          for encoder, normalizer in self._members], 1)  # fmt: skip


class MeanGenerator(Generator):
    """The mean of what several generators make, in the first one's normalised features.

    Of logarithmic mel bands it is the geometric mean of their spectra.

    Args:
        generators: of the same features.
        normalizers: of the features, one each.
        inputs: what of the joint condition each of them takes.
    """

    def __init__(
        self, generators: Sequence[Generator], normalizers: Sequence[Normalizer], inputs: Sequence[Inputs]
    ) -> None:
        super().__init__()
        self.generators, self.normalizers = nn.ModuleList(generators), nn.ModuleList(normalizers)
        self._members = tuple(zip(generators, normalizers, inputs, strict=True))
        self.needs = frozenset().union(*(generator.needs for generator in generators))
        self.context = functools.reduce(Context.beside, (generator.context for generator in generators))

    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T) of a joint condition."""
        return self._mean([generator(self._own(condition, number))
                           for number, (generator, _, _) in enumerate(self._members)])  # fmt: skip

    def init_state(self, batch: int) -> State | None:
        """State of all generators; None where one has none."""
        return _joint_state([generator for generator, _, _ in self._members], batch)

    def encode_reference(self, condition: Condition) -> State:
        """What each generator makes of its own reference."""
        made: State = {}
        for number, (generator, _, _) in enumerate(self._members):
            made |= _named(generator.encode_reference(self._own(condition, number)), number)
        return made

    def forward_chunk(self, x: Condition, state: State, ahead: int = 0) -> tuple[Tensor, State]:
        """Features of the next chunk."""
        made, after = [], State()
        for number, (generator, _, _) in enumerate(self._members):
            own_ahead = int(min(ahead, generator.context.right))
            own = _without_last(self._own(x, number), ahead - own_ahead)
            features, then = generator.forward_chunk(own, _state_of(state, number), ahead=own_ahead)
            made.append(features)
            after |= _named(then, number)
        return self._mean(made), after

    def _mean(self, made: Sequence[Tensor]) -> Tensor:
        raw = [normalizer.inverse(features) for (_, normalizer, _), features in zip(self._members, made, strict=True)]
        return self._members[0][1](torch.stack(raw).mean(0))

    def _own(self, joint: Condition, number: int) -> Condition:
        generator, normalizer, inputs = self._members[number]
        needs, frames = generator.needs, joint.reference_frames
        if frames is not None and number:
            raw = self._members[0][1].inverse(frames.transpose(1, 2))
            frames = normalizer(raw).transpose(1, 2)
        return Condition(
            joint.lengths,
            content=_channels(joint.content, inputs.content),
            f0=joint.f0 if inputs.pitch else None,
            voicing=joint.voicing if inputs.pitch else None,
            energy=joint.energy if inputs.energy else None,
            speaker=_channels(joint.speaker, inputs.speaker),
            reference_frames=frames if "reference_frames" in needs else None,
            reference_content=_channels(joint.reference_content, inputs.content)
            if "reference_content" in needs else None,
            reference_lengths=joint.reference_lengths if "reference_lengths" in needs else None,
            noise=_channels(joint.noise, inputs.noise),
        )  # fmt: skip


def ensemble(voices: Mapping[str, VoiceModel]) -> VoiceModel:
    """Join models to one whose features are the mean of theirs; the vocoder is the first one's.

    Encoders that are the same in several models run once. Each member keeps its own encoders otherwise, and its own
    normalisation, so that members need have nothing in common but the features, pitch and energy. Guidance is the mean
    of theirs. A member that is adapted to a speaker needs a reference here, as the others do.

    Args:
        voices: models by their names in errors, in ``eval``.

    Raises:
        SpecMismatchError: if they have other features; names the field and both values.
        ConfigurationError: if they measure pitch or energy otherwise, or an encoder takes features and another audio.
    """
    (first, leader), *others = voices.items()
    if not others:
        return leader
    for name, other in others:
        check_join(f"the features of {first}", leader.spec, f"those of {name}", other.spec)
        for role in ("pitch", "energy"):
            _check_same(role, first, getattr(leader, role), name, getattr(other, role))
    members = list(voices.values())
    normalizers = [voice.normalizer for voice in members]
    content_encoders, contents = _shared([voice.content_encoder for voice in members], normalizers)
    speaker_encoders, speakers = _shared([voice.speaker_encoder for voice in members], normalizers)
    noise = _slices([voice.noise for voice in members])
    inputs = [Inputs(contents[number], speakers[number], noise[number], voice.pitch is not None,
                     voice.energy is not None) for number, voice in enumerate(members)]  # fmt: skip
    joined = VoiceModel(
        leader.feature_extractor,
        MeanGenerator([voice.generator for voice in members], normalizers, inputs),
        leader.vocoder,
        content_encoder=JointContentEncoder(content_encoders, leader.spec.frame_rate) if content_encoders else None,
        speaker_encoder=JointSpeakerEncoder(speaker_encoders) if speaker_encoders else None,
        pitch=next((voice.pitch for voice in members if voice.pitch is not None), None),
        energy=next((voice.energy for voice in members if voice.energy is not None), None),
        noise=sum(voice.noise for voice in members),
        guidance=sum(voice.guidance for voice in members) / len(members),
    )  # fmt: skip
    joined.normalizer = leader.normalizer
    return joined.eval()


def _check_same(
    role: str, first: str, ours: FeatureExtractor | None, name: str, theirs: FeatureExtractor | None
) -> None:
    if ours is not None and theirs is not None and describe(ours) != describe(theirs):
        raise ConfigurationError(
            f"{first} and {name} measure {role} otherwise ({type(ours).__name__} and {type(theirs).__name__}, or their"
            " settings), so one source cannot be the input of both; name models with the same"
        )


def _shared(
    encoders: Sequence[E | None], normalizers: Sequence[Normalizer]
) -> tuple[list[tuple[E, Normalizer]], list[slice]]:
    """The encoders that run, the first of each that are the same, and their channels that each member takes."""
    runs: list[tuple[E, Normalizer]] = []
    of_member: list[int | None] = []
    for encoder, normalizer in zip(encoders, normalizers, strict=True):
        if encoder is None:
            of_member.append(None)
            continue
        same = next((place for place, (other, _) in enumerate(runs) if _same(other, encoder)), len(runs))
        if same == len(runs):
            runs.append((encoder, normalizer))
        of_member.append(same)
    places = _slices([encoder.channels for encoder, _ in runs])
    return runs, [slice(0, 0) if place is None else places[place] for place in of_member]


def _same(one: ContentEncoder | SpeakerEncoder, other: ContentEncoder | SpeakerEncoder) -> bool:
    """Whether both compute the same on the same input: frozen weights of one hash, on features in their own units."""
    if one.weights_sha256 is None or one.weights_sha256 != other.weights_sha256:
        return False
    return (one.takes == "audio" or not one.normalized) and describe(one) == describe(other)


def _slices(sizes: Sequence[int]) -> list[slice]:
    ends = [sum(sizes[: number + 1]) for number in range(len(sizes))]
    return [slice(end - size, end) for size, end in zip(sizes, ends, strict=True)]


def _channels(x: Tensor | None, which: slice) -> Tensor | None:
    """Channels (B, C', …) of x (B, C, …); None where there are none."""
    return None if x is None or which.start == which.stop else x[:, which]


def _common_input(encoders: Sequence[ContentEncoder] | Sequence[SpeakerEncoder]) -> Literal["features", "audio"]:
    first, *others = (encoder.takes for encoder in encoders)
    if any(takes != first for takes in others):
        names = " and ".join(f"{type(encoder).__name__} takes {encoder.takes}" for encoder in encoders)
        raise ConfigurationError(f"{names}, so the models cannot be joined; name models whose encoders take the same")
    return first


def _own_input(encoder: ContentEncoder | SpeakerEncoder, normalizer: Normalizer, x: Tensor) -> Tensor:
    return normalizer(x) if encoder.takes == "features" and encoder.normalized else x


def _without_last(condition: Condition, frames: int) -> Condition:
    """A condition without its last ``frames`` frames."""
    if not frames:
        return condition
    fields = {name: value[..., : value.shape[-1] - frames] for name, value in condition.tensors().items()
              if name in FRAMEWISE and value.ndim > 1 + (name in ("content", "noise"))}  # fmt: skip
    return replace(condition, lengths=condition.lengths - frames, **fields)


def _joint_state(parts: Sequence[Part], batch: int) -> State | None:
    joint: State = {}
    for number, part in enumerate(parts):
        state = part.init_state(batch)
        if state is None:
            return None
        joint |= _named(state, number)
    return joint


def _named(state: State, number: int) -> State:
    return {f"{number}.{name}": value for name, value in state.items()}


def _state_of(state: State, number: int) -> State:
    prefix = f"{number}."
    return {name.removeprefix(prefix): value for name, value in state.items() if name.startswith(prefix)}
