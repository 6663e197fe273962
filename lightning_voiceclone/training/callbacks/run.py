"""Files of a run: its folder, last checkpoint and configuration; and stopping it by a signal."""

import signal
import threading
import time
from pathlib import Path
from types import FrameType
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import SaveConfigCallback
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.utilities.rank_zero import rank_zero_info

from lightning_voiceclone.checkpoints.compatibility import check_same_optimizers
from lightning_voiceclone.errors import ConfigurationError, NotFiniteError
from lightning_voiceclone.utils.files import ENDING, UNNAMED, atomic_file
from lightning_voiceclone.utils.leftovers import sweep
from lightning_voiceclone.utils.lightning_internals import stop_without_validation


def run_folder(trainer: pl.Trainer) -> Path:
    """Folder of this run: that of its first logger, or the trainer's own. To be called in every process."""
    if trainer.loggers and isinstance(trainer.loggers[0], WandbLogger):
        logger = trainer.loggers[0]
        folder = Path(logger.save_dir or ".") / str(logger.name) / str(logger.version)
        return Path(trainer.strategy.broadcast(str(folder)))
    return Path(trainer.log_dir or trainer.default_root_dir)


class Interruption(Callback):
    """Ends training after the current batch on Ctrl-C, SIGTERM or SIGHUP, with a checkpoint to resume from.

    A second one ends it at once.
    """

    def __init__(self) -> None:
        self.received: int | None = None
        self._previous: dict[int, Any] = {}

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Install handlers, after Lightning's own, which would end the process with status 0.

        Only the main thread may have any: elsewhere, as in a worker of Ray, the signals are another's.
        """
        self.received = None
        if threading.current_thread() is not threading.main_thread():
            return
        for number in ENDING:
            if number != signal.SIGINT and signal.getsignal(number) is signal.SIG_IGN:  # as nohup wants it
                continue
            self._previous[number] = signal.signal(number, self._note)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.received is not None:
            raise KeyboardInterrupt
        self.received = number

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Write the checkpoint and stop, if a signal came in any process; not between accumulated batches."""
        if not pl_module.between_steps:
            return
        wanted = self.received is not None
        if trainer.world_size > 1:
            wanted = trainer.strategy.reduce_boolean_decision(wanted, all=False)
        if not wanted or trainer.should_stop:
            return
        path = run_folder(trainer) / "checkpoints" / "interrupted.ckpt"
        trainer.save_checkpoint(path)
        stop_without_validation(trainer)
        self.received = self.received or signal.SIGINT
        rank_zero_info(f"\ninterrupted after step {trainer.global_step}; go on with the same command and"
                       f" --ckpt_path {path}")  # fmt: skip

    def on_exception(self, trainer: pl.Trainer, pl_module: pl.LightningModule, exception: BaseException) -> None:
        """Restore the handlers; add the run's folder to a write error that names no file."""
        self._restore()
        if isinstance(exception, OSError) and exception.filename is None and exception.errno in UNNAMED:
            exception.filename = str(trainer.log_dir or trainer.default_root_dir if trainer.world_size == 1 else ".")

    def on_fit_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Restore the handlers."""
        self._restore()

    def _restore(self) -> None:
        for number, handler in self._previous.items():
            if signal.getsignal(number) == self._note:  # else Lightning has restored those from before its own already
                signal.signal(number, handler)
        self._previous = {}


class SameOptimizers(Callback):
    """Refuses to resume from a checkpoint whose optimizers are not those of this training, before the first step."""

    def __init__(self) -> None:
        self._stored: tuple[Any, Any] | None = None

    def on_load_checkpoint(
        self, trainer: pl.Trainer, pl_module: pl.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Keep the states until the optimizers are made."""
        self._stored = checkpoint.get("optimizer_states"), checkpoint.get("lr_schedulers") or []

    def on_fit_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Compare them."""
        if self._stored is not None:
            states, schedulers = self._stored
            check_same_optimizers(states, trainer.optimizers, trainer.lr_scheduler_configs, schedulers)
        self._stored = None


class LastCheckpoint(Callback):
    """Writes ``last.ckpt`` at regular times and at the end, whatever metric other checkpoints are chosen by.

    Args:
        minutes: between two writes.
    """

    def __init__(self, minutes: float = 5.0) -> None:
        self.minutes = minutes
        self.path = Path()
        self._written = 0.0

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Start the clock."""
        self.path = run_folder(trainer) / "checkpoints" / "last.ckpt"
        self._written = time.monotonic()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Write it if it is due by the first process's clock; not between accumulated batches."""
        if not pl_module.between_steps:
            return
        due = time.monotonic() - self._written >= 60 * self.minutes
        if trainer.world_size > 1:
            due = trainer.strategy.broadcast(due)
        if due:
            self._save(trainer)

    def on_train_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Write it."""
        self._save(trainer)

    def on_exception(self, trainer: pl.Trainer, pl_module: Any, exception: BaseException) -> None:
        """Write it where values are not finite any more: the module has taken the step back."""
        if isinstance(exception, NotFiniteError) and trainer.global_step and pl_module.between_steps:
            self._save(trainer)

    def _save(self, trainer: pl.Trainer) -> None:
        if not getattr(trainer, "fast_dev_run", False):
            trainer.save_checkpoint(self.path)
        self._written = time.monotonic()


class ConfigWriter(SaveConfigCallback):
    """Writes ``config.yaml``, all that was set and defaulted, into the run's folder, and passes it to the loggers."""

    written = False

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        """Write it when a training begins."""
        if stage != "fit" or self.written:
            return
        folder = run_folder(trainer)
        if (folder / "config.yaml").exists() and folder.resolve() == Path(trainer.default_root_dir).resolve():
            raise ConfigurationError(
                f"without a logger this run would replace {folder / 'config.yaml'}, and the checkpoints beside it; name"
                " another folder with --trainer.default_root_dir, or leave out --trainer.logger"
            )
        if trainer.is_global_zero:
            _sweep_runs(folder)
            text = self.parser.dump(self.config, skip_none=False, skip_validation=True)  # it was, when parsed
            with atomic_file(folder / "config.yaml") as temporary:
                temporary.write_text(text, encoding="utf-8")
            for logger in trainer.loggers:
                logger.log_hyperparams(_flat(self.config.as_dict()))
        self.written = True


def _sweep_runs(folder: Path) -> None:
    """Remove what killed trainings left half-written in this run's folder and in those beside it."""
    sweep(folder)
    for config in folder.parent.glob("*/.config.lvc-part-*"):
        sweep(config.parent)
    for checkpoints in folder.parent.glob("*/checkpoints"):
        sweep(checkpoints.parent)
        sweep(checkpoints)


def _flat(values: Any, prefix: str = "") -> dict[str, Any]:
    """Nested settings as one level of dotted names, with the values that a table of hyperparameters can show."""
    flat: dict[str, Any] = {}
    for key, value in values.items():
        name = f"{prefix}{key}"
        if isinstance(value, dict):
            flat |= _flat(value, f"{name}.")
        elif isinstance(value, str | int | float | bool):
            flat[name] = value
    return flat
