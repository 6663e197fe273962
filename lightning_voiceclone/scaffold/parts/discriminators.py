"""A discriminator: real features from generated ones."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Dims, Discriminator
from lightning_voiceclone.core.masking import keep


class ExampleDiscriminator(Discriminator):
    """Two convolutions over time; one logit a frame.

    Args:
        dims: widths; ``dims.features`` is F.
        width: channels inside.
    """

    def __init__(self, dims: Dims, *, width: int = 64):
        super().__init__()
        self.enter = nn.Conv1d(dims.features, width, 5, padding=2)
        self.leave = nn.Conv1d(width, 1, 5, padding=2)

    def forward(self, x: Tensor, condition: Condition | None = None) -> list[list[Tensor]]:
        """One list: the hidden layer (B, width, T) of x (B, F, T), then its logits (B, 1, T)."""
        if condition is not None:
            x = keep(x, condition.mask(x.shape[-1]))  # padding counts neither as real nor as fake
        hidden = torch.relu(self.enter(x))
        return [[hidden, self.leave(hidden)]]
