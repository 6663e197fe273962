"""A voice: everything that cloning loads, and the one way from recordings to features to a waveform."""

import functools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition, SpeakerPrompt
from lightning_voiceclone.core.interfaces import (
    ContentEncoder,
    FeatureExtractor,
    FeatureTransform,
    Generator,
    SpeakerEncoder,
    Vocoder,
)
from lightning_voiceclone.core.masking import RESAMPLING, resample_frames
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.core.validation import check_seed
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.normalizer import Normalizer
from lightning_voiceclone.features.prosody import VOICED
from lightning_voiceclone.voice.analysis import Analysis, pad_together
from lightning_voiceclone.voice.compatibility import (
    check_can_clone,
    check_guidance,
    check_parts,
    check_references,
    check_source,
)
from lightning_voiceclone.voice.guidance import extrapolate
from lightning_voiceclone.voice.prosody import change_speed, check_manner, median_f0, move_register
from lightning_voiceclone.voice.speaker_prompt import StoredPrompt

REFERENCE = {"reference_frames", "reference_content", "reference_lengths"}  # what generators may look up in


class VoiceModel(nn.Module):
    """The parts of a voice, joined: ``analyze`` -> ``condition`` -> ``generator`` -> ``vocode``.

    ``prompt`` analyses references, ``convert`` goes the whole way for one source.

    Args:
        feature_extractor: what the generator must produce.
        generator: from condition to features.
        vocoder: from features to a waveform; its spec must be the extractor's.
        content_encoder: what is said; without one the voice is made from noise alone.
        speaker_encoder: who says it.
        pitch: extractor of f0 and voicing.
        energy: extractor of the RMS.
        noise: Z, numbers of noise a frame.
        guidance: how far a clone is led on, away from the source's speaker, where ``convert`` is given no other.

    Raises:
        SpecMismatchError: if two parts disagree on the features; names the field and both values.
        ConfigurationError: if the generator needs what no part supplies, or there is guidance, and no speaker to be
            led away from.
    """

    def __init__(
        self,
        feature_extractor: FeatureExtractor,
        generator: Generator,
        vocoder: Vocoder,
        *,
        content_encoder: ContentEncoder | None = None,
        speaker_encoder: SpeakerEncoder | None = None,
        pitch: FeatureExtractor | None = None,
        energy: FeatureExtractor | None = None,
        noise: int = 0,
        guidance: float = 0.0,
    ) -> None:
        super().__init__()
        self.feature_extractor = feature_extractor
        self.generator = generator
        self.vocoder = vocoder
        self.content_encoder = content_encoder
        self.speaker_encoder = speaker_encoder
        self.pitch = pitch
        self.energy = energy
        self.noise = noise
        self.guidance = guidance
        self.normalizer = Normalizer(self.spec.channels)
        self.own: StoredPrompt | None = None
        check_parts(self)

    @property
    def spec(self) -> AudioSpec:
        """What the features mean."""
        return self.feature_extractor.spec

    @property
    def needs_reference(self) -> bool:
        """Whether a reference makes a difference."""
        return self.speaker_encoder is not None or bool(REFERENCE & self.generator.needs)

    @property
    def margin(self) -> int:
        """Frames of audio that are needed on either side of a crop so that its features equal the whole's."""
        return max(extractor.margin for extractor in self._extractors)

    @property
    def context(self) -> Context:
        """Frames of the source, at the features' rate, on which a frame of the output depends.

        What is computed over the whole source comes on top: the means of its pitch and energy, and for guidance the
        embedding of its speaker and the spread of each channel.
        """
        heard = functools.reduce(Context.beside, (extractor.context for extractor in self._extractors))
        if self.content_encoder is not None:
            heard = heard.beside(self._content_context(self.content_encoder))
        return heard.then(self.generator.context).then(self.vocoder.context)

    @property
    def latency(self) -> float:
        """Seconds of the source that must follow before a moment can be converted, however fast the computer."""
        return self.context.right / self.spec.frame_rate

    @property
    def _extractors(self) -> list[FeatureExtractor]:
        return [part for part in (self.feature_extractor, self.pitch, self.energy) if part is not None]

    def _content_context(self, encoder: ContentEncoder) -> Context:
        ratio = encoder.frame_rate / self.spec.frame_rate
        if encoder.takes == "audio":
            content = Context(0, 0).then(encoder.context, ratio)
        else:
            content = self.feature_extractor.context.then(encoder.context)
        return content if ratio == 1 else content.then(RESAMPLING, ratio)

    def analyze(
        self,
        audio: Tensor,
        lengths: Tensor | None = None,
        *,
        margin: int = 0,
        features: Tensor | None = None,
        prosody: bool = True,
    ) -> Analysis:
        """Take recordings apart.

        Args:
            audio: (B, (T + 2 * margin) * hop) in [-1, 1], at the spec's rate.
            lengths: (B,) frames that are real, without the margin; None for all.
            margin: frames on either side that are only there as context.
            features: (B, F, T) in the extractor's units where they are known already, without the margin.
            prosody: whether to look for pitch and energy too.
        """
        if features is None:
            features = self._trim(self.feature_extractor(audio), margin)
        features = self.normalizer(features)
        frames = features.shape[-1]
        if lengths is None:
            lengths = torch.full((len(audio),), frames, device=audio.device)
        mask = Condition(lengths).mask(frames)
        f0 = voicing = energy = None
        if prosody and self.pitch is not None:
            f0, voicing = self._trim(self.pitch(audio), margin).unbind(1)
            voicing = voicing * mask[:, 0]
            f0 = f0 * (voicing > VOICED)
        if prosody and self.energy is not None:
            level = self._trim(self.energy(audio), margin).clamp_min(1e-4).log()
            energy = ((level - (level * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp_min(1)) * mask)[
                :, 0
            ]
        hop = self.spec.hop_length
        inner = audio[:, margin * hop : (margin + frames) * hop]
        return Analysis(inner, features * mask, lengths, f0, voicing, energy)

    @staticmethod
    def _trim(features: Tensor, margin: int) -> Tensor:
        return features[..., margin : features.shape[-1] - margin]

    def condition(
        self,
        source: Analysis,
        prompt: SpeakerPrompt | None = None,
        *,
        register_from: Tensor | None = None,
        content_transforms: Sequence[FeatureTransform] = (),
        random: torch.Generator | None = None,
    ) -> Condition:
        """What the generator is told, to say the source's words in the voice of a reference.

        Args:
            source: the words, their timing and melody.
            prompt: the voice (:meth:`prompt_from_analysis`); None for the source's own.
            register_from: (B,) the median f0 in Hz to which the source's melody is moved; None leaves it.
            content_transforms: applied to the features that the content encoder hears, in training.
            random: where noise is drawn from; None for torch's own state.
        """
        frames = source.features.shape[-1]
        fields: dict[str, Any] = {}
        if self.content_encoder is not None:
            fields["content"] = self.content(source, content_transforms)
        if self.needs_reference:
            prompt = prompt or self.prompt_from_analysis(source)
            told = {"speaker": prompt.speaker, "reference_frames": prompt.frames,
                    "reference_content": prompt.content, "reference_lengths": prompt.lengths}  # fmt: skip
            fields |= {name: value for name, value in told.items() if name == "speaker" or name in self.generator.needs}
        if self.pitch is not None:
            fields |= {"f0": move_register(source.f0, register_from), "voicing": source.voicing}
        if self.energy is not None:
            fields["energy"] = source.energy
        if self.noise:
            shape = (len(source.features), self.noise, frames)
            fields["noise"] = torch.randn(shape, generator=random, device=source.features.device)
        return Condition(source.lengths, **fields)

    def content(self, analysis: Analysis, transforms: Sequence[FeatureTransform] = ()) -> Tensor:
        """What is said (B, C, T), frame by frame; ``transforms`` change the features that the encoder hears.

        Raises:
            ConfigurationError: if the voice has no content encoder.
        """
        if self.content_encoder is None:
            raise ConfigurationError("this voice has no content encoder; train one with model.content_encoder")
        heard = analysis.features
        for transform in transforms:
            heard = transform(heard)
        content = self.content_encoder(*self._told(self.content_encoder, heard, analysis))
        return resample_frames(content, heard.shape[-1], self.content_encoder.frame_rate, self.spec.frame_rate)

    def prompt_from_analysis(self, reference: Analysis) -> SpeakerPrompt:
        """What the voice's parts want to know of references, one row each."""
        needs = self.generator.needs
        return SpeakerPrompt(
            reference.lengths,
            speaker=None if self.speaker_encoder is None else self.embed(reference),
            frames=reference.features.transpose(1, 2) if "reference_frames" in needs else None,
            content=self.content(reference) if "reference_content" in needs else None,
            register=None if reference.f0 is None else median_f0(reference.f0),
        )

    def embed(self, reference: Analysis) -> Tensor:
        """Speaker embedding (B, D) of references.

        Raises:
            ConfigurationError: if the voice has no speaker encoder.
        """
        if self.speaker_encoder is None:
            raise ConfigurationError("this voice has no speaker encoder; train one with model.speaker_encoder")
        return self.speaker_encoder(*self._told(self.speaker_encoder, reference.features, reference))

    def _told(
        self, encoder: ContentEncoder | SpeakerEncoder, features: Tensor, analysis: Analysis
    ) -> tuple[Tensor, Tensor]:
        """What an encoder takes, of normalised features or the audio, with the lengths in its units."""
        if encoder.takes == "audio":
            return analysis.audio, analysis.lengths * self.spec.hop_length
        return features if encoder.normalized else self.normalizer.inverse(features), analysis.lengths

    def vocode(self, features: Tensor) -> Tensor:
        """Waveform (B, T * hop) of normalised features (B, F, T)."""
        return self.vocoder(self.normalizer.inverse(features))

    @torch.inference_mode()
    def prompt(self, references: Sequence[Tensor], sample_rate: int) -> SpeakerPrompt:
        """Analyse references once, to convert any number of sources to their speaker.

        Args:
            references: recordings (N,) of one speaker, of any lengths; together they make one row.
            sample_rate: of all of them, in Hz.

        Raises:
            SpecMismatchError: if the rate is not the model's.
            RecordingError: if a recording is too short, silent or not finite.
            ConfigurationError: if there is none.
        """
        if not references:
            raise ConfigurationError("there is no reference; give at least one recording of the speaker")
        check_references(references, sample_rate, self.spec)
        return self.prompt_from_analysis(self.analyze(*pad_together(list(references), self.spec.hop_length))).together()

    @torch.inference_mode()
    def convert(
        self,
        source: Tensor,
        prompt: SpeakerPrompt | None,
        sample_rate: int,
        *,
        seed: int = 0,
        pitch_shift: float = 0.0,
        speed: float = 1.0,
        guidance: float | None = None,
    ) -> Tensor:
        """The words of the source in the voice of a speaker.

        Args:
            source: (N,) samples in [-1, 1].
            prompt: one row, of :meth:`prompt`; None for the speaker to whom the model was adapted.
            sample_rate: of the source, in Hz.
            seed: the same seed gives the same samples.
            pitch_shift: semitones above the register of the references, or of the source where they have no pitch.
            speed: times as fast as the source.
            guidance: how far the output is extrapolated away from the source's speaker, 0 to 2; None for the model's
                own setting.

        Returns:
            (round(N // hop / speed) * hop,) samples.

        Raises:
            SpecMismatchError: if the rate is not the model's.
            RecordingError: if the source is too short, silent or not finite.
            ConfigurationError: if the model has no content encoder, if there is no speaker, if pitch, speed, guidance
                or seed are out of range, or if the generator takes no pitch to be shifted or no speaker to be guided
                away from.
        """
        check_manner(pitch_shift, speed)
        check_seed(seed)
        check_can_clone(self, pitch_shift)
        strength = self.guidance if guidance is None else guidance
        check_guidance(self, strength)
        check_source(source, sample_rate, self.spec)
        prompt = prompt or self._own_identity()
        said = self.analyze(source[None])
        register = None if said.f0 is None else self._register(said.f0, prompt) * 2 ** (pitch_shift / 12)
        random = torch.Generator(source.device).manual_seed(seed)
        condition = change_speed(self.condition(said, prompt, register_from=register, random=random), speed)
        return self.vocode(self._guided(condition, said, strength))[0].clamp(-1, 1)

    def _guided(self, condition: Condition, said: Analysis, strength: float) -> Tensor:
        """Features (B, F, T), led on from what the source's own speaker would sound like in all else the same."""
        made: Tensor = self.generator(condition)
        if not strength:
            return made
        return extrapolate(made, self.generator(replace(condition, speaker=self.embed(said))), strength)

    @staticmethod
    def _register(f0: Tensor, prompt: SpeakerPrompt) -> Tensor:
        """(B,) the median f0 in Hz to speak at: the references', or the source's own where they have none."""
        own = median_f0(f0)
        return own if prompt.register is None else torch.where(prompt.register.isnan(), own, prompt.register)

    def _own_identity(self) -> SpeakerPrompt:
        """The speaker to whom the model was adapted."""
        if self.own is None:
            raise ConfigurationError(
                "there is no reference, and this voice is not adapted to a speaker; give it one (lvc adapt makes a"
                " voice that needs none)"
            )
        return self.own.prompt()
