"""Whether what was made still is of the speaker that was wanted, and says what was to be said."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.masking import masked_mean_and_deviation

LEAST_FRAMES = 20  # for statistics that say something of a voice


def cosine_distance(told: Tensor, wanted: Tensor, mask: Tensor | None = None) -> Tensor:
    """1 less the cosine along axis 1, a scalar from 0 to 2: of embeddings (B, D), or of content (B, C, T).

    Args:
        told: what an encoder hears in what was made.
        wanted: what it is to hear; no gradient flows into it.
        mask: (B, 1, T), 1 for the frames that count; None for all.
    """
    distance = 1 - F.cosine_similarity(told, wanted.detach(), dim=1)
    if mask is None:
        return distance.mean()
    return (distance * mask[:, 0]).sum() / mask.sum().clamp(min=1)


def statistics_distance(
    told: Tensor, wanted: Tensor, told_mask: Tensor, wanted_mask: Tensor, heard: Tensor | None = None
) -> Tensor:
    """Mean squared difference of the channels' means and standard deviations, a scalar.

    What two recordings of one voice share whatever they say: its long-term spectrum. The squares make the mean over
    many crops of a speaker the best answer, of which a single crop is a noisy sample. As AdaIN compares styles (Huang
    and Belongie 2017, equation 13), of features instead of a network's.

    Args:
        told: (B, F, T) what was made.
        wanted: (B, F, T') of the voice that was wanted; no gradient flows into it.
        told_mask: (B, 1, T), set for the frames that count.
        wanted_mask: (B, 1, T') likewise. Rows with less than ``LEAST_FRAMES`` on either side do not count.
        heard: (B, F), whether a channel counts; None for all.
    """
    enough = (told_mask.sum((1, 2)) >= LEAST_FRAMES) & (wanted_mask.sum((1, 2)) >= LEAST_FRAMES)
    ours = masked_mean_and_deviation(told, told_mask)
    theirs = masked_mean_and_deviation(wanted.detach(), wanted_mask)
    distance = torch.stack([(one - other).square() for one, other in zip(ours, theirs, strict=True)]).sum(0)
    distance = distance.mean(1) if heard is None else (distance * heard).sum(1) / heard.sum(1).clamp(min=1)
    return (distance * enough).sum() / enough.sum().clamp(min=1)
