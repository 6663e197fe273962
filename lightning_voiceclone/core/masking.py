"""Padding, statistics over real frames, and frames of another rate."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.utils.torch_internals import is_open_to_one

# In squared units of the features: keeps the slope of the square root finite where a channel is constant.
VARIANCE_FLOOR = 1e-5
RESAMPLING = Context(1, 1)  # of resample_frames, in frames of the old rate: linear interpolation between neighbours


def masked_mean_and_deviation(x: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (B, C) of x (B, C, T) over the frames where the mask (B, 1, T) is set.

    Computed in single precision at least and returned in that of x: half precision cannot hold the sums over a long
    utterance.
    """
    wide = x if x.dtype == torch.float64 else x.float()
    count = mask.sum(-1).clamp(min=1).to(wide.dtype)
    mean = keep(wide, mask).sum(-1) / count
    variance = keep(wide - mean[:, :, None], mask).square().sum(-1) / count
    return mean.to(x.dtype), torch.sqrt(variance + VARIANCE_FLOOR).to(x.dtype)


def keep(x: Tensor, mask: Tensor) -> Tensor:
    """x where the mask (B, 1, T) is 1, and exactly 0 elsewhere, even where x is not a number."""
    return torch.where(mask > 0, x, torch.zeros((), dtype=x.dtype, device=x.device))


def reach_mask(lengths: Tensor, frames: int) -> Tensor:
    """(B, 1, T), True for the first ``lengths`` (B) frames of each row."""
    return (torch.arange(frames, device=lengths.device) < lengths[:, None])[:, None]


def pad_to_multiple(x: Tensor, multiple: int) -> Tensor:
    """x (..., T) with zeros up to the next multiple: (..., ceil(T / multiple) * multiple).

    Pads by more than is missing, and cuts: torch.export at an open length cannot leave open whether there is anything
    to pad, or to cut.
    """
    whole = (x.shape[-1] + multiple - 1) // multiple * multiple
    return F.pad(x, (0, multiple))[..., :whole]


def one_differs() -> bool:
    """Whether torch.export, now in progress, would take a length of 1 for another case: there must never be only one.

    Elements of size 1 are broadcast, so that it asks. :func:`~lightning_voiceclone.utils.torch_internals.open_to_one`,
    by which graphs are written for ONNX, makes it answer as for all other sizes.
    """
    return torch.compiler.is_exporting() and not is_open_to_one()


def cut(x: Tensor, frames: int, dim: int = -1) -> Tensor:
    """The first ``frames`` along ``dim`` of x, which has as many or more: a slice that torch.export can leave open."""
    if torch.compiler.is_exporting():  # of a slice it would keep whether there was anything to cut
        return x.index_select(dim, torch.arange(frames, device=x.device))
    return x.narrow(dim, 0, frames)


def resample_frames(content: Tensor, frames: int, from_rate: float, to_rate: float) -> Tensor:
    """Content (B, C, T') on the features' grid (B, C, T), by linear interpolation between frame centres."""
    if from_rate == to_rate:
        return F.pad(content, (0, max(frames - content.shape[-1], 0)), mode="replicate")[..., :frames]
    stretched = F.interpolate(content, scale_factor=to_rate / from_rate, mode="linear", align_corners=False)
    return F.pad(stretched, (0, max(frames - stretched.shape[-1], 0)), mode="replicate")[..., :frames]
