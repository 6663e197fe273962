"""Train a voice model: a generator of features from content, prosody and speaker, with a discriminator."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lightning_voiceclone.checkpoints.compatibility import check_same_parts
from lightning_voiceclone.checkpoints.voice_folder import describe_voice
from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import (
    AdversarialLoss,
    AudioTransform,
    ContentEncoder,
    Discriminator,
    FeatureExtractor,
    FeatureTransform,
    SpeakerEncoder,
)
from lightning_voiceclone.core.output_checks import check_output
from lightning_voiceclone.core.part import describe
from lightning_voiceclone.core.schedule import Counted, Schedule, Scheduled
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.errors import ConfigurationError, check_range
from lightning_voiceclone.evaluation.metrics.moments import ChannelMoments
from lightning_voiceclone.losses.adversarial import LeastSquaresLoss
from lightning_voiceclone.losses.reconstruction import masked_l1
from lightning_voiceclone.losses.rows import RowLoss
from lightning_voiceclone.training.checks import (
    absent_losses,
    begun_with_depth,
    check_augmentation,
    check_cross_speaker,
    check_detail,
    check_listener,
    check_private,
    check_stored_features,
    check_swap,
    check_teacher,
    check_transforms,
    check_way_back,
)
from lightning_voiceclone.training.cross_speaker import CrossSpeaker
from lightning_voiceclone.training.detail import smoothed
from lightning_voiceclone.training.diversity import spreads
from lightning_voiceclone.training.losses import VOICE_LOSSES, LossInputs, VoiceLosses
from lightning_voiceclone.training.modules.adversarial import AdversarialModule
from lightning_voiceclone.training.step import StepSettings, TrainingPair
from lightning_voiceclone.training.voice_teacher import VoiceTeacher
from lightning_voiceclone.voice.analysis import Analysis
from lightning_voiceclone.voice.model import VoiceModel
from lightning_voiceclone.voice.prosody import move_register


class VoiceTraining(AdversarialModule):
    """Trains a model whose parts are built already (``recipes.VoiceModule`` builds them from a recipe).

    With a content encoder it learns conversion: from the content of a crop and another crop of the same speaker as
    reference, the generator must output the first crop (reconstruction) and pass as real (adversarial). Without one it
    is a plain GAN: speech features from noise alone. A share of each batch (``swap``) is converted to another speaker
    once the discriminator takes part, which compares it with that speaker's reference, or from the first step on with a
    ``teacher``, whose output is the target.

    Losses, by name in ``weights``: reconstruction (mean absolute difference of normalised features), spectral (of the
    waveform at several resolutions; only where the features are the waveform), mel (of the mel spectra of the
    vocoder's waveform at several resolutions), adversarial, feature_matching (with a discriminator), speaker (cosine
    distance of the output's speaker embedding to the target's), statistics (of cross-speaker rows: distance of the
    long-term spectrum of voiced frames, of all frames without ``pitch``, to the reference's), content (cosine
    distance of the output's content to the source's; of cross-speaker rows alone where there are any), teacher (mean
    absolute difference to the normalised features that ``teacher`` generates, of all rows), words (squared distance of
    what ``listener`` hears in the waveform to what it hears in the source, relative to the variance of its channels),
    likeness (cosine distance of what ``speaker_listener`` hears in the waveform to what it hears in the reference) and
    the generator's own (kl of VAEGenerator). A name that is misspelt or has no effect is an error. Channels above a
    recording's bandwidth give no gradient, but for losses of waveforms. Where there is a waveform, speaker, statistics
    and content are those of its features, so that they train the vocoder too.

    A vocoder that trains (``finetune``) learns together with the generator, by a discriminator of waveforms and mel.

    Args:
        model: the parts, joined; those that require gradients train.
        discriminator: classifies real and generated data; None for none.
        adversarial_loss: loss on the discriminator's logits; null for least squares.
        augmentation: transforms of the training audio, which keep its shape; source and target alike.
        content_transforms: transforms of the features given to the content encoder in training, so that it learns
            to ignore what they change.
        target_transforms: transforms of the real features in training, which the generator is to output.
        teacher: model whose output for the same crops and speakers is the target of the loss ``teacher``; None for
            none. Not part of checkpoints.
        listener: encoder of the waveform, by whose output the loss ``words`` compares what is said; None for none.
            Frozen, and not part of checkpoints.
        speaker_listener: encoder of the waveform, by whose output the loss ``likeness`` compares who speaks; likewise.
        swap: share of the rows of a batch that are converted to another row's speaker; rounded down in each process,
            but at least one row. A number, or values by step.
        speaker_noise: standard deviation of noise on the speaker embedding in training, whose numbers have about 1.
        depth: blocks of the generator that are computed, by step, as ``{steps: {0: 2, 2000: 4}}``; those that join
            begin by adding nothing. Null for all.
        detail: number of channels that the real features resolve, by step, as ``{linear: {0: 20, 2000: 80}}``: fewer
            than they have are smoothed over neighbours. Null for all.
        weights: of the losses, by name; each a number, or values by step, as ``{linear: {0: 0, 2000: 1}}``.
        generator_optimizer: optimizer of the generator and the encoders.
        discriminator_optimizer: optimizer of the discriminator.
        scheduler: learning-rate scheduler of both, stepped once a batch; null for a constant rate.
        steps: how the two alternate, clipping, accumulation and averaging.
    """

    trained = "voice"
    may_be_private = True
    voice: VoiceModel

    def __init__(
        self,
        model: VoiceModel,
        discriminator: Discriminator | None = None,
        adversarial_loss: AdversarialLoss | None = None,
        augmentation: list[AudioTransform] | None = None,
        content_transforms: list[FeatureTransform] | None = None,
        target_transforms: list[FeatureTransform] | None = None,
        teacher: VoiceModel | None = None,
        listener: ContentEncoder | None = None,
        speaker_listener: SpeakerEncoder | None = None,
        swap: Scheduled = 0.0,
        speaker_noise: float = 0.0,
        depth: Counted | None = None,
        detail: Scheduled | None = None,
        weights: dict[str, Scheduled] = {"reconstruction": 1.0},  # noqa: B006 (shown by --help; never changed)
        generator_optimizer: OptimizerCallable = torch.optim.AdamW,
        discriminator_optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable | None = None,
        steps: StepSettings = StepSettings(),  # noqa: B008 (frozen)
    ) -> None:
        spec, content, generator = model.spec, model.content_encoder, model.generator
        check_augmentation(augmentation or [])
        check_transforms(augmentation or [], content_transforms or [], model)
        check_way_back(discriminator, model.vocoder)
        share = Schedule.of("model.swap", swap, 0, 1)
        check_swap(share, model.needs_reference, content)
        check_teacher(teacher is not None, weights)
        check_listener("listener", listener, spec, "words", weights)
        check_listener("speaker_listener", speaker_listener, spec, "likeness", weights)
        warmup = 0 if teacher else steps.warmup
        check_cross_speaker(weights, share, may_swap=bool(discriminator or teacher), warmup=warmup)
        check_detail(detail, weights, discriminator)
        check_private(steps.privacy is not None, share)
        growth = None if depth is None else begun_with_depth(generator, depth)
        frozen = {"teacher": teacher, "listener": listener, "speaker_listener": speaker_listener}
        given = {name for name, one in frozen.items() if one is not None}
        absent = absent_losses(model, swap=share.greatest, given=given)
        super().__init__(
            model,
            discriminator,
            adversarial_loss or LeastSquaresLoss(),
            weights=weights,
            own_losses=(VOICE_LOSSES - set(absent)) | generator.loss_names,
            absent=absent,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            scheduler=scheduler,
            steps=steps,
        )
        check_range("model.speaker_noise", speaker_noise, 0, 100)
        self.swap, self.speaker_noise = share, speaker_noise
        self.teacher = None if teacher is None else VoiceTeacher(teacher, model)
        self.depth = growth
        self.detail = None if detail is None else Schedule.of("model.detail", detail, 1, 1e6)
        self.losses = VoiceLosses(self.weights, spec.sample_rate, listener, speaker_listener)
        self.register_buffer("frequencies", model.feature_extractor.channel_frequencies(), persistent=False)
        self.augmentation = nn.ModuleList(augmentation or [])
        self.content_transforms = nn.ModuleList(content_transforms or [])
        self.target_transforms = nn.ModuleList(target_transforms or [])
        self.moments = ChannelMoments(spec.channels)

    @property
    def feature_extractor(self) -> FeatureExtractor:
        """Extractor of the features that the generator outputs."""
        return self.voice.feature_extractor

    @property
    def needs_reference(self) -> bool:
        """Whether the output depends on a reference."""
        return self.voice.needs_reference

    @property
    def generates_from_noise(self) -> bool:
        """Whether there is no content to generate from."""
        return self.voice.content_encoder is None

    @property
    def margin(self) -> int:
        """Frames of audio that are needed on either side of a crop: the maximum over the extractors."""
        return self.voice.margin

    @property
    def figures(self) -> tuple[str, ...]:
        """The distance from recordings; without content, of statistics."""
        return self.moments.figures if self.voice.content_encoder is None else (f"{self.spec.kind}_l1",)

    @property
    def logged(self) -> set[str]:
        """As of all modules, and the generator's own losses."""
        return super().logged | {f"train/{name}" for name in self.voice.generator.loss_names}

    @property
    def schedules(self) -> dict[str, Schedule]:
        """As of all modules; the share of cross-speaker rows, and how generator and targets grow."""
        growing = {"depth": self.depth, "detail": self.detail}
        return super().schedules | {"swap": self.swap} | {n: s for n, s in growing.items() if s is not None}

    def _follow_schedules(self, step: int) -> None:
        super()._follow_schedules(step)
        if self.depth is not None:
            self.voice.generator.use_depth(int(self.depth.at(step)))

    def advice(self, checkpoint: Path) -> str:
        """The command that clones with the checkpoint."""
        return f"clone with\n  lvc clone --checkpoint {checkpoint} --source a.wav --reference b.wav --output c.wav"

    # A batch becomes a pair ------------------------------------------------------------------------------------------

    def make_pair(self, batch: Batch) -> TrainingPair:
        """The crop, and the generator's output for its content and the speaker of the reference crop."""
        source, reference = self._analyze(batch)
        prompt = None if reference is None else self.voice.prompt_from_analysis(reference)
        cross_speaker = CrossSpeaker.of(len(batch.audio), self._share)
        index = cross_speaker.index(batch.audio.device)
        wanted = None if prompt is None else prompt.rows(index)
        if self.training and wanted is not None:
            wanted = wanted.with_noise(self.speaker_noise)
        transforms: Any = self.content_transforms if self.training else ()
        script = self.voice.script_from_analysis(source, content_transforms=transforms)
        register = None if wanted is None else cross_speaker.register(wanted)
        condition = self.voice.condition(move_register(script, register), wanted)
        fake, own = self.voice.generator.forward_with_losses(condition)
        check_output(self.voice.generator, fake, "(B, F, T)", *source.features.shape)
        frames = condition.mask(fake.shape[-1]).sum((1, 2))
        losses = {name: RowLoss(values, frames) for name, values in own.items()}
        condition = cross_speaker.condition(condition, reference)
        mask = condition.mask(fake.shape[-1])
        fake = fake * mask
        real = cross_speaker.real(source, reference) * mask
        if self.training:
            for transform in self.target_transforms:
                real = transform(real) * mask
            if self.detail is not None:
                real = smoothed(real, self.detail.at(self.global_step))
        in_band = self._in_band(batch, cross_speaker)
        real = torch.where(in_band, real, fake.detach())
        output = fake
        waveform = self.voice.vocode(fake, condition.f0) if self._vocodes else None
        heard = None if waveform is None else self.voice.normalizer(self.feature_extractor(waveform)) * mask
        made = LossInputs(source, reference, prompt, cross_speaker, condition, fake, real, in_band,
                    converting=self.training and self.swap.greatest > 0, waveform=waveform, heard=heard,
                    taught=self._taught(source, reference, cross_speaker))  # fmt: skip
        losses |= self.losses(self.voice, made)
        if self._discriminates_audio:
            assert waveform is not None
            kept = mask.repeat_interleave(self.spec.hop_length, 2)  # real and fake are padded differently
            real, fake = (audio[:, None] * kept for audio in (cross_speaker.audio(source, reference), waveform))
        theirs = None if reference is None else reference.features
        return TrainingPair(real, fake, condition, losses, cross_speaker.swapped, output, theirs)

    def _taught(self, source: Analysis, reference: Analysis | None, cross_speaker: CrossSpeaker) -> Tensor | None:
        """(B, F, T) features of the teacher, where a loss needs them in this step."""
        if self.teacher is None or reference is None or not self.weights.get("teacher"):
            return None
        return self.teacher.features(self.voice, source, reference, cross_speaker)

    def spreads(self, pair: TrainingPair) -> dict[str, Tensor]:
        """Of the generator's features; nothing where the discriminator takes waveforms, or of a single row."""
        if self._discriminates_audio or len(pair.real) - pair.unpaired < 2:
            return {}
        own = slice(pair.unpaired, None)  # the others' real features are those of the reference itself
        reference = None if pair.reference is None else pair.reference[own]
        return spreads(self.voice.generator, pair.condition.detach().rows(own), pair.real[own], reference)

    @property
    def _discriminates_audio(self) -> bool:
        return self.discriminator is not None and self.discriminator.takes == "audio"

    @property
    def _vocodes(self) -> bool:
        """Whether training uses the vocoder."""
        return self._discriminates_audio or self.losses.of_waveforms

    def _in_band(self, batch: Batch, cross_speaker: CrossSpeaker) -> Tensor:
        """(B, F or 1, 1), whether each channel's frequency lies within the bandwidth of the row's target recording."""
        bandwidth, reference = batch.bandwidth, batch.reference_bandwidth
        if bandwidth is None or self.frequencies is None:
            return torch.ones(len(batch.audio), 1, 1, dtype=torch.bool, device=batch.audio.device)
        assert isinstance(self.frequencies, Tensor)
        known = cross_speaker.beside(bandwidth, bandwidth if reference is None else reference)
        return (self.frequencies <= known[:, None])[:, :, None]

    def _analyze(self, batch: Batch) -> tuple[Analysis, Analysis | None]:
        audio, reference = batch.audio, batch.reference
        if self.training and len(self.augmentation):
            check_stored_features(batch.features is not None, self.augmentation)
            for transform in self.augmentation:
                audio = transform(audio, self.spec.sample_rate)
        source = self.voice.analyze(audio, batch.lengths, margin=batch.margin, features=batch.features)
        if not self.voice.needs_reference:
            return source, None
        prosody = self._share > 0  # for the median f0 of the target speaker
        return source, self.voice.analyze(reference, batch.reference_lengths, prosody=prosody)

    @property
    def _share(self) -> float:
        """Share of cross-speaker rows in this step."""
        swaps = self.playing or (self.teacher is not None and self.weights["teacher"] > 0)
        return self.swap.at(self.global_step) if self.training and swaps else 0.0

    def _evaluated(self, batch: Batch) -> tuple[Analysis, Condition]:
        """The crops, and the generator's input that reconstructs each of them with its reference crop."""
        source, reference = self._analyze(batch)
        prompt = None if reference is None else self.voice.prompt_from_analysis(reference)
        return source, self.voice.condition(self.voice.script_from_analysis(source), prompt)

    # Hooks -----------------------------------------------------------------------------------------------------------

    def fit_statistics(self, recordings: Iterable[Tensor]) -> None:
        """Fit the normaliser, and those of the encoders, to the features of some recordings, unless that was done."""
        features = [self.feature_extractor(audio[None]) for audio in recordings]
        self.voice.normalizer.fit_once(features)
        for encoder in (self.voice.content_encoder, self.voice.speaker_encoder):
            if encoder is not None:
                encoder.fit_statistics(features)

    def evaluate(self, batch: Batch, stage: str) -> None:
        """Log the distance of reconstructed crops to the crops, in the extractor's units; without content, moments."""
        with self.averaged():
            source, condition = self._evaluated(batch)
            fake = self.voice.generator(condition)
        mask = condition.mask(fake.shape[-1])
        if self.voice.content_encoder is None:
            self.moments.update(source.features, fake, mask)
            return
        inverse = self.voice.normalizer.inverse
        in_band = self._in_band(batch, CrossSpeaker(len(fake), 0))
        real = torch.where(in_band, source.features, fake)
        distance = masked_l1(inverse(fake), inverse(real), mask).mean()
        self.log(f"{stage}/{self.figures[0]}", distance, prog_bar=True, batch_size=len(fake), sync_dist=True)

    def on_validation_epoch_end(self) -> None:
        """Log the distance of generated to real moments, for a model without content encoder."""
        self._log_moments("validation")

    def on_test_epoch_end(self) -> None:
        """As after validation."""
        self._log_moments("test")

    def _log_moments(self, stage: str) -> None:
        if self.moments.update_called:
            self.log_dict({f"{stage}/{name}": value for name, value in self.moments.compute().items()})
            self.moments.reset()

    def predict_step(self, batch: Batch, batch_idx: int) -> list[tuple[str, Tensor]]:
        """Resynthesise each crop with its reference crop; (name, (N,) samples) each."""
        with self.averaged():
            condition = self._evaluated(batch)[1]
            audio = self.voice.vocode(self.voice.generator(condition), condition.f0)
        hop = self.spec.hop_length
        rows = zip(batch.names, audio, batch.lengths, strict=True)
        return [(name, row[: int(frames) * hop]) for name, row, frames in rows]

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the model's description, so that the checkpoint alone is enough to clone with."""
        super().on_save_checkpoint(checkpoint)
        if self.private is not None:
            self.voice.privacy = self.private.ledger.record()
        checkpoint["voice"] = describe_voice(self.voice)
        checkpoint["discriminator"] = None if self.discriminator is None else describe(self.discriminator)

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Refuse a checkpoint whose features mean something else, before any weight is loaded.

        Raises:
            ConfigurationError: if it holds no model.
            SpecMismatchError: if its spec or a part differs; names it, and both values.
        """
        stored = checkpoint.get("voice")
        if stored is None:
            raise ConfigurationError("the checkpoint holds no model; name one that lvc fit wrote for a VoiceModule")
        check_join("the checkpoint", AudioSpec.from_mapping(stored["spec"]), "this configuration", self.spec)
        against = None if self.discriminator is None else describe(self.discriminator)
        theirs = {**stored["parts"], "discriminator": checkpoint.get("discriminator")}
        ours = {**describe_voice(self.voice)["parts"], "discriminator": against}
        check_same_parts(theirs, ours, but=set() if self._vocodes else {"vocoder"})
        super().on_load_checkpoint(checkpoint)
