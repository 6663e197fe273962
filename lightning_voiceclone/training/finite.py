"""Stop training at the first value that is not finite, before it spoils the weights and overwrites good checkpoints."""

import math
from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from lightning_voiceclone.errors import NotFiniteError, check_range

GREATEST = 1e12  # of a setting of an optimizer


def clip(optimizer: Optimizer, most: float | None) -> Tensor:
    """Clip the gradients of an optimizer's weights to a norm of at most ``most``; returns the norm before, ()."""
    weights = [weight for group in optimizer.param_groups for weight in group["params"]]
    return torch.nn.utils.clip_grad_norm_(weights, math.inf if most is None else most)


def check_step(network: str, losses: Mapping[str, Tensor], norm: Tensor | None, step: int) -> None:
    """Refuse a step whose losses or gradient are not finite, before any weight is updated.

    Args:
        network: generator or discriminator.
        losses: its losses by name, each a scalar.
        norm: of its gradient; None to check the losses alone.
        step: index of the batch, from 0.

    Raises:
        NotFiniteError: names the first loss that is not finite, or the gradient.
    """
    values = [loss.detach() for loss in losses.values()] + ([] if norm is None else [norm])
    if bool(torch.stack(values).isfinite().all()):  # one synchronisation with the device for all
        return
    bad = [f"the loss {name} is {float(loss.detach())}" for name, loss in losses.items() if not loss.isfinite()]
    what = bad[0] if bad else f"the norm of the {network}'s gradient is {float(values[-1])}"
    raise NotFiniteError(
        f"training stopped in step {step + 1}: {what}, and every weight would be lost. Checkpoints written before are"
        " as they were: go on from one with --ckpt_path and a lower learning rate (model.generator_optimizer.lr,"
        " model.discriminator_optimizer.lr) or smaller model.weights"
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
        check_range(f"model.scheduler.{name}", value, -GREATEST, GREATEST)


def _numbers(settings: Mapping[str, Any]) -> Iterator[tuple[str, float]]:
    for name, value in settings.items():
        for number in value if isinstance(value, list | tuple) else [value]:
            if isinstance(number, int | float):
                yield name, number
