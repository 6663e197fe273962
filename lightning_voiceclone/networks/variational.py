"""KL divergence of a latent from the standard normal."""

import torch
from torch import Tensor


def gaussian_kl(mean: Tensor, log_variance: Tensor, mask: Tensor) -> Tensor:
    """KL(N(mean, variance) || N(0, 1)) in nats a latent number, averaged over a row's real frames; (B,).

    -(1 + log variance - mean^2 - variance) / 2 for each number (Kingma & Welling 2014, appendix B).

    Args:
        mean: (B, latent, T).
        log_variance: (B, latent, T), natural logarithm.
        mask: (B, 1, T), 1 for real frames; a row without any is 0.
    """
    divergence = -0.5 * (1 + log_variance - mean.square() - log_variance.exp())
    kept = torch.where(mask > 0, divergence, torch.zeros((), dtype=mean.dtype, device=mean.device))
    return kept.sum((1, 2)) / (mask.sum((1, 2)) * mean.shape[1]).clamp(min=1)
