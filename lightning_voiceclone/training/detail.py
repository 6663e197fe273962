"""Targets of less detail over channels, for the first steps of a training."""

import torch
from torch import Tensor

NONE = 1e-3  # channels: a deviation below changes nothing


def smoothed(features: Tensor, channels: float) -> Tensor:
    """Features (B, F, T) that differ as if there were only so many channels: a Gaussian mean over neighbours.

    Its standard deviation is (F / channels - 1) / 2 channels, so that it goes to nothing, without a jump, as
    ``channels`` goes to F; from there on the features are as they are.
    """
    count = features.shape[1]
    deviation = (count / channels - 1) / 2
    if deviation < NONE:
        return features
    places = torch.arange(count, device=features.device, dtype=features.dtype)
    weights = torch.exp(-((places[:, None] - places) ** 2) / (2 * deviation**2))
    return (weights / weights.sum(1, keepdim=True)) @ features
