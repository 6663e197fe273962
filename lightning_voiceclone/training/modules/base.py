"""What every module in training has: requirements on the data, statistics, evaluation and checkpoints."""

from abc import abstractmethod
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, ClassVar

import lightning.pytorch as pl
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor, nn

from lightning_voiceclone.core.interfaces import FeatureExtractor
from lightning_voiceclone.core.schedule import Schedule
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.normalizer import Normalizer
from lightning_voiceclone.training.ema import WeightAverage
from lightning_voiceclone.training.step import StepSettings, TrainingPair
from lightning_voiceclone.training.trainer_checks import check_trainer
from lightning_voiceclone.utils.lightning_internals import loader_state

CALIBRATION_SECONDS = 120.0


class TrainingModule(pl.LightningModule):
    """Base of modules that train one thing, the generator side; :class:`AdversarialModule` adds the steps."""

    steps: StepSettings
    average: WeightAverage | None
    predicts_audio: ClassVar[bool] = True  # whether predict_step returns audio
    trained: ClassVar[str]  # attribute that holds the generator side; checkpoints store its average under that name

    @property
    def generator_side(self) -> nn.Module:
        """Everything that trains with the generator."""
        side: nn.Module = getattr(self, self.trained)
        return side

    # Requirements on the data ----------------------------------------------------------------------------------------

    @property
    @abstractmethod
    def feature_extractor(self) -> FeatureExtractor:
        """From audio to features; sets sample rate and hop."""

    @property
    def spec(self) -> AudioSpec:
        """What the features mean."""
        return self.feature_extractor.spec

    @property
    def needs_reference(self) -> bool:
        """Whether crops of references are needed."""
        return False

    @property
    def generates_from_noise(self) -> bool:
        """Whether noise is all that tells one output from another."""
        return False

    @property
    def needs_transcripts(self) -> bool:
        """Whether a loss needs crops that hold a whole recording, with its transcript."""
        return False

    @property
    def margin(self) -> int:
        """Frames of audio that are needed on either side of a crop."""
        return self.feature_extractor.margin

    @property
    def figures(self) -> tuple[str, ...]:
        """Names of the metrics that :meth:`evaluate` logs, by which checkpoints can be chosen; empty if not known."""
        return ()

    @property
    @abstractmethod
    def logged(self) -> set[str]:
        """Names of all metrics that a training logs, for callbacks to monitor; empty if ``figures`` are not known."""

    @property
    @abstractmethod
    def schedules(self) -> dict[str, Schedule]:
        """Settings that may change with the step, by name; checkpoints hold them."""

    @abstractmethod
    def advice(self, checkpoint: Path) -> str:
        """What to do with a finished checkpoint, with the command."""

    # A batch becomes a pair ------------------------------------------------------------------------------------------

    @abstractmethod
    def make_pair(self, batch: Any) -> TrainingPair:
        """Compute real, fake and this module's own losses from a batch."""

    def spreads(self, pair: TrainingPair) -> dict[str, Tensor]:
        """How much generated and real features change with speaker and noise; nothing where there are neither."""
        return {}

    # Evaluation ------------------------------------------------------------------------------------------------------

    @abstractmethod
    def evaluate(self, batch: Any, stage: str) -> None:
        """Log metrics of the averaged weights on held-out recordings, as ``stage``/NAME."""

    def validation_step(self, batch: Any, batch_idx: int) -> None:
        """Evaluate a batch of the validation split."""
        self.evaluate(batch, "validation")

    def test_step(self, batch: Any, batch_idx: int) -> None:
        """Evaluate a batch of the test split."""
        self.evaluate(batch, "test")

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """Run with the averaged weights of the generator's side, where there are any."""
        if self.average is None:
            yield
            return
        with self.average.applied(self.generator_side):
            yield

    def fit_statistics(self, recordings: Iterable[Tensor]) -> None:
        """Fit the statistics that the parts need to training recordings (N,), once; nothing by default."""

    def on_fit_start(self) -> None:
        """Fit statistics, if there is a DataModule, and refuse settings and callbacks that cannot work.

        Raises:
            ConfigurationError: if statistics that a part needs are not there, a part has an argument that checkpoints
                cannot store, or for a precision under which clipping would act on scaled gradients.
        """
        check_trainer(self.trainer, self.logged)
        self.on_save_checkpoint({})  # an argument of a part that cannot be stored is refused now, not after an hour
        data: Any = getattr(self.trainer, "datamodule", None)
        if hasattr(data, "calibration_audio") and self.steps.privacy is None:
            self.fit_statistics(row.to(self.device) for row in data.calibration_audio(CALIBRATION_SECONDS))
        if not self.fitted:
            raise ConfigurationError(
                "a part normalises features, but its statistics of training recordings are not fitted; train with a"
                " VoiceDataModule, or call module.fit_statistics(recordings) first"
            )
        if str(self.trainer.precision).startswith("16") and self.steps.gradient_clip is not None:
            raise ConfigurationError(
                f"trainer.precision is {self.trainer.precision}, under which steps.gradient_clip would act on"
                " scaled gradients; use bf16-mixed or 32-true, or set model.steps.gradient_clip to null"
            )

    @property
    def fitted(self) -> bool:
        """Whether the statistics of all parts that normalise have been fitted."""
        return all(bool(part.fitted) for part in self.modules() if isinstance(part, Normalizer))

    def _check_fitted(self) -> None:
        if not self.fitted:
            raise ConfigurationError("this model has not been trained yet; name a checkpoint with --ckpt_path")

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Store the schedules."""
        checkpoint["schedules"] = {name: str(schedule) for name, schedule in self.schedules.items()}

    def on_load_checkpoint(self, checkpoint: Mapping[str, Any]) -> None:
        """In a training, take the position in the data; note schedules unlike the checkpoint's: values may jump."""
        # The position taken in a validation would be that of the next training, whatever that begins from.
        data: Any = getattr(self.trainer, "datamodule", None) if self.fits else None
        if (state := loader_state(checkpoint)) is not None and hasattr(data, "resume_at"):
            data.resume_at(state)
        for name, schedule in self.schedules.items():
            stored = checkpoint.get("schedules", {}).get(name, str(schedule))
            if stored != str(schedule):
                rank_zero_info(f"goes on with another {name} than the checkpoint's: {schedule} instead of {stored}")

    @property
    def fits(self) -> bool:
        """Whether a Trainer is training this module."""
        with suppress(RuntimeError):  # without a Trainer
            return bool(self.trainer.state.fn == "fit")
        return False

    def on_validation_start(self) -> None:
        """Refuse a model that was never trained: its metrics would look plausible.

        Raises:
            ConfigurationError: if it was not.
        """
        self._check_fitted()

    def on_test_start(self) -> None:
        """As before validation."""
        self._check_fitted()

    def on_predict_start(self) -> None:
        """As before validation."""
        self._check_fitted()
