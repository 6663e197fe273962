"""How far the rows of a batch lie apart, as one more input of the logits."""

import torch
from torch import Tensor, nn

TINY = 1e-8  # of the variance: the slope of the root is infinite at 0


class MinibatchDeviation(nn.Module):
    """Appends the standard deviation over the batch as one channel (Karras et al. 2018, section 3).

    Of each number over the rows, then the mean over channels and places, so that generated rows that are too much
    alike can be found by that alone. With it the logits of a row depend on the other rows.
    """

    def forward(self, hidden: Tensor) -> Tensor:
        """(B, channels + 1, …) of hidden features (B, channels, …)."""
        deviation = (hidden.var(0, correction=0) + TINY).sqrt().mean()
        return torch.cat([hidden, deviation.expand_as(hidden[:, :1])], 1)
