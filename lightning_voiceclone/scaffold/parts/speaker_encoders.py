"""A speaker encoder: who says it, without what is said."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.interfaces import Dims, SpeakerEncoder
from lightning_voiceclone.core.masking import masked_mean_and_deviation, reach_mask


class ExampleSpeakerEncoder(SpeakerEncoder):
    """A linear layer on the mean and the standard deviation of each channel over time.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: D, numbers of the embedding.
    """

    def __init__(self, dims: Dims, *, channels: int = 64):
        super().__init__()
        self.channels = channels
        self.leave = nn.Linear(2 * dims.features, channels)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embedding (B, D) of features (B, F, T)."""
        mask = reach_mask(torch.full(x.shape[:1], x.shape[-1]) if lengths is None else lengths, x.shape[-1])
        embedding: Tensor = self.leave(torch.cat(masked_mean_and_deviation(x, mask), 1))
        return embedding
