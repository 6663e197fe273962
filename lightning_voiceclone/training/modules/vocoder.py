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
from lightning_voiceclone.core.part import describe
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.adversarial import LeastSquaresLoss
from lightning_voiceclone.losses.mel import MultiResolutionMelLoss
from lightning_voiceclone.losses.reconstruction import MultiResolutionSpectralLoss
from lightning_voiceclone.training.checks import check_augmentation, check_stored_features
from lightning_voiceclone.training.frozen import Frozen
from lightning_voiceclone.training.modules.adversarial import AdversarialModule
from lightning_voiceclone.training.step import StepSettings, TrainingPair
from lightning_voiceclone.voice.model import VoiceModel


class VocoderTraining(AdversarialModule):
    """A vocoder in training, from recordings alone: the features of each crop must become the crop again.

    With ``voice`` the features are not the recordings' own but what that voice's generator makes of them, told what
    each crop says and who says it (teacher forcing): the vocoder learns to speak from what it will be given.

    Losses, by name in ``weights``: mel (of the mel spectra at several resolutions), spectral (of the spectra at
    several resolutions), adversarial and feature_matching (with a discriminator), likelihood (bits a sample; of
    vocoders that have one, such as WaveNet, which then need neither discriminator nor other losses).

    Args:
        feature_extractor: of the features that the vocoder is to understand; owns rate, hop and width.
        vocoder: from features to a waveform.
        discriminator: of waveforms, tells real from fake; null for none.
        adversarial_loss: the game that the two play.
        voice: model whose generator makes the features; None for the recordings' own. Not part of checkpoints.
        augmentation: transforms of the training audio, which keep its shape.
        weights: of the losses, by name.
        generator_optimizer: optimizer of the vocoder.
        discriminator_optimizer: optimizer of the discriminator.
        scheduler: learning-rate scheduler of both, stepped once a batch; null for a constant rate.
        steps: how the two take turns, clipping, accumulation and averaging.
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
        weights: dict[str, float] = {"mel": 1.0},  # noqa: B006 (shown by --help; never changed)
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
        self._teacher = None if voice is None else Frozen(voice)
        if voice is not None:
            check_join("the feature extractor", spec, "the voice of model.voice", voice.spec)
            if augmentation:
                raise ConfigurationError(
                    "augmentation would change what the voice is to say and not the reference that it is to say it as;"
                    " leave out model.augmentation or model.voice"
                )

    @property
    def feature_extractor(self) -> FeatureExtractor:
        """Of the features that the vocoder understands."""
        return self.extractor

    @property
    def needs_reference(self) -> bool:
        """Whether a voice makes the features, which needs a reference."""
        return self._teacher is not None and self._teacher.module.needs_reference

    @property
    def margin(self) -> int:
        """Frames of audio that are needed on either side of a crop."""
        return max(self.extractor.margin, 0 if self._teacher is None else self._teacher.module.margin)

    @property
    def figures(self) -> tuple[str, ...]:
        """How likely the real waveform is, for a vocoder that learns by that; else the distance of mel bands."""
        return ("likelihood",) if "likelihood" in self.weights else ("mel",)

    def advice(self, checkpoint: Path) -> str:
        """How to hear a voice through the vocoder."""
        command = f"lvc clone --vocoder {checkpoint} --checkpoint X --source a.wav --reference b.wav --output c.wav"
        return f"hear a voice X through it with\n  {command}"

    # A batch becomes a pair ------------------------------------------------------------------------------------------

    def make_pair(self, batch: Batch) -> TrainingPair:
        """The crop, and what the vocoder makes of its features."""
        features, real = self._features(batch)
        losses = {}
        if "likelihood" in self.weights:
            losses["likelihood"] = self.vocoder.likelihood(features, real)
        fake = self.vocoder(features) if self._speaks else real
        if "mel" in self.weights:
            losses["mel"] = self.mel(fake, real)
        if self.spectral is not None:
            losses["spectral"] = self.spectral(fake, real)
        return TrainingPair(real[:, None], fake[:, None], Condition(batch.lengths), losses)

    @property
    def _speaks(self) -> bool:
        """Whether training needs the waveform; a vocoder trained by likelihood alone would make it in vain."""
        return any(name != "likelihood" for name in self.weights)

    @torch.no_grad()
    def _features(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Features (B, F, T) in the extractor's own units, and their samples (B, T * hop)."""
        audio = batch.audio
        if self.training and len(self.augmentation):
            check_stored_features(batch.features is not None, self.augmentation)
            for transform in self.augmentation:
                audio = transform(audio, self.spec.sample_rate)
        hop, frames = self.spec.hop_length, audio.shape[1] // self.spec.hop_length - 2 * batch.margin
        inner = audio[:, batch.margin * hop : (batch.margin + frames) * hop]
        if self._teacher is None:
            if batch.features is not None and self._whole(batch, frames):  # what pads stored ones is no silence
                return batch.features, inner
            return self._extracted(audio, batch), inner
        voice = self._teacher.on(audio.device)
        source = voice.analyze(audio, batch.lengths, margin=batch.margin)
        prompt = None
        if self.needs_reference:
            prompt = voice.prompt_from_analysis(voice.analyze(batch.reference, batch.reference_lengths, prosody=False))
        condition = voice.condition(voice.script_from_analysis(source), prompt)
        made = voice.normalizer.inverse(voice.generator(condition))
        if not self._whole(batch, frames):  # beyond a recording's end, where nobody speaks
            made = torch.where(Condition(batch.lengths).mask(frames).bool(), made, self._extracted(audio, batch))
        return made, inner

    def _extracted(self, audio: Tensor, batch: Batch) -> Tensor:
        features = self.extractor(audio)
        return features[..., batch.margin : features.shape[-1] - batch.margin]

    @staticmethod
    def _whole(batch: Batch, frames: int) -> bool:
        """Whether every crop is of a recording that is long enough."""
        return bool((batch.lengths >= frames).all())

    # Hooks -----------------------------------------------------------------------------------------------------------

    def fit_statistics(self, recordings: Iterable[Tensor]) -> None:
        """Let the vocoder see the features of some recordings."""
        self.vocoder.fit_statistics(self.extractor(audio[None]) for audio in recordings)

    def evaluate(self, batch: Batch, stage: str) -> None:
        """Log the distance of the waveform that is made of features, or how likely the real one is."""
        features, real = self._features(batch)
        with self.averaged():
            if "likelihood" in self.weights:
                distance = self.vocoder.likelihood(features, real)
            else:
                distance = self.mel(self.vocoder(features), real)
        self.log(f"{stage}/{self.figures[0]}", distance, prog_bar=True, batch_size=len(real), sync_dist=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> list[tuple[str, Tensor]]:
        """Speak each crop again from its features; (name, (N,) samples) each."""
        features, _ = self._features(batch)
        with self.averaged():
            audio = self.vocoder(features)
        hop = self.spec.hop_length
        rows = zip(batch.names, audio, batch.lengths, strict=True)
        return [(name, row[: int(frames) * hop]) for name, row, frames in rows]

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the vocoder's description, so that the checkpoint alone is enough to speak with."""
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
        judge = None if self.discriminator is None else describe(self.discriminator)
        check_same_parts(
            {"vocoder": stored["part"], "discriminator": checkpoint.get("discriminator")},
            {"vocoder": description_of(self.vocoder, self.spec)["part"], "discriminator": judge},
        )


def _check(vocoder: Vocoder, judge: Discriminator | None) -> None:
    if not any(p.requires_grad for p in vocoder.parameters()):
        reason = (
            "its pretrained weights are frozen; set finetune to train them further"
            if vocoder.weights_sha256
            else "it has no weights"
        )
        raise ConfigurationError(f"{type(vocoder).__name__} cannot be trained: {reason}")
    if judge is not None and judge.takes != "audio":
        raise ConfigurationError(
            f"{type(judge).__name__} judges features, not waveforms; use WaveformDiscriminator, say"
        )


def _absent_losses(vocoder: Vocoder) -> dict[str, str]:
    absent = {}
    name = type(vocoder).__name__
    if "likelihood" not in vocoder.capabilities:
        absent["likelihood"] = f"{name} gives no likelihood"
    if "differentiable" not in vocoder.capabilities:
        reason = f"no gradient comes back through {name}; train it by its likelihood"
        absent |= dict.fromkeys(("mel", "spectral", "adversarial", "feature_matching"), reason)
    return absent
