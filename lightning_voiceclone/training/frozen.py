"""Trained models that a training uses and does not own."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class Frozen(Generic[M]):
    """Holds a module so that it is no submodule of its holder.

    The holder's checkpoints, ``parameters()`` and ``train()`` must not reach it: it stays as it was trained, without
    dropout, and a checkpoint states what it is instead of containing it. The holder's ``to`` does not reach it
    either: use :meth:`on`.

    Args:
        module: is set to evaluation, without gradients of its weights.
    """

    module: M

    def __post_init__(self) -> None:
        self.module.requires_grad_(False).eval()

    def on(self, device: torch.device) -> M:
        """The module, moved to the device if it is elsewhere."""
        return self.module.to(device)
