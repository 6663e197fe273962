"""Whether what was made still is of the speaker that was wanted, and says what was to be said."""

import torch
from torch import Tensor, nn
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


class _Reversed(torch.autograd.Function):
    """The same values, and the gradient with the other sign (Ganin et al. 2016)."""

    @staticmethod
    def forward(ctx: object, x: Tensor) -> Tensor:
        return x.view_as(x)

    @staticmethod
    def backward(ctx: object, *gradients: Tensor) -> Tensor:
        return -gradients[0]


class SpeakerConfusion(nn.Module):
    """A classifier that must tell from the content whose it is, while the content encoder learns to leave it nothing.

    Of the speakers of a batch it must choose the one whose embedding belongs to the content (cross-entropy of cosines,
    times 10); the gradient that it sends back into the content is reversed (Ganin et al. 2016). So it needs no list
    of speakers. At log B it knows nothing.

    Args:
        content: C.
        speaker: D.
        width: channels inside.
    """

    def __init__(self, content: int, speaker: int, *, width: int = 128):
        super().__init__()
        self.convolution = nn.Conv1d(content, width, 5, padding=2)
        self.leave = nn.Linear(2 * width, speaker)

    def forward(self, content: Tensor, speaker: Tensor, mask: Tensor) -> Tensor:
        """The cross-entropy, a scalar, of content (B, C, T) with its mask (B, 1, T) and the embeddings (B, D)."""
        hidden = F.silu(self.convolution(_Reversed.apply(content) * mask))
        told = self.leave(torch.cat(masked_mean_and_deviation(hidden, mask > 0), dim=1))
        cosines = F.normalize(told, dim=1) @ F.normalize(speaker.detach(), dim=1).T
        return F.cross_entropy(10 * cosines, torch.arange(len(content), device=content.device))
