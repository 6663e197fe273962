"""Refuse settings of the Trainer and its callbacks that cannot work with these modules, before training."""

from collections.abc import Iterable
from typing import Any

import lightning.pytorch as pl
from lightning.pytorch.callbacks import GradientAccumulationScheduler, ModelCheckpoint

from lightning_voiceclone.errors import ConfigurationError, nearest

OWN = ("lightning", "lightning_voiceclone")  # packages whose callbacks are known to log what their ``logged`` names
COUNTERS = ("step", "epoch")  # ModelCheckpoint can monitor these without a logged metric


def check_trainer(trainer: pl.Trainer, logged: Iterable[str]) -> None:
    """Refuse settings that would end the training later, or have no effect.

    Args:
        trainer: with its callbacks.
        logged: names of the metrics that the module logs; empty if they are not known.

    Raises:
        ConfigurationError: for gradient clipping or accumulation by the Trainer, which manual optimization does not
            have, and for a callback whose ``monitor`` is never logged; names the remedy.
    """
    if trainer.gradient_clip_val:
        raise ConfigurationError(
            f"trainer.gradient_clip_val is {trainer.gradient_clip_val:g}, but generator and discriminator are clipped"
            " apart; set model.steps.gradient_clip instead"
        )
    scheduled = any(type(callback) is GradientAccumulationScheduler and callback.scheduling != {0: 1}
                    for callback in trainer.callbacks)  # type: ignore[attr-defined] # fmt: skip
    if trainer.accumulate_grad_batches != 1 or scheduled:
        what = "a GradientAccumulationScheduler is among trainer.callbacks" if scheduled else (
            f"trainer.accumulate_grad_batches is {trainer.accumulate_grad_batches}")  # fmt: skip
        raise ConfigurationError(
            f"{what}, but generator and discriminator accumulate apart; set model.steps.accumulate instead"
        )
    _check_monitors(trainer.callbacks, set(logged))  # type: ignore[attr-defined]


def _check_monitors(callbacks: Iterable[Any], logged: set[str]) -> None:
    callbacks = list(callbacks)
    known = logged.union(*(getattr(callback, "logged", ()) for callback in callbacks))
    complete = all(type(callback).__module__.partition(".")[0] in OWN or hasattr(callback, "logged")
                   for callback in callbacks)  # fmt: skip
    for callback in callbacks:
        name = getattr(callback, "monitor", None)
        is_checkpoint = isinstance(callback, ModelCheckpoint)
        if not isinstance(name, str) or name in known or not logged or (is_checkpoint and name in COUNTERS):
            continue
        if not complete and not name.startswith(("validation/", "train/")):  # which another callback may log
            continue
        owner = "checkpoint" if is_checkpoint else type(callback).__name__
        names = sorted(known, key=lambda name: (name.startswith("train/"), name))
        raise ConfigurationError(
            f"{owner}.monitor is {name!r}, which this model does not log{nearest(name, names)}; it has"
            f" {', '.join(names)}"
        )
