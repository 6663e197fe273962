"""Normalise features to zero mean and unit variance."""

from collections.abc import Iterable

import torch
from torch import Tensor, nn


class Normalizer(nn.Module):
    """Normalise each channel to zero mean and unit variance, with statistics of the training recordings."""

    mean: Tensor
    scale: Tensor
    fitted: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1))
        self.register_buffer("scale", torch.ones(channels, 1))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Compute the statistics of features (B, F, T), over all batches."""
        values = torch.cat([features.transpose(0, 1).flatten(1).cpu().double() for features in batches], dim=1)
        self.mean.copy_(values.mean(dim=1, keepdim=True))
        self.scale.copy_(values.std(dim=1, keepdim=True).clamp_min(1e-5))
        self.fitted.fill_(True)

    def fit_once(self, batches: Iterable[Tensor]) -> None:
        """As :meth:`fit`, unless that was done before, here or where the weights come from."""
        if not self.fitted:
            self.fit(batches)

    def forward(self, features: Tensor) -> Tensor:
        """Normalised features (B, F, T)."""
        return (features - self.mean) / self.scale

    def inverse(self, features: Tensor) -> Tensor:
        """Features in the extractor's own units (B, F, T)."""
        return features * self.scale + self.mean
