"""Teaching a small encoder what a large one hears, so that cloning needs only the small one."""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any, cast

import torch
from lightning.pytorch.cli import LRSchedulerCallable, OptimizerCallable
from torch import Tensor, nn

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
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.normalizer import Normalizer
from lightning_voiceclone.losses.adversarial import LeastSquaresLoss
from lightning_voiceclone.training.checks import check_augmentation
from lightning_voiceclone.training.frozen import Frozen
from lightning_voiceclone.training.modules.adversarial import AdversarialModule
from lightning_voiceclone.training.step import StepSettings, TrainingPair

Encoder = ContentEncoder | SpeakerEncoder
RIDGE = 1e-2  # for each frame


class _Student(nn.Module):
    """The encoder, and what turns its bottleneck into the teacher's answer."""

    def __init__(self, encoder: Encoder, answer: int):
        super().__init__()
        self.encoder = encoder
        self.head = nn.Linear(encoder.channels, answer)

    def forward(self, x: Tensor, lengths: Tensor) -> Tensor:
        encoded = self.encoder(x, lengths)
        return self.head(encoded.movedim(1, -1)).movedim(-1, 1)


class DistillationTraining(AdversarialModule):
    """A content or speaker encoder in training: from features it must tell what a teacher tells from the audio.

    The student may hear each crop changed (another pitch, other formants, noise) while the teacher hears it as it is:
    so it learns to leave out what changes, such as the voice, and keeps what the teacher says.

    The one loss, ``distance``, is the mean squared error of the teacher's channels, each divided by its variance over
    the training recordings: 1 is what always answering the mean would give, and 1 less it is the share of the
    variance that is explained.

    Args:
        feature_extractor: of the features that the student hears, in its own units.
        encoder: the student: a content or speaker encoder that takes features and is not ``normalized``.
        teacher: of the same kind; frozen.
        common_augmentation: transforms of the training audio that both hear, such as speakers made by RandomSpeed.
        augmentation: transforms of the audio that the student hears in training, which keep its shape and its timing.
        content_transforms: transforms of the features that it hears in training.
        parallel: probability that the student is given the parallel recording instead, where there is one (column of
            ``Table``): its output should not depend on the speaker.
        weights: of the losses, by name.
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
        weights: dict[str, float] = {"distance": 1.0},  # noqa: B006 (shown by --help; never changed)
        optimizer: OptimizerCallable = torch.optim.AdamW,
        scheduler: LRSchedulerCallable | None = None,
        steps: StepSettings = StepSettings(),  # noqa: B008 (frozen)
    ) -> None:
        _check(encoder, teacher, feature_extractor.spec, augmentation or [])
        super().__init__(
            _Student(encoder, teacher.channels),
            None,
            LeastSquaresLoss(),
            weights=weights,
            own_losses={"distance"},
            absent={},
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

    speaks = False

    @property
    def feature_extractor(self) -> FeatureExtractor:
        """Of the features that the student hears."""
        return self.extractor

    @property
    def teacher(self) -> Encoder:
        """Who tells what to hear."""
        return self._teacher.module

    @property
    def figures(self) -> tuple[str, ...]:
        """The distance from the teacher."""
        return ("distance",)

    def advice(self, checkpoint: Any) -> str:
        """How to use the student."""
        return f"take it into a voice with\n  lvc save {checkpoint} --output ENCODER, and pretrained: ENCODER"

    # A batch becomes a pair ------------------------------------------------------------------------------------------

    def make_pair(self, batch: Batch) -> TrainingPair:
        """What the teacher says, and what the student says."""
        frames = batch.audio.shape[1] // self.spec.hop_length - 2 * batch.margin
        with torch.no_grad():
            self._check_parallels(batch)
            for transform in self.common_augmentation if self.training else ():
                batch = replace(batch, audio=transform(batch.audio, self.spec.sample_rate))
            answer = self.scale(self._answer(batch, frames))
            heard = self._heard(batch, frames)
        told = _over_time(self.student(heard, batch.lengths))
        mask = torch.ones_like(answer[:, :1])
        if isinstance(self.teacher, ContentEncoder):
            assert isinstance(self.student.encoder, ContentEncoder)
            told = resample_frames(told, answer.shape[2], self.student.encoder.frame_rate, self.teacher.frame_rate)
            real = torch.ceil(batch.lengths * self.teacher.frame_rate / self.spec.frame_rate)
            mask = Condition(real).mask(answer.shape[2])
        distance = ((told - answer).square() * mask).sum() / (mask.sum() * answer.shape[1])
        return TrainingPair(answer, told, Condition(batch.lengths), {"distance": distance})

    def _check_parallels(self, batch: Batch) -> None:
        if self.parallel and batch.parallel is not None and len(self.common_augmentation):
            raise ConfigurationError(
                "the corpus has parallel recordings, whose common_augmentation would differ; leave that out, or set"
                " parallel to 0"
            )

    def _answer(self, batch: Batch, frames: int) -> Tensor:
        """What the teacher says of the crops as they are."""
        hop = self.spec.hop_length
        audio = batch.audio[:, batch.margin * hop : (batch.margin + frames) * hop]
        x = audio if self.teacher.takes == "audio" else self.extractor(batch.audio)[..., batch.margin :][..., :frames]
        lengths = batch.lengths * (hop if self.teacher.takes == "audio" else 1)
        return _over_time(self._teacher.on(audio.device)(x, lengths).float())

    def _heard(self, batch: Batch, frames: int) -> Tensor:
        """The features that the student hears."""
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
        """Take the statistics of the features and of the teacher's channels."""
        if self.scale.fitted:
            return
        rows = [audio[None, : int(20 * self.spec.sample_rate)] for audio in recordings]
        features = [self.extractor(row) for row in rows]
        self.student.encoder.fit_statistics(features)
        pairs = zip(rows, features, strict=True)
        teacher = self._teacher.on(self.device)
        answers = [teacher(row if teacher.takes == "audio" else heard, None) for row, heard in pairs]
        self.scale.fit(_over_time(answer) for answer in answers)
        if isinstance(self.teacher, SpeakerEncoder):  # too few speakers here to tell the spread of each number
            self.scale.scale.fill_(self.scale.scale.square().mean().sqrt())
            self._take_over(answers)
        else:
            self._fit_head(features, answers)

    @torch.no_grad()
    def _take_over(self, answers: list[Tensor]) -> None:
        """Begin by taking the student's embedding for the teacher's, where they are as wide."""
        head, width = self.student.head, self.student.encoder.channels
        if head.out_features != width:
            return
        length = torch.cat(answers).norm(dim=1).mean() / width**0.5  # the student's has a mean square of 1
        head.weight.copy_(torch.eye(width) * length / self.scale.scale)
        head.bias.copy_((-self.scale.mean / self.scale.scale)[:, 0])

    @torch.no_grad()
    def _fit_head(self, features: list[Tensor], answers: list[Tensor]) -> None:
        """Begin with the linear map from the student's bottleneck to the teacher's answers that errs least."""
        student, teacher = cast(ContentEncoder, self.student.encoder), cast(ContentEncoder, self.teacher)
        told = [resample_frames(student(x), answer.shape[2], student.frame_rate, teacher.frame_rate)
                for x, answer in zip(features, answers, strict=True)]  # fmt: skip
        x = torch.cat([row.transpose(1, 2).flatten(0, 1) for row in told]).double()
        wanted = torch.cat([self.scale(a).transpose(1, 2).flatten(0, 1) for a in answers]).double()
        x = torch.cat([x, torch.ones_like(x[:, :1])], 1)
        ridge = RIDGE * len(x) * torch.eye(x.shape[1], dtype=x.dtype, device=x.device)
        weights = torch.linalg.solve(x.T @ x + ridge, x.T @ wanted)
        self.student.head.weight.copy_(weights[:-1].T)
        self.student.head.bias.copy_(weights[-1])

    def evaluate(self, batch: Batch, stage: str) -> None:
        """Log the distance of what the averaged weights say from what the teacher says."""
        with self.averaged():
            distance = self.make_pair(batch).losses["distance"]
        self.log(f"{stage}/{self.figures[0]}", distance, prog_bar=True, batch_size=len(batch.audio), sync_dist=True)

    def predict_step(self, batch: Batch, batch_idx: int) -> None:
        """Refuse: there is nothing to hear."""
        raise ConfigurationError("an encoder says nothing that could be predicted; use validate or test")

    # Checkpoints -----------------------------------------------------------------------------------------------------

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the student's description, so that the checkpoint alone is enough to use it."""
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


def _over_time(answer: Tensor) -> Tensor:
    """An embedding (B, D) as one frame (B, D, 1); content (B, C, T') as it is."""
    return answer[..., None] if answer.ndim == 2 else answer


def _check(student: Encoder, teacher: Encoder, spec: AudioSpec, augmentation: list[AudioTransform]) -> None:
    names = type(student).__name__, type(teacher).__name__
    if student.kind != teacher.kind:
        raise ConfigurationError(f"{names[1]} is of {teacher.kind} and cannot teach {names[0]}, of {student.kind}")
    if student.takes != "features" or student.normalized:
        raise ConfigurationError(
            f"{names[0]} cannot be taught by itself: it hears audio, or features as some voice normalises them;"
            " use ConvContentEncoder or ConvSpeakerEncoder"
        )
    if teacher.takes == "features" and teacher.normalized:
        raise ConfigurationError(f"{names[1]} hears features as some voice normalises them; use a teacher of audio")
    check_rate(teacher, spec)
    check_augmentation(augmentation)
    if moved := [type(transform).__name__ for transform in augmentation if not transform.keeps_timing]:
        raise ConfigurationError(
            f"{moved[0]} moves sounds in time, where the teacher would not find them; leave it out"
        )
