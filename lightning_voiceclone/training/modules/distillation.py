"""Distil a large encoder into a small one, so that cloning needs only the small one."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_voiceclone.checkpoints.compatibility import check_same_parts
from lightning_voiceclone.checkpoints.external_weights import describe_with_weights
from lightning_voiceclone.checkpoints.part_folder import description_of
from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import (
    AudioTransform,
    ContentEncoder,
    FeatureExtractor,
    FeatureTransform,
    SpeakerEncoder,
    check_rate,
)
from lightning_voiceclone.core.masking import resample_frames
from lightning_voiceclone.core.schedule import Scheduled
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.normalizer import Normalizer
from lightning_voiceclone.losses.adversarial import LeastSquaresLoss
from lightning_voiceclone.losses.rows import RowLoss, mean_of_frames
from lightning_voiceclone.training.checks import check_augmentation
from lightning_voiceclone.training.frozen import Frozen
from lightning_voiceclone.training.modules.adversarial import AdversarialModule, OptimizerFactory
from lightning_voiceclone.training.step import StepSettings, TrainingPair
from lightning_voiceclone.training.transcripts import TranscriptHead

Encoder = ContentEncoder | SpeakerEncoder
RIDGE = 1e-2  # for each frame
HEAD_RATE = 10.0  # learning rate of the head of transcripts, times that of the encoder


class _Student(nn.Module):
    """The encoder, perhaps a linear head from its bottleneck to the teacher's output, perhaps one to transcripts."""

    def __init__(self, encoder: Encoder, outputs: int, *, head: bool, spells: bool):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.channels, outputs) if head else None
        self.transcripts = TranscriptHead(encoder.channels) if spells else None

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        """What the encoder gives, and what the head predicts from it: in the teacher's normalised units."""
        encoded = self.encoder(x, lengths)
        return encoded, encoded if self.head is None else self.head(encoded.movedim(1, -1)).movedim(-1, 1)


