"""A content encoder: what is said, without who says it."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.interfaces import ContentEncoder, Dims
from lightning_voiceclone.core.masking import keep, reach_mask
from lightning_voiceclone.core.streaming import Context


class ExampleContentEncoder(ContentEncoder):
    """Two convolutions over the features, at their frame rate; few channels, so that little of the voice passes.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: C, the width of the bottleneck.
        width: channels inside.
    """

    capabilities = frozenset({"exportable", "streamable"})

    def __init__(self, dims: Dims, *, channels: int = 16, width: int = 128):
        super().__init__()
        self.channels, self.frame_rate = channels, dims.frame_rate
        self.enter = nn.Conv1d(dims.features, width, 5, padding=2)
        self.leave = nn.Conv1d(width, channels, 1)
        self.context = Context(2, 2)  # frames before and after that an output frame depends on

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, T) of features (B, F, T); 0 in the padding."""
        mask = reach_mask(torch.full(x.shape[:1], x.shape[-1]) if lengths is None else lengths, x.shape[-1])
        return keep(self.leave(torch.relu(self.enter(keep(x, mask)))), mask)
