"""Initialisation of layers."""

import torch
from torch import nn


def begin_small(layer: nn.Module, factor: float = 0.1) -> None:
    """Scale down an output layer, so that training starts at about the mean of the normalised features, 0."""
    with torch.no_grad():
        layer.weight.mul_(factor)  # type: ignore[operator, union-attr]
        layer.bias.zero_()  # type: ignore[operator, union-attr]