class DistillationTraining(AdversarialModule):
    """Trains a content or speaker encoder to predict, from features, what a teacher computes from the audio.

    The student's input may be augmented (another pitch, other formants, noise) while the teacher's is not: so the
    student learns to ignore what changes, such as the voice, and keeps what the teacher encodes.

    Losses, by name in ``weights``: distance is the mean squared error of the teacher's channels, each divided by its
    variance over the training recordings: always predicting the mean gives 1, and 1 - distance is the share of
    explained variance. ctc (of content encoders) is the negative log-likelihood of a character of the transcript, in
    nats, by a head on the student's output (``TranscriptHead``), of crops that hold a whole recording.

    Args:
        feature_extractor: of the features that the student takes, in its own units.
        encoder: the student: a content or speaker encoder that takes features and is not ``normalized``.
        teacher: of the same kind; frozen.
        common_augmentation: transforms of the training audio for both, such as speakers made by RandomSpeed.
        augmentation: transforms of the student's audio in training, which keep its shape and its timing.
        content_transforms: transforms of the student's features in training.
        parallel: probability that the student is given the parallel recording instead, where there is one (column of
            ``Table``): its output should not depend on the speaker.
        head: predict the teacher's channels by a linear head on the student's output; without it the output itself is
            to be the teacher's, so that a generator can be given either.
        weights: of the losses, by name; each a number, or values by step, as ``{linear: {0: 0, 2000: 1}}``.
        optimizer: of the student.
        scheduler: learning-rate scheduler, stepped once a batch; null for a constant rate.
        steps: clipping, accumulation and averaging.
    """

    trained = "student"
    student: _Student

    def __init__(
        self,
        feature_extractor: FeatureExtractor,
        encoder: Encoder,
        teacher: Encoder,
        common_augmentation: list[AudioTransform] | None = None,
        augmentation: list[AudioTransform] | None = None,
        content_transforms: list[FeatureTransform] | None = None,
        parallel: float = 0.5,
        head: bool = True,
        weights: dict[str, Scheduled] = {"distance": 1.0},  # noqa: B006 (shown by --help; never changed)
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable | None = None,
        steps: StepSettings = StepSettings(),  # noqa: B008 (frozen)
    ) -> None:
        _check(encoder, teacher, feature_extractor.spec, augmentation or [])
        if not head and encoder.channels != teacher.channels:
            raise ConfigurationError(
                f"without a head the student must be as wide as the teacher, but it has {encoder.channels} channels and"
                f" the teacher {teacher.channels}"
            )
        spells = bool(weights.get("ctc")) and isinstance(encoder, ContentEncoder)
        super().__init__(
            _Student(encoder, teacher.channels, head=head, spells=spells),
            None,
            LeastSquaresLoss(),
            weights=weights,
            own_losses={"distance", "ctc"} if isinstance(encoder, ContentEncoder) else {"distance"},
            absent={} if isinstance(encoder, ContentEncoder) else {"ctc": "a speaker encoder outputs no words"},
            generator_optimizer=optimizer,
            discriminator_optimizer=optimizer,
            scheduler=scheduler,
            steps=steps,
        )
        self.extractor = feature_extractor
        self._teacher = Frozen(teacher)
        self.scale = Normalizer(teacher.channels)  # of the teacher's channels
        check_augmentation(common_augmentation or [])
        self.common_augmentation = nn.ModuleList(common_augmentation or [])
        self.augmentation = nn.ModuleList(augmentation or [])
        self.content_transforms = nn.ModuleList(content_transforms or [])
        if not 0 <= parallel <= 1:
            raise ConfigurationError(f"parallel is {parallel}; it is a probability, from 0 to 1")
        self.parallel = parallel

    predicts_audio = False

    @property
    def feature_extractor(self) -> FeatureExtractor:
        """Extractor of the student's features."""
        return self.extractor

    @property
    def teacher(self) -> Encoder:
        """The frozen encoder whose output is the target."""
        return self._teacher.module

    @property
    def needs_transcripts(self) -> bool:
        """Whether words are learned from transcripts."""
        return self.student.transcripts is not None

    @property
    def figures(self) -> tuple[str, ...]:
        """The distance from the teacher, and the loss of the transcripts where they are learned."""
        return ("distance", "ctc") if self.needs_transcripts else ("distance",)

    def generator_optimizer(self, make: OptimizerFactory) -> Optimizer:
        """The head of the transcripts, which begins from nothing beside a trained encoder, has ten times the rate."""
        if self.student.transcripts is None:
            return super().generator_optimizer(make)
        fresh = list(self.student.transcripts.parameters())
        known = {id(p) for p in fresh}
        optimizer = make([p for p in self.student.parameters() if p.requires_grad and id(p) not in known])
        optimizer.add_param_group({"params": fresh, "lr": HEAD_RATE * optimizer.param_groups[0]["lr"]})
        return optimizer

    def advice(self, checkpoint: Any) -> str:
        """How to use the student."""
        return f"use it in a model with\n  lvc save {checkpoint} --output ENCODER, and pretrained: ENCODER"

    # A batch becomes a pair ------------------------------------------------------------------------------------------

    def make_pair(self, batch: Batch) -> TrainingPair:
        """Output of the teacher (real) and of the student (fake)."""
        frames = batch.audio.shape[1] // self.spec.hop_length - 2 * batch.margin
        with torch.no_grad():
            self._check_parallels(batch)
            for transform in self.common_augmentation if self.training else ():
                batch = replace(batch, audio=transform(batch.audio, self.spec.sample_rate))
            target = self.scale(self._target(batch, frames))
            features = self._student_features(batch, frames)
        encoded, predicted = self.student(features, batch.lengths)
        output = _over_time(predicted) if self.student.head is not None else self.scale(_over_time(predicted))
        mask = torch.ones_like(target[:, :1])
        if isinstance(self.teacher, ContentEncoder):
            assert isinstance(self.student.encoder, ContentEncoder)
            output = resample_frames(output, target.shape[2], self.student.encoder.frame_rate, self.teacher.frame_rate)
            real = torch.ceil(batch.lengths * self.teacher.frame_rate / self.spec.frame_rate)
            mask = Condition(real).mask(target.shape[2])
        losses = {"distance": mean_of_frames((output - target).square(), mask)} | self._ctc(encoded, batch)
        return TrainingPair(target, output, Condition(batch.lengths), losses)

    def _ctc(self, encoded: Tensor, batch: Batch) -> dict[str, RowLoss]:
        """Loss of the transcripts; nothing where no crop has one."""
        if self.student.transcripts is None or batch.texts is None:
            return {}
        steps = torch.ceil(batch.lengths * cast(ContentEncoder, self.student.encoder).frame_rate / self.spec.frame_rate)
        loss = self.student.transcripts.loss(encoded, steps, batch.texts)
        return {} if loss is None else {"ctc": loss}

    def _check_parallels(self, batch: Batch) -> None:
        if self.parallel and batch.parallel is not None and len(self.common_augmentation):
            raise ConfigurationError(
                "the corpus has parallel recordings, whose common_augmentation would differ; leave that out, or set"
                " parallel to 0"
            )

    def _target(self, batch: Batch, frames: int) -> Tensor:
        """Output of the teacher for the crops without the student's augmentation."""
        hop = self.spec.hop_length
        audio = batch.audio[:, batch.margin * hop : (batch.margin + frames) * hop]
        x = audio if self.teacher.takes == "audio" else self.extractor(batch.audio)[..., batch.margin :][..., :frames]
        lengths = batch.lengths * (hop if self.teacher.takes == "audio" else 1)
        return _over_time(self._teacher.on(audio.device)(x, lengths).float())

    def _student_features(self, batch: Batch, frames: int) -> Tensor:
        """The student's input, augmented in training."""
        audio = batch.audio
        if self.training and batch.parallel is not None:
            other = torch.rand(len(audio), 1, device=audio.device) < self.parallel
            audio = torch.where(other, batch.parallel, audio)
        for transform in self.augmentation if self.training else ():
            audio = transform(audio, self.spec.sample_rate)
        features = self.extractor(audio)[..., batch.margin : batch.margin + frames]
        for change in self.content_transforms if self.training else ():
            features = change(features)
        return features

    # Hooks -----------------------------------------------------------------------------------------------------------

    def fit_statistics(self, recordings: Iterable[Tensor]) -> None:
        """Fit the statistics of the features and of the teacher's channels."""
        if self.scale.fitted:
            return
        rows = [audio[None, : int(20 * self.spec.sample_rate)] for audio in recordings]
        features = [self.extractor(row) for row in rows]
        self.student.encoder.fit_statistics(features)
        pairs = zip(rows, features, strict=True)
        teacher = self._teacher.on(self.device)
        targets = [teacher(row if teacher.takes == "audio" else x, None) for row, x in pairs]
        self.scale.fit(_over_time(target) for target in targets)
        if isinstance(self.teacher, SpeakerEncoder):  # too few speakers here to estimate each number's deviation
            self.scale.scale.fill_(self.scale.scale.square().mean().sqrt())
        if self.student.head is None:
            return
        if isinstance(self.teacher, SpeakerEncoder):
            self._identity_head(self.student.head, targets)
        else:
            self._fit_head(self.student.head, features, targets)

    @torch.no_grad()
    def _identity_head(self, head: nn.Linear, targets: list[Tensor]) -> None:
        """Initialise the head as the identity, scaled to the teacher's units, where both embeddings are as wide."""
        width = self.student.encoder.channels
        if head.out_features != width:
            return
        length = torch.cat(targets).norm(dim=1).mean() / width**0.5  # the student's has a mean square of 1
        head.weight.copy_(torch.eye(width) * length / self.scale.scale)
        head.bias.copy_((-self.scale.mean / self.scale.scale)[:, 0])

    @torch.no_grad()
    def _fit_head(self, head: nn.Linear, features: list[Tensor], targets: list[Tensor]) -> None:
        """Initialise the head by ridge regression from the student's bottleneck to the teacher's output."""
        student, teacher = cast(ContentEncoder, self.student.encoder), cast(ContentEncoder, self.teacher)
        outputs = [resample_frames(student(x), target.shape[2], student.frame_rate, teacher.frame_rate)
                   for x, target in zip(features, targets, strict=True)]  # fmt: skip
        x = torch.cat([row.transpose(1, 2).flatten(0, 1) for row in outputs]).double()
        wanted = torch.cat([self.scale(target).transpose(1, 2).flatten(0, 1) for target in targets]).double()
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        ridge = RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        weights = torch.linalg.solve(x.T @ x + ridge, x.T @ wanted)
        head.weight.copy_(weights[:-1].T)
        head.bias.copy_(weights[-1])

    def evaluate(self, batch: Batch, stage: str) -> None:
        """Log the losses of the averaged student."""
        with self.averaged():
            losses = self.make_pair(batch).losses
        for name, loss in losses.items():
            self.log(f"{stage}/{name}", loss.mean(), prog_bar=True, batch_size=len(batch.audio), sync_dist=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> None:
        """Refuse: an encoder outputs no audio."""
        raise ConfigurationError("an encoder outputs no audio to predict; use validate or test")

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the student's description, so that the checkpoint alone is enough to use it."""
        super().on_save_checkpoint(checkpoint)
        checkpoint["student.encoder"] = description_of(self.student.encoder, self.spec)
        checkpoint["teacher"] = describe_with_weights(self.teacher)

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """Refuse a checkpoint of another student, before any weight is loaded.

        Raises:
            ConfigurationError: if it holds no encoder.
            SpecMismatchError: if its spec or its settings differ; names both values.
        """
        stored = checkpoint.get("student.encoder")
        if stored is None:
            raise ConfigurationError(
                "the checkpoint holds no encoder; name one that lvc fit wrote for a DistillationModule"
            )
        check_join("the checkpoint", AudioSpec.from_mapping(stored["spec"]), "this configuration", self.spec)
        ours = description_of(self.student.encoder, self.spec)["part"]
        check_same_parts(
            {"encoder": stored["part"], "teacher": checkpoint.get("teacher")},
            {"encoder": ours, "teacher": describe_with_weights(self.teacher)},
        )
        super().on_load_checkpoint(checkpoint)


def _over_time(output: Tensor) -> Tensor:
    """An embedding (B, D) as one frame (B, D, 1); content (B, C, T') as it is."""
    return output[..., None] if output.ndim == 2 else output


def _check(student: Encoder, teacher: Encoder, spec: AudioSpec, augmentation: list[AudioTransform]) -> None:
    names = type(student).__name__, type(teacher).__name__
    if student.kind != teacher.kind:
        raise ConfigurationError(f"{names[1]} is of {teacher.kind} and cannot teach {names[0]}, of {student.kind}")
    if student.takes != "features" or student.normalized:
        raise ConfigurationError(
            f"{names[0]} cannot be trained by itself: it takes audio, or features that a model has normalised;"
            " use ConvContentEncoder or ConvSpeakerEncoder"
        )
    if teacher.takes == "features" and teacher.normalized:
        raise ConfigurationError(f"{names[1]} takes features that a model has normalised; use a teacher of audio")
    check_rate(teacher, spec)
    check_augmentation(augmentation)
    if moved := [type(transform).__name__ for transform in augmentation if not transform.keeps_timing]:
        raise ConfigurationError(
            f"{moved[0]} moves sounds in time, where the teacher would not find them; leave it out"
        )
