"""Layer normalisation that does not mix frames."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F


class ChannelNorm(nn.Module):
    """Layer normalisation over the channels of each frame of (B, C, T); frames do not mix (Ba et al. 2016)."""

    def __init__(self, channels: int, eps: float = 1e-5):
        super().__init__()
        self.eps = eps
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))

    def forward(self, x: Tensor) -> Tensor:
        """Normalised x, of the same shape."""
        normalised = F.layer_norm(x.transpose(1, 2), (x.shape[1],), self.weight, self.bias, self.eps)
        return normalised.transpose(1, 2)
