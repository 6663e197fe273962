"""Pictures and sound of a training, and the sound of ``lvc predict``."""

from pathlib import Path
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import BasePredictionWriter, Callback
from lightning.pytorch.loggers import TensorBoardLogger, WandbLogger

from lightning_voiceclone.audio.io import write_audio
from lightning_voiceclone.training.callbacks.pictures import compare_features
from lightning_voiceclone.training.callbacks.run import run_folder
from lightning_voiceclone.utils.output_folder import mark_output


class SampleLogger(Callback):
    """Pictures and sound of a few validation crops, for the loggers that show them (TensorBoard, W&B).

    Args:
        samples: crops each time.
        every: validations between two logs.
    """

    def __init__(self, samples: int = 3, every: int = 20) -> None:
        self.samples = samples
        self.every = every
        self._validations = 0

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Log the first crops of the first batch."""
        if batch_idx or trainer.sanity_checking or not trainer.is_global_zero or not pl_module.predicts_audio:
            return
        self._validations += 1
        if (self._validations - 1) % self.every:
            return
        loggers = [logger for logger in trainer.loggers if isinstance(logger, TensorBoardLogger | WandbLogger)]
        if loggers:
            self._log(pl_module, batch, loggers, trainer.global_step)

    def _log(self, module: Any, batch: Any, loggers: list[Any], step: int) -> None:
        made = module.predict_step(batch.head(self.samples), 0)
        rate = module.spec.sample_rate
        for number, (name, audio) in enumerate(made):
            real = batch.audio[number]
            extract = module.feature_extractor
            inner = real[batch.margin * module.spec.hop_length :][: len(audio)]
            picture = compare_features(extract(inner[None])[0].cpu(), extract(audio[None])[0].cpu(), module.spec, name)
            for logger in loggers:
                if isinstance(logger, TensorBoardLogger):
                    logger.experiment.add_image(f"sample/{number}", picture, step, dataformats="HWC")
                    logger.experiment.add_audio(f"sample/{number}", audio.cpu()[None], step, sample_rate=rate)
                else:
                    logger.log_image(f"sample/{number}", [picture], step)
                    logger.log_audio(f"audio/{number}", [audio.cpu().numpy()], step, sample_rate=[rate])


class WavWriter(BasePredictionWriter):
    """Writes the output of ``lvc predict`` as WAV files into ``predictions`` of the run's folder."""

    def __init__(self) -> None:
        super().__init__("batch")
        self.folder = Path()

    def on_predict_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Find the folder, which all processes must do together; they have not equally many batches."""
        self.folder = run_folder(trainer) / "predictions"
        mark_output(self.folder)  # so that no corpus takes it for speakers

    def write_on_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: Any,
        prediction: list[tuple[str, torch.Tensor]],
        batch_indices: Any,
        batch: Any,
        batch_idx: int,
        dataloader_idx: int,
    ) -> None:
        """One file a crop, in a folder for its speaker, named for the recording and the second at which it begins."""
        for name, audio in prediction:
            samples = audio.clamp(-1, 1).cpu().numpy()
            write_audio(self.folder / f"{name}.wav", samples, pl_module.spec.sample_rate, durable=False)
