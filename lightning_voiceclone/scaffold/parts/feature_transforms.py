"""A feature transform: augmentation of the content encoder's input in training."""

import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import FeatureTransform
from lightning_voiceclone.errors import ConfigurationError


class ExampleFeatureTransform(FeatureTransform):
    """Normal noise of a drawn deviation is added to each row.

    Args:
        most: greatest standard deviation, in units of the features.

    Raises:
        ConfigurationError: if ``most`` is below 0.
    """

    def __init__(self, *, most: float = 0.1):
        super().__init__()
        if most < 0:
            raise ConfigurationError(f"{type(self).__name__}: most is {most:g}, but must be at least 0")
        self.most = most

    def forward(self, features: Tensor) -> Tensor:
        """(B, F, T) of features (B, F, T)."""
        deviation = self.most * torch.rand(len(features), 1, 1).to(features)
        return features + deviation * torch.randn_like(features)
