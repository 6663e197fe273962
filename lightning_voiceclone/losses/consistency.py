"""Consistency losses: does generated speech keep the wanted speaker and content?"""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.masking import masked_mean_and_deviation
from lightning_voiceclone.losses.rows import RowLoss, mean_of_frames, mean_of_rows

LEAST_FRAMES = 20  # fewer frames give no useful statistics of a voice


def cosine_distance(output: Tensor, target: Tensor, mask: Tensor | None = None) -> RowLoss:
    """1 - cosine along axis 1, from 0 to 2: of embeddings (B, D), or of content (B, C, T).

    Args:
        output: an encoder's output for the generated speech.
        target: the wanted output; no gradient flows into it.
        mask: (B, 1, T), 1 for the frames that count; None where there are no frames, so that rows count the same.
    """
    distance = 1 - F.cosine_similarity(output, target.detach(), dim=1)
    if mask is None:
        distance = mean_of_rows(distance)
        return RowLoss(distance, torch.ones_like(distance))
    return mean_of_frames(distance[:, None], mask)


def relative_distance(output: Tensor, target: Tensor, mask: Tensor) -> RowLoss:
    """Mean squared difference of content (B, C, T), each channel relative to its variance over the target's frames.

    0 for equal ones, 1 for the mean of the target everywhere, 2 for frames of the target in another order. So a few
    channels of large values, which encoders of speech have, count no more than others.

    Args:
        output: an encoder's output for the generated speech.
        target: the wanted output; no gradient flows into it.
        mask: (B, 1, T), 1 for the frames that count.
    """
    target = target.detach()
    frames = mask.sum().clamp(min=1)
    mean = (target * mask).sum((0, 2), keepdim=True) / frames
    variance = ((target - mean).square() * mask).sum((0, 2), keepdim=True) / frames
    return mean_of_frames((output - target).square() / variance.clamp(min=1e-6), mask, per_row=False)


def statistics_distance(
    output: Tensor, target: Tensor, output_mask: Tensor, target_mask: Tensor, channels: Tensor | None = None
) -> RowLoss:
    """Mean squared difference of the channels' means and standard deviations.

    It compares the long-term spectrum, which recordings of one voice share whatever their words. A single crop is a
    noisy sample of it; with squares, the optimum is the mean over many crops of a speaker. As AdaIN compares styles
    (Huang and Belongie 2017, equation 13), but on features instead of a network's activations.

    Args:
        output: (B, F, T) generated features.
        target: (B, F, T') features of the target voice; no gradient flows into them.
        output_mask: (B, 1, T), set for the frames that count.
        target_mask: (B, 1, T') likewise. Rows with fewer than ``LEAST_FRAMES`` in either do not count.
        channels: (B, F), whether a channel counts; None for all.
    """
    enough = (output_mask.sum((1, 2)) >= LEAST_FRAMES) & (target_mask.sum((1, 2)) >= LEAST_FRAMES)
    ours = masked_mean_and_deviation(output, output_mask)
    theirs = masked_mean_and_deviation(target.detach(), target_mask)
    distance = torch.stack([(one - other).square() for one, other in zip(ours, theirs, strict=True)]).sum(0)
    distance = distance.mean(1) if channels is None else (distance * channels).sum(1) / channels.sum(1).clamp(min=1)
    return RowLoss(distance, enough.to(distance.dtype))
