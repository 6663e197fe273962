"""Modulation by the speaker embedding."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.networks.layers.frame_inputs import promised


class SpeakerModulation(nn.Module):
    """Feature-wise modulation by the speaker: x * scale(s) + shift(s), with scale and shift affine in the embedding.

    FiLM (Perez et al. 2018, equation 2). Starts near the identity; is the identity where ``dims.speaker`` is 0.

    Args:
        dims: ``dims.speaker`` is the embedding's width D.
        width: channels of x.
    """

    def __init__(self, dims: Dims, width: int):
        super().__init__()
        self.speaker = dims.speaker
        if dims.speaker:
            self.affine = nn.Linear(dims.speaker, 2 * width)
            nn.init.normal_(self.affine.weight, std=0.02)
            nn.init.zeros_(self.affine.bias)

    def scale_and_shift(self, condition: Condition) -> tuple[Tensor, Tensor]:
        """Each (B, width, 1).

        Raises:
            ConfigurationError: if the embedding is missing or of another width.
        """
        speaker = promised(condition, "speaker", 2, self.speaker)
        scale, shift = self.affine(speaker)[:, :, None].chunk(2, dim=1)
        return 1 + scale, shift

    def forward(self, x: Tensor, condition: Condition) -> Tensor:
        """x (B, width, T), modulated."""
        if not self.speaker:
            return x
        scale, shift = self.scale_and_shift(condition)
        return torch.addcmul(shift, x, scale)
