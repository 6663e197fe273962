"""Checks that parts fit together in a model, and that the model can convert."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from torch import Tensor

from lightning_voiceclone.core.audio_checks import require_audible
from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.core.interfaces import (
    ContentEncoder,
    FeatureExtractor,
    Generator,
    SpeakerEncoder,
    TextEncoder,
    Vocoder,
    check_rate,
)
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.voice.options import RenderOptions, check_guidance_range

LEAST_REFERENCE_SECONDS = 0.5
TARGET = {"speaker", "reference_frames", "reference_content"}  # by which a generator gives a speaker's voice


class Joined(Protocol):
    """The attributes of a model that are checked; :class:`~lightning_voiceclone.voice.model.VoiceModel` has them."""

    vocoder: Vocoder
    generator: Generator
    content_encoder: ContentEncoder | None
    speaker_encoder: SpeakerEncoder | None
    pitch: FeatureExtractor | None
    energy: FeatureExtractor | None
    text_encoder: TextEncoder | None
    noise: int
    guidance: float

    @property
    def spec(self) -> AudioSpec:
        """What the features mean."""

    @property
    def needs_reference(self) -> bool:
        """Whether a reference makes a difference."""


def check_parts(voice: Joined) -> None:
    """Reject parts that do not fit together.

    Raises:
        SpecMismatchError: if two are for different features; names the field and both values.
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
                f"{name} must be an extractor of {name} on a linear scale, but {type(extractor).__name__} gives"
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
            f"{type(voice.generator).__name__} needs {', '.join(lacking)}, which no part of this model supplies;"
            " add the encoder or extractor for it"
        )
    if "f0" in voice.vocoder.needs and voice.pitch is None:
        raise ConfigurationError(
            f"{type(voice.vocoder).__name__} needs f0, and this model has no extractor of pitch; add one"
            " (model.pitch), or use another vocoder"
        )
    _check_text_encoder(voice)
    check_guidance(voice, voice.guidance)


def _check_text_encoder(voice: Joined) -> None:
    encoder, content = voice.text_encoder, voice.content_encoder
    if encoder is None:
        return
    name = type(encoder).__name__
    given = {"channels": (0 if content is None else content.channels, encoder.channels),
             "frame_rate": (voice.spec.frame_rate, encoder.frame_rate)}  # fmt: skip
    for field, (ours, theirs) in given.items():
        if ours != theirs:
            raise SpecMismatchError(
                f"{field} of the content is {ours:g} in the model but {theirs:g} in the text encoder {name}; take one"
                " that was trained on this model's content encoder"
            )


def check_can_render(voice: Joined, script: Script, options: RenderOptions) -> None:
    """Reject a script or options that the model cannot render.

    Raises:
        ConfigurationError: names the option, or what the model or the script lacks.
    """
    check_can_speak(voice, options)
    if "f0" in voice.vocoder.needs and script.f0 is None:
        raise ConfigurationError(
            f"{type(voice.vocoder).__name__} needs f0, and the script has none; use a text encoder that gives it, or"
            " another vocoder"
        )
    if options.guidance and script.speaker is None:
        raise ConfigurationError(
            f"guidance is {options.guidance:g}, but the script has no speaker embedding to extrapolate away from,"
            " as it was made from text or without one; set guidance to 0"
        )


def check_can_convert(voice: Joined, options: RenderOptions) -> None:
    """Reject a model that cannot convert recordings, or not with the options.

    Raises:
        ConfigurationError: names the option, or what the model lacks.
    """
    check_can_speak(voice, options)
    if not TARGET & voice.generator.needs:
        raise ConfigurationError(
            f"this model's generator, {type(voice.generator).__name__}, takes no speaker: a recording would keep its"
            " own voice; name a model that clones, or use this one for text (lvc say)"
        )


def check_can_speak(voice: Joined, options: RenderOptions) -> None:
    """Reject options that the model cannot render a script with.

    Raises:
        ConfigurationError: names the option, or what the model lacks.
    """
    if options.pitch_shift and "f0" not in voice.generator.needs:
        raise ConfigurationError(
            f"pitch_shift is {options.pitch_shift:g}, but this model's generator takes no pitch; set pitch_shift to 0"
        )
    if not voice.needs_reference:
        raise ConfigurationError(
            "this model takes no reference: its output has one voice only; train one with a speaker encoder"
        )
    if options.guidance:
        check_guidance(voice, options.guidance)


def check_guidance(voice: Joined, guidance: float) -> None:
    """Reject guidance that is out of range, or that the model cannot apply.

    Raises:
        ConfigurationError: names the range, or what the model lacks.
    """
    check_guidance_range(guidance)
    if guidance and not takes_guidance(voice):
        raise ConfigurationError(
            f"guidance is {guidance:g}, but this model's generator takes no speaker embedding; set guidance to 0"
        )


def takes_guidance(voice: Joined) -> bool:
    """Whether the generator depends on a speaker embedding, and the model can compute the source's."""
    return voice.speaker_encoder is not None and "speaker" in voice.generator.needs


def check_source(source: Tensor, sample_rate: int, spec: AudioSpec) -> None:
    """Reject a source (N,) that a model with that spec cannot convert.

    Raises:
        SpecMismatchError: if its declared rate is not the spec's.
        RecordingError: if it is too short, silent or not finite.
    """
    _check_sample_rate(sample_rate, spec)
    require_audible(source, spec, "the source", spec.hop_length / sample_rate)


def check_references(references: Sequence[Tensor], sample_rate: int, spec: AudioSpec) -> None:
    """Reject references (N,) from which a model with that spec cannot compute a speaker.

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
            f"audio is declared at {sample_rate} Hz but this model's rate is {spec.sample_rate} Hz; resample it first"
            " (read_audio does so)"
        )
