"""What must hold before parts can be one voice, and before that voice can clone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from lightning_voiceclone.core.audio_checks import require_audible
from lightning_voiceclone.core.interfaces import (
    ContentEncoder,
    FeatureExtractor,
    Generator,
    SpeakerEncoder,
    Vocoder,
    check_rate,
)
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError

LEAST_REFERENCE_SECONDS = 0.5
GREATEST_GUIDANCE = 2.0  # beyond which nothing sounds like speech


class Joined(Protocol):
    """What is checked of parts that are joined: :class:`~lightning_voiceclone.voice.model.VoiceModel` is one."""

    vocoder: Vocoder
    generator: Generator
    content_encoder: ContentEncoder | None
    speaker_encoder: SpeakerEncoder | None
    pitch: FeatureExtractor | None
    energy: FeatureExtractor | None
    noise: int
    guidance: float

    @property
    def spec(self) -> AudioSpec:
        """What the features mean."""

    @property
    def needs_reference(self) -> bool:
        """Whether a reference makes a difference."""


def check_parts(voice: Joined) -> None:
    """Refuse parts that do not fit.

    Raises:
        SpecMismatchError: if two disagree on the features; names the field and both values.
        ConfigurationError: if the generator needs what no part supplies.
    """
    check_join("the feature extractor", voice.spec, "the vocoder", voice.vocoder.spec)
    encoders = {"content_encoder": voice.content_encoder, "speaker_encoder": voice.speaker_encoder}
    for name, encoder in encoders.items():
        check_rate(encoder, voice.spec)
        if encoder is not None and encoder.features_spec is not None:
            check_join("the feature extractor", voice.spec, f"the pretrained {name}", encoder.features_spec)
    beside = {"pitch": voice.pitch, "energy": voice.energy}
    for name, extractor in ((name, part) for name, part in beside.items() if part is not None):
        if extractor.spec.kind != name or extractor.spec.log is not None:
            scale = "" if extractor.spec.log is None else f" on a logarithmic scale ({extractor.spec.log})"
            raise SpecMismatchError(
                f"{name} is to be an extractor of {name} on a linear scale, but {type(extractor).__name__} gives"
                f" {extractor.spec.kind}{scale}"
            )
        for field in ("sample_rate", "hop_length"):
            theirs, ours = getattr(extractor.spec, field), getattr(voice.spec, field)
            if theirs != ours:
                raise SpecMismatchError(
                    f"{field} is {ours} in the feature extractor but {theirs} in {name}; give both the same value"
                )
    supplied = {
        "content": voice.content_encoder, "speaker": voice.speaker_encoder, "reference_frames": True,
        "reference_content": voice.content_encoder, "reference_lengths": True,
        "f0": voice.pitch, "voicing": voice.pitch, "energy": voice.energy, "noise": voice.noise,
    }  # fmt: skip
    if lacking := sorted(need for need in voice.generator.needs if not supplied.get(need)):
        raise ConfigurationError(
            f"{type(voice.generator).__name__} needs {', '.join(lacking)}, which no part of this voice supplies;"
            " add the encoder or extractor for it"
        )
    check_guidance(voice, voice.guidance)


def check_can_clone(voice: Joined, pitch_shift: float) -> None:
    """Refuse a voice that cannot do what is asked.

    Raises:
        ConfigurationError: says what it lacks.
    """
    if pitch_shift and "f0" not in voice.generator.needs:
        raise ConfigurationError(
            f"pitch_shift is {pitch_shift:g}, but this voice is not told the pitch: it cannot say it higher or lower;"
            " leave pitch_shift at 0"
        )
    if voice.content_encoder is None:
        raise ConfigurationError("this voice has no content encoder: it cannot clone, only make speech from noise")
    if not voice.needs_reference:
        raise ConfigurationError(
            "this voice listens to no reference: it cannot clone, only speak as it was trained to; train one with a"
            " speaker encoder"
        )


def check_guidance(voice: Joined, guidance: float) -> None:
    """Refuse guidance that is out of range, or that the voice has nothing to go by for.

    Raises:
        ConfigurationError: names the range, or what the voice lacks.
    """
    if not 0 <= guidance <= GREATEST_GUIDANCE:
        raise ConfigurationError(f"guidance is {guidance:g}; it must be from 0, for none, to {GREATEST_GUIDANCE:g}")
    if guidance and (voice.speaker_encoder is None or "speaker" not in voice.generator.needs):
        raise ConfigurationError(
            f"guidance is {guidance:g}, but this voice is told no speaker whom it could be led away from; leave it at 0"
        )


def check_source(source: Tensor, sample_rate: int, spec: AudioSpec) -> None:
    """Refuse a source (N,) that a voice of that spec cannot convert.

    Raises:
        SpecMismatchError: if its declared rate is not the spec's.
        RecordingError: if it is too short, silent or not finite.
    """
    _check_sample_rate(sample_rate, spec)
    require_audible(source, spec, "the source", spec.hop_length / sample_rate)


def check_references(references: Sequence[Tensor], sample_rate: int, spec: AudioSpec) -> None:
    """Refuse references (N,) from which a voice of that spec cannot take a speaker.

    Raises:
        SpecMismatchError: if their declared rate is not the spec's.
        RecordingError: if one is too short, silent or not finite.
    """
    _check_sample_rate(sample_rate, spec)
    for reference in references:
        require_audible(reference, spec, "a reference", LEAST_REFERENCE_SECONDS)


def _check_sample_rate(sample_rate: int, spec: AudioSpec) -> None:
    if sample_rate != spec.sample_rate:
        raise SpecMismatchError(
            f"audio is declared at {sample_rate} Hz but this voice speaks at {spec.sample_rate} Hz; resample it first"
            " (read_audio does so)"
        )
