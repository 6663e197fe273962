"""A loss as one value a row of the batch."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F


@dataclass(frozen=True, eq=False)
class RowLoss:
    """One value a row, and what each row counts in the value of the batch.

    A batch's value is the weighted mean, so that it is that of all its frames where rows have different lengths.
    Where rows count the same, a tensor (B,) serves as well: its ``mean()`` is the batch's value too.

    Args:
        values: (B,) loss of each row; 0 for a row to which it does not apply.
        weights: (B,) of at least 0, such as the frames that are real; 0 for a row to which it does not apply.
        per_row: whether each value depends on its own row alone. False where rows are coupled, as by a norm over the
            batch or by a speaker taken from another row: a row's gradient is then not that row's alone.
    """

    values: Tensor
    weights: Tensor
    per_row: bool = True

    def mean(self) -> Tensor:
        """The batch's value, a scalar; 0 if no row counts."""
        return (self.values * self.weights).sum() / self.weights.sum().clamp(min=1)

    def among(self, first: int, rows: int) -> "RowLoss":
        """The same loss for a batch of ``rows`` rows of which these are the ones from ``first`` on."""
        pad = (first, rows - first - len(self.values))
        return RowLoss(F.pad(self.values, pad), F.pad(self.weights, pad), self.per_row)


def mean_of_frames(x: Tensor, mask: Tensor, *, per_row: bool = True) -> RowLoss:
    """The mean of x (B, C, T) over channels and over the frames that the mask (B, 1, T) keeps; these are the weights.

    Numbers that the mask leaves out may be anything, also not a number.
    """
    kept = torch.where(mask > 0, x, torch.zeros((), dtype=x.dtype, device=x.device))
    frames = mask.sum((1, 2)).to(torch.float32 if x.dtype in (torch.float16, torch.bfloat16) else x.dtype)
    return RowLoss(kept.sum((1, 2)) / (frames * x.shape[1]).clamp(min=1), frames, per_row)


def mean_of_rows(x: Tensor) -> Tensor:
    """(B,) the mean of each row of x (B, …)."""
    return x.reshape(len(x), -1).mean(1)
