"""Pretrained models that training uses but that are not part of its checkpoints."""

from dataclasses import dataclass
from typing import Generic, TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


@dataclass(frozen=True, eq=False)
class Frozen(Generic[M]):
    """Keeps a module without registering it as a submodule of its owner.

    The owner's checkpoints, ``parameters()`` and ``train()`` do not include it: its weights are fixed, it runs without
    dropout, and a checkpoint describes it instead of containing it. The owner's ``to`` does not move it either: use
    :meth:`on`.

    Args:
        module: set to evaluation mode, without gradients of its weights.
    """

    module: M

    def __post_init__(self) -> None:
        self.module.requires_grad_(False).eval()

    def on(self, device: torch.device) -> M:
        """The module, moved to the device if it is elsewhere."""
        return self.module.to(device)
