"""Notice values that are not finite before they spoil the weights and overwrite good checkpoints."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_voiceclone.errors import NotFiniteError, check_range

MOST_TAKEN_BACK = 3
GREATEST = 1e12  # of a setting of an optimizer
UNBOUNDED = ("best", "mode_worse")  # of ReduceLROnPlateau, before its first figure


def clip(optimizer: Optimizer, most: float | None) -> Tensor:
    """Clip the gradients of an optimizer's weights to a norm of at most ``most``; returns the norm before, ()."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    return torch.nn.utils.clip_grad_norm_(weights, math.inf if most is None else most)


def fault_of(network: str, losses: Mapping[str, Tensor], norm: Tensor | None) -> str | None:
    """What is not finite in a step of a network, in words, before any of its weights is updated; None if all is.

    Args:
        network: generator or discriminator.
        losses: its losses by name, each a scalar.
        norm: of its gradient; None to check the losses alone.
    """
    values = [loss.detach() for loss in losses.values()] + ([] if norm is None else [norm])
    if bool(torch.stack(values).isfinite().all()):  # one synchronisation with the device for all
        return None
    bad = [f"the loss {name} is {float(loss.detach())}" for name, loss in losses.items() if not loss.isfinite()]
    return bad[0] if bad else f"the norm of the {network}'s gradient is {float(values[-1])}"


def check_taken_back(count: int, step: int, fault: str) -> None:
    """Warn of a step that was taken back; refuse to go on after the third in a row.

    Args:
        count: of steps in a row.
        step: index of the step, from 0.
        fault: what was not finite.

    Raises:
        NotFiniteError: for the third.
    """
    if count < MOST_TAKEN_BACK:
        rank_zero_warn(
            f"step {step + 1}: {fault}; the step was taken back and its batch left out ({count} in a row,"
            f" {MOST_TAKEN_BACK} end the training)"
        )
        return
    stopped = f"training stopped in step {step + 1}: {fault}, for the {MOST_TAKEN_BACK}rd time in a row"
    if not step:
        raise NotFiniteError(f"{stopped}, and no step was made: look at the recordings, and at the model's settings")
    raise NotFiniteError(
        f"{stopped}. The weights are those before: go on from the newest checkpoint with --ckpt_path and a lower"
        " learning rate (model.generator_optimizer.lr, model.discriminator_optimizer.lr) or smaller model.weights"
    )


def check_optimizer(network: str, optimizer: Optimizer, scheduler: LRScheduler | None) -> None:
    """Refuse an optimizer, or its scheduler, with a setting that is infinite or not a number.

    Raises:
        ConfigurationError: names the setting and its range.
    """
    for group in optimizer.param_groups:
        for name, value in _numbers(group):
            check_range(f"model.{network}_optimizer.{name}", value, -GREATEST, GREATEST)
    for name, value in _numbers(scheduler.state_dict() if scheduler is not None else {}):
        if name in UNBOUNDED:
            continue
        check_range(f"model.scheduler.{name}", value, -GREATEST, GREATEST)


def _numbers(settings: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in settings.items():
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float):
                yield name, number
