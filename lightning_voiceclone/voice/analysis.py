"""Features, pitch and energy of recordings, frame by frame."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import TensorFields
from lightning_voiceclone.core.masking import reach_mask
from lightning_voiceclone.features.prosody import VOICED


@dataclass(frozen=True)
class Analysis(TensorFields):
    """Features, pitch and energy of a batch of recordings, frame by frame.

    Args:
        audio: (B, N) samples of these frames, N = T * hop.
        features: (B, F, T), normalised.
        lengths: (B,) frames that are real.
        f0: (B, T) in Hz, 0 where unvoiced; None if the model has no pitch extractor.
        voicing: (B, T) from 0 to 1; None likewise.
        energy: (B, T) logarithm of the RMS less its mean; None if the model has no energy extractor.
    """

    audio: Tensor
    features: Tensor
    lengths: Tensor
    f0: Tensor | None = None
    voicing: Tensor | None = None
    energy: Tensor | None = None

    @property
    def voiced(self) -> Tensor:
        """(B, 1, T), True for real frames that are voiced; for all real ones if the model has no pitch extractor."""
        frames = self.features.shape[-1]
        mask = reach_mask(self.lengths, frames)
        return mask if self.voicing is None else mask & (self.voicing > VOICED)[:, None]


def pad_together(recordings: list[Tensor], hop_length: int) -> tuple[Tensor, Tensor]:
    """Zero-pad recordings (N,) of several lengths to one batch (B, N); also returns their lengths in frames."""
    lengths = torch.tensor([len(audio) // hop_length for audio in recordings], device=recordings[0].device)
    longest = int(lengths.max()) * hop_length
    rows = [F.pad(audio[:longest], (0, longest - min(len(audio), longest))) for audio in recordings]
    return torch.stack(rows), lengths
