"""Durations of tokens: from predicted real numbers to whole frames, and from tokens to frames."""

import torch
from torch import Tensor


def whole_frames(durations: Tensor, least: Tensor | int = 0) -> Tensor:
    """Durations (B, L) in frames, rounded so that the end of each token is as near as whole frames allow.

    Rounding errors do not add up: the sum of a row is its rounded sum. A token that had less than ``least`` has that.

    Args:
        durations: (B, L) real numbers of at least 0.
        least: (B, L), or one for all: 1 for a phoneme, which is then never skipped; 0 for padding.

    Returns:
        (B, L) int64.
    """
    least = torch.as_tensor(least, device=durations.device)
    ends = (durations.double().maximum(least.double()).cumsum(1) + 0.5).floor().long()
    return torch.diff(ends, dim=1, prepend=torch.zeros_like(ends[:, :1])).maximum(least)


def by_frame(values: Tensor, durations: Tensor) -> Tensor:
    """Values (B, ..., L) of tokens as values (B, ..., T) of their frames; T is the greatest sum of durations.

    Args:
        values: of each token.
        durations: (B, L) whole frames.

    Returns:
        Zeros after the last token of each row.
    """
    frames = int(durations.sum(1).max())
    made = values.new_zeros((*values.shape[:-1], frames))
    for row, (value, counts) in enumerate(zip(values, durations, strict=True)):
        made[row, ..., : int(counts.sum())] = value.repeat_interleave(counts, -1)
    return made
