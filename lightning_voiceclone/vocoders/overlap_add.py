"""Frames put together to a waveform."""

import torch
from torch import Tensor
from torch.nn import functional as F


def overlap_add(frames: Tensor, window: Tensor, hop: int) -> Tensor:
    """Frames (B, T, n_fft), windowed, to audio (B, T * hop); divided by the sum of the squared windows (n_fft,).

    The frames lie as those of features do: frame t is centred on sample (t + 1/2) * hop.
    """
    count, n_fft = frames.shape[1:]
    cut = (n_fft - hop) // 2
    squares = window.square()[:, None].expand(-1, count)[None]
    size = (1, (count - 1) * hop + n_fft)
    both = torch.cat([frames.transpose(1, 2), squares])
    summed = F.fold(both, size, (1, n_fft), stride=(1, hop))[:, 0, 0, cut : cut + count * hop]
    return summed[:-1] / summed[-1].clamp(min=1e-3)
