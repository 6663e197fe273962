"""The modules that ``lvc fit`` trains, each built from the classes of parts that a recipe names."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from lightning_voiceclone.checkpoints.text_encoder_choice import text_dims
from lightning_voiceclone.checkpoints.voice_folder import load_voice
from lightning_voiceclone.core.interfaces import (
    ContentEncoder,
    Dims,
    Discriminator,
    FeatureExtractor,
    Generator,
    SpeakerEncoder,
    TextEncoder,
    Vocoder,
)
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.data.datamodule import cache_folder
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.conv import ConvContentEncoder
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.text_encoders.parallel import ParallelTextEncoder
from lightning_voiceclone.training.modules.distillation import DistillationTraining
from lightning_voiceclone.training.modules.text import TextTraining
from lightning_voiceclone.training.modules.vocoder import VocoderTraining
from lightning_voiceclone.training.modules.voice import VoiceTraining
from lightning_voiceclone.training.warm_start import begin_vocoder, begin_with
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.vocoders.vocos import Vocos
from lightning_voiceclone.voice.model import VoiceModel

Encoder = ContentEncoder | SpeakerEncoder


def build_model(
    feature_extractor: FeatureExtractor,
    generator: Callable[[Dims], Generator],
    *,
    content_encoder: Callable[[Dims], ContentEncoder] | None = None,
    speaker_encoder: Callable[[Dims], SpeakerEncoder] | None = None,
    pitch: FeatureExtractor | None = None,
    energy: FeatureExtractor | None = None,
    vocoder: Callable[[AudioSpec], Vocoder] = GriffinLim,
    noise: int = 0,
) -> tuple[VoiceModel, Dims]:
    """Build the parts of a model with matching widths, and join them.

    Each part states its own width, and the later ones are built with it: encoders, generator, vocoder.

    Returns:
        The model, with fresh or pretrained weights, and the widths, from which a discriminator is built.

    Raises:
        LVCError: if a part cannot be made, or the parts do not fit.
    """
    dims = _dims(feature_extractor, noise=noise, pitch=pitch is not None, energy=energy is not None)
    content = content_encoder(dims) if content_encoder else None
    speaker = speaker_encoder(dims) if speaker_encoder else None
    dims = replace(dims, content=content.channels if content else 0, speaker=speaker.channels if speaker else 0)
    made = generator(dims)
    model = VoiceModel(
        feature_extractor, made, vocoder(feature_extractor.spec), content_encoder=content, speaker_encoder=speaker,
        pitch=pitch, energy=energy, noise=noise,
    )  # fmt: skip
    return model, dims


class VoiceModule(VoiceTraining):
    """A model in training, by the parts that a recipe names; :class:`VoiceTraining` has the losses and the steps.

    Args:
        feature_extractor: of the features that the generator outputs; sets sample rate, hop and width.
        generator: from condition to features.
        discriminator: classifies real and generated features or audio; null for none.
        content_encoder: gives the linguistic content; null to generate speech from noise alone.
        speaker_encoder: gives the speaker embedding; null for none.
        pitch: extractor of f0 and voicing for the generator; null for none.
        energy: extractor of the RMS for the generator; null for none.
        vocoder: from features to a waveform, when cloning.
        noise: width of the noise for each frame of the generator's input.
        start: checkpoint or folder of a model, or "default", whose weights initialise this one where names and shapes
            are equal: the generator, encoders that train, a vocoder that was given no weights, and the discriminator;
            null for none.
        teacher: folder or checkpoint of a model, or "default", whose output the generator is to match (the loss
            ``teacher``); null for none.
        listener: encoder of audio by which what is said is compared (the loss ``words``); null for none.
        speaker_listener: encoder of audio by which who speaks is compared (the loss ``likeness``); null for none.
        training: settings of :class:`VoiceTraining`.
    """

    def __init__(
        self,
        feature_extractor: FeatureExtractor | None = None,
        generator: Callable[[Dims], Generator] = ConvGenerator,
        discriminator: Callable[[Dims], Discriminator] | None = None,
        content_encoder: Callable[[Dims], ContentEncoder] | None = None,
        speaker_encoder: Callable[[Dims], SpeakerEncoder] | None = None,
        pitch: FeatureExtractor | None = None,
        energy: FeatureExtractor | None = None,
        vocoder: Callable[[AudioSpec], Vocoder] = GriffinLim,
        noise: int = 0,
        start: str | None = None,
        teacher: str | None = None,
        listener: Callable[[Dims], ContentEncoder] | None = None,
        speaker_listener: Callable[[Dims], SpeakerEncoder] | None = None,
        **training: Any,
    ) -> None:
        model, dims = build_model(
            feature_extractor or MelSpectrogram(), generator, content_encoder=content_encoder,
            speaker_encoder=speaker_encoder, pitch=pitch, energy=energy, vocoder=vocoder, noise=noise,
        )  # fmt: skip
        made = discriminator(dims) if discriminator else None
        if start is not None:
            begin_with(model, made, start)
        super().__init__(
            model,
            made,
            teacher=load_voice(teacher) if teacher else None,
            listener=listener(dims) if listener else None,
            speaker_listener=speaker_listener(dims) if speaker_listener else None,
            **training,
        )


class VocoderModule(VocoderTraining):
    """A vocoder in training, by the parts that a recipe names; :class:`VocoderTraining` has the losses and the steps.

    Args:
        feature_extractor: of the features that the vocoder takes; sets sample rate, hop and width.
        vocoder: from features to a waveform.
        discriminator: classifies real and generated waveforms; null for none.
        voice: folder or checkpoint of a model whose generator makes the features; null for the recordings' own.
        start: folder or checkpoint of a model, or "default", whose vocoder's weights initialise this one where names
            and shapes are equal, and those of its discriminator, if it has one; null for none.
        training: settings of :class:`VocoderTraining`.
    """

    def __init__(
        self,
        feature_extractor: FeatureExtractor | None = None,
        vocoder: Callable[[AudioSpec], Vocoder] = Vocos,
        discriminator: Callable[[Dims], Discriminator] | None = None,
        voice: str | None = None,
        start: str | None = None,
        **training: Any,
    ) -> None:
        extractor = feature_extractor or MelSpectrogram()
        made, against = vocoder(extractor.spec), discriminator(_dims(extractor)) if discriminator else None
        if start is not None:
            begin_vocoder(made, against, start)
        super().__init__(extractor, made, against, load_voice(voice) if voice else None, **training)


class DistillationModule(DistillationTraining):
    """An encoder in training, by the parts that a recipe names; :class:`DistillationTraining` has loss and steps.

    Args:
        feature_extractor: of the features that the student takes, in its own units.
        encoder: the student: a content or speaker encoder that takes features and is not ``normalized``.
        teacher: of the same kind; frozen.
        training: settings of :class:`DistillationTraining`.
    """

    def __init__(
        self,
        feature_extractor: FeatureExtractor | None = None,
        encoder: Callable[[Dims], Encoder] = ConvContentEncoder,
        teacher: Callable[[Dims], Encoder] | None = None,
        **training: Any,
    ) -> None:
        extractor = feature_extractor or MelSpectrogram()
        if teacher is None:
            raise ConfigurationError("there is no teacher; name one, such as --model.teacher WhisperContentEncoder")
        dims = _dims(extractor)
        super().__init__(extractor, encoder(dims), teacher(dims), **training)


class TextModule(TextTraining):
    """A text encoder in training, by the parts that a recipe names; :class:`TextTraining` has the losses and the steps.

    Args:
        voice: folder or checkpoint of the model that is to speak, or "default"; its encoders make what text is to give.
        text_encoder: from tokens to scripts.
        cache: folder in which what the model's encoders make of the recordings is kept; null for ``text`` in
            ``$LVC_CACHE``, or in ``~/.cache/lightning-voiceclone`` where that is not set.
        training: settings of :class:`TextTraining`.
    """

    def __init__(
        self,
        voice: str = "default",
        text_encoder: Callable[[Dims], TextEncoder] = ParallelTextEncoder,
        cache: str | None = None,
        **training: Any,
    ) -> None:
        model = load_voice(voice)
        if model.content_encoder is None:
            raise ConfigurationError(
                f"model.voice is {voice}, which has no content encoder: its generator takes no text"
            )
        folder = cache_folder() / "text" if cache is None else Path(cache).expanduser()
        super().__init__(model, text_encoder(text_dims(model)), folder, **training)


def _dims(extractor: FeatureExtractor, **inputs: Any) -> Dims:
    """Widths of the features, with those inputs of a generator."""
    return Dims(extractor.spec.channels, frame_rate=extractor.spec.frame_rate, **inputs)
