"""The model: from recordings to a script and a speaker prompt, to features, to a waveform."""

import functools
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition, Script, SpeakerPrompt
from lightning_voiceclone.core.interfaces import (
    ContentEncoder,
    FeatureExtractor,
    FeatureTransform,
    Generator,
    SpeakerEncoder,
    TextEncoder,
    Vocoder,
)
from lightning_voiceclone.core.masking import RESAMPLING, resample_frames
from lightning_voiceclone.core.output_checks import check_output
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import ALONE, Context
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.normalizer import Normalizer
from lightning_voiceclone.features.prosody import VOICED, median_f0
from lightning_voiceclone.voice.analysis import Analysis, pad_together
from lightning_voiceclone.voice.compatibility import (
    check_can_convert,
    check_can_render,
    check_parts,
    check_references,
    check_source,
    takes_guidance,
)
from lightning_voiceclone.voice.options import RenderOptions
from lightning_voiceclone.voice.speaker_prompt import StoredPrompt
from lightning_voiceclone.voice.streaming import ChunkedConversion, frames_of

REFERENCE = {"reference_frames", "reference_content", "reference_lengths"}  # what generators may attend to


class VoiceModel(nn.Module):
    """The parts of a model, joined: ``script`` + ``prompt`` -> ``condition`` -> ``generator`` -> ``vocode``.

    ``prompt`` analyses references, ``script`` a source, and ``render`` generates speech from the two; ``convert`` does
    all of this for one source. Training uses the same methods from ``analyze`` on, by batches.

    Args:
        feature_extractor: of the features that the generator must produce.
        generator: from condition to features.
        vocoder: from features to a waveform; its spec must be the extractor's.
        content_encoder: encodes the content of the source; without one, speech is generated from noise alone.
        speaker_encoder: encodes the speaker of the reference.
        pitch: extractor of f0 and voicing.
        energy: extractor of the RMS.
        text_encoder: from text to a script, whose content is the content encoder's; None if the model cannot speak
            text.
        noise: Z, channels of noise per frame.
        guidance: default of ``render``: how far output is extrapolated away from the source's speaker.

    Raises:
        SpecMismatchError: if two parts are for different features; names the field and both values.
        ConfigurationError: if the generator needs what no part supplies, or guidance is set and the generator takes no
            speaker embedding.
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
        text_encoder: TextEncoder | None = None,
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
        self.text_encoder = text_encoder
        self.noise = noise
        self.guidance = guidance
        self.normalizer = Normalizer(self.spec.channels)
        self.own: StoredPrompt | None = None
        self.privacy: Mapping[str, Any] | None = None  # what its training guarantees its speakers
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
        """Frames of audio needed on either side of a crop so that its features equal those of the whole recording."""
        return max(extractor.margin for extractor in self.extractors)

    @property
    def context(self) -> Context:
        """Frames of the source, at the features' rate, on which a chunk of the output depends beyond its own.

        Not counted is what is computed over the whole source: the means of its pitch and energy, and for guidance its
        speaker embedding and the standard deviation of each channel.
        """
        later = self.generator.context.then(self.vocoder.context)
        context = functools.reduce(Context.beside, (extractor.context for extractor in self.extractors)).then(later)
        if self.content_encoder is None:
            return context
        return context.beside(self._content_context(self.content_encoder, later))

    @property
    def latency(self) -> float:
        """Algorithmic latency: seconds of the source that must follow a chunk (of ``context.grid`` frames)."""
        return self.context.right / self.spec.frame_rate

    @property
    def extractors(self) -> list[FeatureExtractor]:
        """The extractors of features, pitch and energy that there are."""
        return [part for part in (self.feature_extractor, self.pitch, self.energy) if part is not None]

    def _content_context(self, encoder: ContentEncoder, later: Context) -> Context:
        ratio = encoder.frame_rate / self.spec.frame_rate
        if ratio != 1:
            later = ALONE.then(RESAMPLING, ratio).then(later)
        if encoder.takes == "audio":
            return ALONE.then(encoder.context, ratio).then(later)
        return self.feature_extractor.context.then(encoder.context.then(later))

    def analyze(
        self,
        audio: Tensor,
        lengths: Tensor | None = None,
        *,
        margin: int = 0,
        features: Tensor | None = None,
        prosody: bool = True,
        centre: bool = True,
    ) -> Analysis:
        """Features, pitch and energy of recordings, frame by frame.

        Args:
            audio: (B, (T + 2 * margin) * hop) in [-1, 1], at the spec's rate.
            lengths: (B,) frames that are real, without the margin; None for all.
            margin: frames on either side that are context only.
            features: (B, F, T) in the extractor's units if already computed, without the margin.
            prosody: whether to compute pitch and energy too.
            centre: whether to subtract its mean from the energy; False for chunks of a recording.
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
            mean = (level * mask).sum(-1, keepdim=True) / mask.sum(-1, keepdim=True).clamp_min(1) if centre else 0.0
            energy = ((level - mean) * mask)[:, 0]
        hop = self.spec.hop_length
        inner = audio[:, margin * hop : (margin + frames) * hop]
        return Analysis(inner, features * mask, lengths, f0, voicing, energy)

    @staticmethod
    def _trim(features: Tensor, margin: int) -> Tensor:
        return features[..., margin : features.shape[-1] - margin]

    def script_from_analysis(
        self, source: Analysis, *, content_transforms: Sequence[FeatureTransform] = (), speaker: bool = False
    ) -> Script:
        """Content and prosody of analysed recordings.

        Args:
            source: the recordings.
            content_transforms: applied to the input features of the content encoder, in training.
            speaker: whether to embed their speakers too; only guidance needs it.
        """
        content = source.features[:, :0] if self.content_encoder is None else self.content(source, content_transforms)
        return Script(
            source.lengths,
            content,
            f0=source.f0,
            voicing=source.voicing,
            energy=source.energy,
            register=None if source.f0 is None else median_f0(source.f0),
            speaker=self.embed(source) if speaker else None,
        )

    def condition(
        self, script: Script, prompt: SpeakerPrompt | None = None, *, noise: Tensor | None = None
    ) -> Condition:
        """The input of the generator.

        Args:
            script: content and prosody.
            prompt: target speaker, one row for each row of the script; None for a model that needs no reference.
            noise: (B, Z, T); None to draw it from torch's global state.
        """
        rows, channels, frames = script.content.shape
        fields: dict[str, Any] = {}
        if prompt is not None:
            reference = {"reference_frames": prompt.frames, "reference_content": prompt.content,
                         "reference_lengths": prompt.lengths}  # fmt: skip
            fields = {name: value for name, value in reference.items() if name in self.generator.needs}
            fields["speaker"] = prompt.speaker
        if self.noise:
            shape = (rows, self.noise, frames)
            fields["noise"] = torch.randn(shape, device=script.content.device) if noise is None else noise
        return Condition(
            script.lengths,
            content=script.content if channels else None,
            f0=script.f0,
            voicing=script.voicing,
            energy=script.energy,
            **fields,
        )

    def content(self, analysis: Analysis, transforms: Sequence[FeatureTransform] = ()) -> Tensor:
        """Content (B, C, T), frame by frame; ``transforms`` are applied to the encoder's input features.

        Raises:
            ConfigurationError: if the model has no content encoder.
        """
        if self.content_encoder is None:
            raise ConfigurationError("this model has no content encoder; train one with model.content_encoder")
        features = analysis.features
        for transform in transforms:
            features = transform(features)
        content = self.content_encoder(*self.encoder_input(self.content_encoder, features, analysis))
        check_output(self.content_encoder, content, "(B, C, T)", len(features), self.content_encoder.channels)
        return resample_frames(content, features.shape[-1], self.content_encoder.frame_rate, self.spec.frame_rate)

    def prompt_from_analysis(self, reference: Analysis) -> SpeakerPrompt:
        """Speaker prompt of analysed references, one row each, with the fields that the model's parts need."""
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
            ConfigurationError: if the model has no speaker encoder.
        """
        if self.speaker_encoder is None:
            raise ConfigurationError("this model has no speaker encoder; train one with model.speaker_encoder")
        return self.speaker_encoder(*self.encoder_input(self.speaker_encoder, reference.features, reference))

    def encoder_input(
        self, encoder: ContentEncoder | SpeakerEncoder, features: Tensor, analysis: Analysis
    ) -> tuple[Tensor, Tensor]:
        """Input of an encoder, from normalised features or the audio, and the lengths in its units."""
        if encoder.takes == "audio":
            return analysis.audio, analysis.lengths * self.spec.hop_length
        return features if encoder.normalized else self.normalizer.inverse(features), analysis.lengths

    def vocode(self, features: Tensor, f0: Tensor | None = None) -> Tensor:
        """Waveform (B, T * hop) of normalised features (B, F, T), and f0 (B, T) in Hz where the vocoder takes it.

        Raises:
            ConfigurationError: if the vocoder gives another shape.
        """
        samples = features.shape[-1] * self.spec.hop_length
        given = {"f0": f0} if "f0" in self.vocoder.needs else {}
        made = self.vocoder(self.normalizer.inverse(features), **given)
        return check_output(self.vocoder, made, "(B, T * hop)", len(features), samples)

    @torch.inference_mode()
    def prompt(self, references: Sequence[Tensor], sample_rate: int) -> SpeakerPrompt:
        """Analyse references once, to convert any number of sources to their speaker.

        Args:
            references: recordings (N,) of one speaker, of any lengths; joined to one row.
            sample_rate: of all of them, in Hz.

        Raises:
            SpecMismatchError: if the rate is not the model's.
            RecordingError: if a recording is too short, silent or not finite.
            ConfigurationError: if there are none.
        """
        if not references:
            raise ConfigurationError("there is no reference; give at least one recording of the speaker")
        check_references(references, sample_rate, self.spec)
        return self.prompt_from_analysis(self.analyze(*pad_together(list(references), self.spec.hop_length))).together()

    @torch.inference_mode()
    def script(self, source: Tensor, sample_rate: int, *, speaker: bool = True) -> Script:
        """Analyse a source, to render its content in any speaker's voice.

        Args:
            source: (N,) samples in [-1, 1].
            sample_rate: of the source, in Hz.
            speaker: whether to embed its speaker too, if the model takes guidance; only that needs it.

        Returns:
            One row of N // hop frames.

        Raises:
            SpecMismatchError: if the rate is not the model's.
            RecordingError: if the source is too short, silent or not finite.
            ConfigurationError: if the model has no content encoder.
        """
        self.check_source(source, sample_rate)
        return self.script_from_analysis(self.analyze(source[None]), speaker=speaker and takes_guidance(self))

    @torch.inference_mode()
    def render(
        self,
        script: Script,
        prompt: SpeakerPrompt | None = None,
        options: RenderOptions = RenderOptions(),  # noqa: B008 (frozen)
    ) -> Tensor:
        """Generate speech from a script in a speaker's voice.

        Args:
            script: one row, from :meth:`script` or a text encoder.
            prompt: one row, from :meth:`prompt`; None for the speaker to whom the model was adapted.
            options: seed, pitch shift, speed and guidance.

        Returns:
            (round(T / speed) * hop,) samples in [-1, 1].

        Raises:
            ConfigurationError: if there is no speaker, or the model takes none; if the pitch is to be shifted and the
                generator takes none; if guidance is set and the generator takes no speaker embedding, or the script
                has none.
        """
        check_can_render(self, script, options)
        conversion = ChunkedConversion(self)
        frames = frames_of(script, self.noise, options.seed)
        made, _ = conversion.render(frames, conversion.init_state(), prompt or self.own_prompt(), options, final=True)
        return made["samples"][0]

    def convert(self, source: Tensor, prompt: SpeakerPrompt | None, sample_rate: int, **options: Any) -> Tensor:
        """Convert a source to a speaker's voice: :meth:`script`, then :meth:`render`, as one chunk of a stream.

        Args:
            source: (N,) samples in [-1, 1].
            prompt: one row, from :meth:`prompt`; None for the speaker to whom the model was adapted.
            sample_rate: of the source, in Hz.
            options: seed, pitch_shift, speed and guidance, as in :class:`RenderOptions`.

        Returns:
            (round(N // hop / speed) * hop,) samples.

        Raises:
            LVCError: as in the two, and in :class:`RenderOptions`.
        """
        chosen = RenderOptions(**options)
        self.check_source(source, sample_rate)
        check_can_convert(self, chosen)
        conversion = ChunkedConversion(self)
        prompt = prompt or self.own_prompt()
        made, _ = conversion.push(source[None], conversion.init_state(), prompt, chosen, final=True)
        return made["samples"][0]

    def check_source(self, source: Tensor, sample_rate: int) -> None:
        """Refuse a source (N,) that the model cannot convert.

        Raises:
            SpecMismatchError: if the rate is not the model's.
            RecordingError: if the source is too short, silent or not finite.
            ConfigurationError: if the model has no content encoder.
        """
        check_source(source, sample_rate, self.spec)
        if self.content_encoder is None:
            raise ConfigurationError("this model has no content encoder: it cannot convert recordings")

    def strength(self, options: RenderOptions) -> float:
        """Strength of the guidance: the option, or the model's own setting."""
        return self.guidance if options.guidance is None else options.guidance

    def own_prompt(self) -> SpeakerPrompt:
        """The speaker to whom the model was adapted.

        Raises:
            ConfigurationError: if it was not.
        """
        if self.own is None:
            raise ConfigurationError(
                "no reference given; pass one (--reference), or use a model made by `lvc adapt`, which stores one"
            )
        return self.own.prompt()
