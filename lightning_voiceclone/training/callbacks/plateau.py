"""Lower the learning rates when a figure stops improving."""

import math
from collections.abc import Sequence
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import ReduceLROnPlateau
from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch.optim import lr_scheduler

from lightning_voiceclone.errors import ConfigurationError, nearest


class Plateau(Callback):
    """Steps the ``ReduceLROnPlateau`` schedulers of both networks after each validation, by the figure they monitor.

    It acts before checkpoints are written, so that a resumed training goes on exactly. A figure that is not a number,
    or not measured yet, as some of ``GANHealth``'s at first, counts as no validation. Modules with such schedulers add
    this callback themselves.
    """

    def on_fit_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Refuse schedulers that no validation would ever step.

        Raises:
            ConfigurationError: if there is no validation, or no figure of that name.
        """
        schedulers = list(pl_module.plateaus_of.values())
        known = set(pl_module.logged).union(*(getattr(callback, "logged", ()) for callback in trainer.callbacks))  # type: ignore[attr-defined]
        for name in {scheduler.monitor for scheduler in schedulers} - known if pl_module.logged else ():
            raise ConfigurationError(
                f"model.scheduler.monitor is {name!r}, which is not logged{nearest(name, known)}; there are"
                f" {', '.join(sorted(known))}"
            )
        if schedulers and (not trainer.limit_val_batches or _empty(trainer)):
            raise ConfigurationError(
                f"model.scheduler waits for {schedulers[0].monitor}, which is looked at after each validation,"
                " but there is none; keep speakers for it with data.validation, or use a scheduler that follows the"
                " steps, such as ExponentialLR"
            )

    def on_validation_end(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Step them, and name the rates that have fallen."""
        if trainer.sanity_checking or trainer.state.fn != "fit":
            return
        for network, scheduler in pl_module.plateaus_of.items():
            value = _figure(trainer, scheduler.monitor)
            if math.isnan(value):
                continue
            before = scheduler.optimizer.param_groups[0]["lr"]
            scheduler.step(value)
            after = scheduler.optimizer.param_groups[0]["lr"]
            if after != before:
                rank_zero_info(
                    f"step {trainer.global_step}: {scheduler.monitor} is {value:.4g}, and {scheduler.best:.4g} was best"
                    f" for {scheduler.patience} validations: the {network}'s learning rate is now {after:.3g}"
                )


def plateaus_among(schedulers: Sequence[Any]) -> list[ReduceLROnPlateau]:
    """Those of the schedulers that follow a figure.

    Raises:
        ConfigurationError: if one does not name its figure; names the class that does.
    """
    found = [scheduler for scheduler in schedulers if isinstance(scheduler, lr_scheduler.ReduceLROnPlateau)]
    named = [scheduler for scheduler in found if isinstance(scheduler, ReduceLROnPlateau)]
    if len(named) < len(found):
        raise ConfigurationError(
            "model.scheduler is a ReduceLROnPlateau without a figure to monitor; use {class_path:"
            " lightning.pytorch.cli.ReduceLROnPlateau, init_args: {monitor: validation/mel_l1}}"
        )
    return named


def _empty(trainer: pl.Trainer) -> bool:
    data: Any = getattr(trainer, "datamodule", None)
    return hasattr(data, "datasets") and not len(data.datasets["validation"])


def _figure(trainer: pl.Trainer, name: str) -> float:
    """The figure's last value, the same in every process; not a number where it was not logged."""
    value: Any = trainer.callback_metrics.get(name, torch.tensor(math.nan, device=trainer.strategy.root_device))
    if math.isnan(float(value)):
        rank_zero_info(f"step {trainer.global_step}: {name} is not measured yet; the learning rates stay")
    if trainer.world_size > 1:
        value = trainer.strategy.reduce(torch.as_tensor(value), reduce_op="mean")
    return float(value)
