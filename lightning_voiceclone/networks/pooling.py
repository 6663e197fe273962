"""Statistics over the real frames of padded batches."""

import torch
from torch import Tensor

from lightning_voiceclone.networks.conditioning import keep

# In squared units of the features: keeps the slope of the square root finite where a channel does not move.
VARIANCE_FLOOR = 1e-5


def masked_mean_and_deviation(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, C) of x (B, C, T) over the frames where the mask (B, 1, T) is set.

    Computed in single precision at least, and given in that of x: half precision would round away what a long
    utterance adds up to.
    """
    wide = x if x.dtype == torch.float64 else x.float()
    count = mask.sum(-1).clamp(min=1).to(wide.dtype)
    mean = keep(wide, mask).sum(-1) / count
    variance = keep(wide - mean[:, :, None], mask).square().sum(-1) / count
    return mean.to(x.dtype), torch.sqrt(variance + VARIANCE_FLOOR).to(x.dtype)
