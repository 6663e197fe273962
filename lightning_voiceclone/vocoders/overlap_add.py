"""Overlap-add: from frames to a waveform."""

import functools
import math

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F


def frames_of(real: Tensor, imaginary: Tensor, n_fft: int) -> Tensor:
    """Frames (..., n_fft) of spectra (..., n_fft // 2 + 1), by the inverse transform of real signals.

    In an export the transform is a product with its matrix, which ONNX Runtime computes several times as fast.
    """
    if not torch.compiler.is_exporting():
        return torch.fft.irfft(torch.complex(real, imaginary), n=n_fft)
    bins = n_fft // 2 + 1
    even, odd = (torch.from_numpy(np.fft.irfft(unit * np.eye(bins), n_fft)[:, :bins].astype(np.float32)).to(real)
                 for unit in (1, 1j))  # fmt: skip
    symmetric, antisymmetric = real @ even, imaginary @ odd  # about the first sample: half of them gives the others
    mirrored = (symmetric - antisymmetric)[..., 1 : (n_fft + 1) // 2].flip(-1)
    return torch.cat([symmetric + antisymmetric, mirrored], -1)


def overlap_add(frames: Tensor, window: Tensor, hop: int, real: Tensor | None = None) -> Tensor:
    """Overlap-add windowed frames (B, T, n_fft) to audio (B, T * hop), divided by the sum of the squared windows.

    Frames are placed as those of features: frame t is centred on sample (t + 1/2) * hop. The window is (n_fft,).
    ``real`` (B, T) is 1 for frames of the recording, and 0 for zeros before it; None where all are real.
    """
    count, n_fft = frames.shape[1:]
    cut = (n_fft - hop) // 2
    windows = window.square().expand(1, count, -1)
    if real is not None:
        windows = windows * real[:, :, None]
    both = _summed(torch.cat([frames, windows]), hop)[:, cut : cut + count * hop]
    return both[: len(frames)] / both[len(frames) :].clamp(min=1e-3)


def _summed(frames: Tensor, hop: int) -> Tensor:
    """Samples (B, (T + n_fft / hop - 1) * hop), n_fft / hop rounded up, of frames (B, T, n_fft) laid a hop apart.

    Hop by hop of all frames at once, which is some forty times as fast as torch.nn.functional.fold.
    """
    rows, count, n_fft = frames.shape
    hops = math.ceil(n_fft / hop)
    if torch.compiler.is_exporting():  # what is written in place would be scattered, in a dozen operations
        parts = F.pad(frames, (0, hops * hop - n_fft)).split(hop, 2)
        placed = [F.pad(part, (0, 0, index, hops - 1 - index)) for index, part in enumerate(parts)]
        return functools.reduce(torch.add, placed).flatten(1)
    total = frames.new_zeros(rows, count + hops - 1, hop)
    for index in range(hops):
        part = frames[:, :, index * hop : (index + 1) * hop]
        total[:, index : index + count, : part.shape[2]] += part
    return total.flatten(1)
