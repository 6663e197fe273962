"""Training a vocoder: from features to the waveform they came from, against discriminators of waveforms."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

from lightning_voiceclone.checkpoints.compatibility import check_same_parts
from lightning_voiceclone.checkpoints.part_folder import description_of
from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import (
    AdversarialLoss,
    AudioTransform,
    Discriminator,
    FeatureExtractor,
    Vocoder,
)
from lightning_voiceclone.core.output_checks import check_output
from lightning_voiceclone.core.part import describe
from lightning_voiceclone.core.schedule import Scheduled
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.prosody import pitch_beside, tracked
from lightning_voiceclone.losses.adversarial import LeastSquaresLoss
from lightning_voiceclone.losses.mel import MultiResolutionMelLoss
from lightning_voiceclone.losses.reconstruction import MultiResolutionSpectralLoss
from lightning_voiceclone.losses.rows import RowLoss
from lightning_voiceclone.training.checks import check_augmentation, check_stored_features
from lightning_voiceclone.training.frozen import Frozen
from lightning_voiceclone.training.modules.adversarial import AdversarialModule
from lightning_voiceclone.training.step import StepSettings, TrainingPair
from lightning_voiceclone.voice.model import VoiceModel


class VocoderTraining(AdversarialModule):
    """Trains a vocoder on recordings alone, to reconstruct each crop from its features.

    With ``voice`` the features are not the recordings' own but the output of that model's generator for the content
    and speaker of each crop (teacher forcing): the vocoder is trained on the features that it gets when cloning.

    Losses, by name in ``weights``: mel (of the mel spectra at several resolutions), spectral (of the spectra at
    several resolutions), adversarial and feature_matching (with a discriminator), likelihood (bits a sample; of
    vocoders that have one, such as WaveNet, which then need neither discriminator nor other losses).

    Args:
        feature_extractor: of the features that the vocoder takes; sets sample rate, hop and width.
        vocoder: from features to a waveform.
        discriminator: classifies real and generated waveforms; null for none.
        adversarial_loss: loss on the discriminator's logits.
        voice: model whose generator makes the features; None for the recordings' own. Not part of checkpoints.
        augmentation: transforms of the training audio, which keep its shape.
        weights: of the losses, by name; each a number, or values by step, as ``{linear: {0: 0, 2000: 1}}``.
        generator_optimizer: optimizer of the vocoder.
        discriminator_optimizer: optimizer of the discriminator.
        scheduler: learning-rate scheduler of both, stepped once a batch; null for a constant rate.
        steps: how the two alternate, clipping, accumulation and averaging.
    """

    trained = "vocoder"
    vocoder: Vocoder

    def __init__(
        self,
        feature_extractor: FeatureExtractor,
        vocoder: Vocoder,
        discriminator: Discriminator | None = None,
        voice: VoiceModel | None = None,
        adversarial_loss: AdversarialLoss | None = None,
        augmentation: list[AudioTransform] | None = None,
        weights: dict[str, Scheduled] = {"mel": 1.0},  # noqa: B006 (shown by --help; never changed)
        generator_optimizer: OptimizerCallable = torch.optim.AdamW,
        discriminator_optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable | None = None,
        steps: StepSettings = StepSettings(),  # noqa: B008 (frozen)
    ) -> None:
        spec = feature_extractor.spec
        _check(vocoder, discriminator)
        check_join("the feature extractor", spec, "the vocoder", vocoder.spec)
        absent = _absent_losses(vocoder)
        super().__init__(
            vocoder,
            discriminator,
            adversarial_loss or LeastSquaresLoss(),
            weights=weights,
            own_losses={"mel", "spectral", "likelihood"} - set(absent),
            absent=absent,
            generator_optimizer=generator_optimizer,
            discriminator_optimizer=discriminator_optimizer,
            scheduler=scheduler,
            steps=steps,
        )
        self.extractor = feature_extractor
        self.augmentation = nn.ModuleList(augmentation or [])
        check_augmentation(augmentation or [])
        self.mel = MultiResolutionMelLoss(spec.sample_rate)
        self.spectral = MultiResolutionSpectralLoss() if "spectral" in self.weights else None
        self.pitch: FeatureExtractor | None = None
        if "f0" in vocoder.needs:
            own = None if voice is None else voice.pitch  # what the vocoder will be used with
            self.pitch = own or pitch_beside(spec)
        self._teacher = None if voice is None else Frozen(voice)
        if voice is not None:
            check_join("the feature extractor", spec, "the model of model.voice", voice.spec)
            if augmentation:
                raise ConfigurationError(
                    "augmentation would change the crops but not their references, from which model.voice generates;"
                    " leave out model.augmentation or model.voice"
                )

    @property
    def feature_extractor(self) -> FeatureExtractor:
        """Extractor of the features that the vocoder takes."""
        return self.extractor

    @property
    def needs_reference(self) -> bool:
        """Whether the features come from a model that needs a reference."""
        return self._teacher is not None and self._teacher.module.needs_reference

    @property
    def margin(self) -> int:
        """Frames of audio that are needed on either side of a crop."""
        teacher = None if self._teacher is None else self._teacher.module
        return max(part.margin for part in (self.extractor, self.pitch, teacher) if part is not None)

    @property
    def figures(self) -> tuple[str, ...]:
        """Likelihood of the real waveform for a vocoder trained by it; else the distance of mel bands."""
        return ("likelihood",) if "likelihood" in self.weights else ("mel",)

    def advice(self, checkpoint: Path) -> str:
        """The command that clones with the vocoder."""
        command = f"lvc clone --vocoder {checkpoint} --checkpoint X --source a.wav --reference b.wav --output c.wav"
        return f"clone by a model X and this vocoder with\n  {command}"

    # A batch becomes a pair ------------------------------------------------------------------------------------------

    def make_pair(self, batch: Batch) -> TrainingPair:
        """The crop, and the vocoder's output for its features."""
        features, given, real = self._features(batch)
        losses: dict[str, RowLoss | Tensor] = {}
        if "likelihood" in self.weights:
            losses["likelihood"] = self.vocoder.likelihood(features, real)
        fake = self.vocoder(features, **given) if self._needs_waveform else real
        check_output(self.vocoder, fake, "(B, T * hop)", *real.shape)
        if "mel" in self.weights:
            losses["mel"] = self.mel(fake, real)
        if self.spectral is not None:
            losses["spectral"] = self.spectral(fake, real)
        return TrainingPair(real[:, None], fake[:, None], Condition(batch.lengths), losses, output=fake)

    @property
    def _needs_waveform(self) -> bool:
        """Whether a loss needs the waveform; training by likelihood alone does not."""
        return any(name != "likelihood" for name in self.weights)

    @torch.no_grad()
    def _features(self, batch: Batch) -> tuple[Tensor, dict[str, Tensor], Tensor]:
        """Features (B, F, T) in the extractor's own units, what the vocoder takes beside, and their samples."""
        audio = batch.audio
        if self.training and len(self.augmentation):
            check_stored_features(batch.features is not None, self.augmentation)
            for transform in self.augmentation:
                audio = transform(audio, self.spec.sample_rate)
        hop, frames = self.spec.hop_length, audio.shape[1] // self.spec.hop_length - 2 * batch.margin
        inner = audio[:, batch.margin * hop : (batch.margin + frames) * hop]
        given = {} if self.pitch is None else {"f0": self._f0(audio, batch)}
        if self._teacher is None:
            # Stored features are not padded with those of silence.
            if batch.features is not None and self._whole(batch, frames):
                return batch.features, given, inner
            return self._extracted(audio, batch), given, inner
        voice = self._teacher.on(audio.device)
        source = voice.analyze(audio, batch.lengths, margin=batch.margin)
        prompt = None
        if self.needs_reference:
            prompt = voice.prompt_from_analysis(voice.analyze(batch.reference, batch.reference_lengths, prosody=False))
        condition = voice.condition(voice.script_from_analysis(source), prompt)
        made = voice.normalizer.inverse(voice.generator(condition))
        if not self._whole(batch, frames):  # beyond a recording's end, use those of silence
            made = torch.where(Condition(batch.lengths).mask(frames).bool(), made, self._extracted(audio, batch))
        return made, given, inner

    def _extracted(self, audio: Tensor, batch: Batch) -> Tensor:
        features = self.extractor(audio)
        return features[..., batch.margin : features.shape[-1] - batch.margin]

    def _f0(self, audio: Tensor, batch: Batch) -> Tensor:
        """(B, T) in Hz; 0 in frames without voice."""
        assert self.pitch is not None
        f0 = tracked(audio, self.pitch)
        return f0[:, batch.margin : f0.shape[-1] - batch.margin]

    @staticmethod
    def _whole(batch: Batch, frames: int) -> bool:
        """Whether every crop is of a recording that is long enough."""
        return bool((batch.lengths >= frames).all())

    # Hooks -----------------------------------------------------------------------------------------------------------

    def fit_statistics(self, recordings: Iterable[Tensor]) -> None:
        """Fit the vocoder's statistics to the features of some recordings."""
        self.vocoder.fit_statistics(self.extractor(audio[None]) for audio in recordings)

    def evaluate(self, batch: Batch, stage: str) -> None:
        """Log the distance of the generated to the real waveform, or the likelihood of the real one."""
        features, given, real = self._features(batch)
        with self.averaged():
            if "likelihood" in self.weights:
                distance = self.vocoder.likelihood(features, real)
            else:
                distance = self.mel(self.vocoder(features, **given), real)
        self.log(f"{stage}/{self.figures[0]}", distance.mean(), prog_bar=True, batch_size=len(real), sync_dist=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> list[tuple[str, Tensor]]:
        """Resynthesise each crop from its features; (name, (N,) samples) each."""
        features, given, _ = self._features(batch)
        with self.averaged():
            audio = self.vocoder(features, **given)
        hop = self.spec.hop_length
        rows = zip(batch.names, audio, batch.lengths, strict=True)
        return [(name, row[: int(frames) * hop]) for name, row, frames in rows]

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the vocoder's description, so that the checkpoint alone is enough to use it."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["vocoder"] = description_of(self.vocoder, self.spec)
        checkpoint["discriminator"] = None if self.discriminator is None else describe(self.discriminator)

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Refuse a checkpoint whose features mean something else, before any weight is loaded.

        Raises:
            ConfigurationError: if it holds no vocoder, or one of other parts.
            SpecMismatchError: if its spec differs; names the field and both values.
        """
        stored = checkpoint.get("vocoder")
        if stored is None:
            raise ConfigurationError("the checkpoint holds no vocoder; name one that lvc fit wrote for a VocoderModule")
        check_join("the checkpoint", AudioSpec.from_mapping(stored["spec"]), "this configuration", self.spec)
        against = None if self.discriminator is None else describe(self.discriminator)
        check_same_parts(
            {"vocoder": stored["part"], "discriminator": checkpoint.get("discriminator")},
            {"vocoder": description_of(self.vocoder, self.spec)["part"], "discriminator": against},
        )
        super().on_load_checkpoint(checkpoint)


def _check(vocoder: Vocoder, discriminator: Discriminator | None) -> None:
    if not any(p.requires_grad for p in vocoder.parameters()):
        reason = (
            "its pretrained weights are frozen; set finetune to train them further"
            if vocoder.weights_sha256
            else "it has no weights"
        )
        raise ConfigurationError(f"{type(vocoder).__name__} cannot be trained: {reason}")
    if discriminator is not None and discriminator.takes != "audio":
        raise ConfigurationError(
            f"{type(discriminator).__name__} takes features, not waveforms; use WaveformDiscriminator, for example"
        )


def _absent_losses(vocoder: Vocoder) -> dict[str, str]:
    absent = {}
    name = type(vocoder).__name__
    if "likelihood" not in vocoder.capabilities:
        absent["likelihood"] = f"{name} computes no likelihood"
    if "differentiable" not in vocoder.capabilities:
        reason = f"{name} is not differentiable; train it by its likelihood"
        absent |= dict.fromkeys(("mel", "spectral", "adversarial", "feature_matching"), reason)
    return absent
