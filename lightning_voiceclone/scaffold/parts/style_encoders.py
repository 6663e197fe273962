"""A style encoder: how something is said, as a vector that a text encoder takes."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.core.interfaces import StyleEncoder
from lightning_voiceclone.core.masking import masked_mean_and_deviation, reach_mask


class ExampleStyleEncoder(StyleEncoder):
    """The mean and the standard deviation of pitch, voicing and energy of a recording, through a dense layer."""

    def __init__(self, *, channels: int = 16):
        super().__init__()
        self.channels = channels
        self.leave = nn.Linear(6, channels)

    def forward(self, x: Script) -> Tensor:
        """Style vectors (B, S) of scripts."""
        nothing = x.content.new_zeros(len(x.content), x.content.shape[2])
        tracks = torch.stack([nothing if track is None else track for track in (x.f0, x.voicing, x.energy)], 1)
        scales = torch.tensor([[0.01], [1.0], [1.0]]).to(tracks)  # f0 is in Hz
        mask = reach_mask(x.lengths, tracks.shape[2]).to(tracks)
        vectors: Tensor = self.leave(torch.cat(masked_mean_and_deviation(scales * tracks, mask), 1))
        return vectors
