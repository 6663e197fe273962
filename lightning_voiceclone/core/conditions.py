"""What a generator is given."""

from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor


@dataclass(frozen=True)
class Condition:
    """What a generator is told. Every field but ``lengths`` may be absent.

    Args:
        lengths: (B,) frames that are real; those after are padding.
        content: (B, C, T) what is said.
        f0: (B, T) fundamental frequency in Hz; 0 where unvoiced.
        voicing: (B, T) from 0 (noise) to 1 (periodic).
        energy: (B, T) natural logarithm of the RMS, less its mean over the utterance.
        speaker: (B, D) who says it.
        reference_frames: (B, R, F) features of the reference, normalised.
        reference_content: (B, C, R) what the reference says, frame by frame.
        reference_lengths: (B,) frames of the reference that are real.
        style: (B, S) how it is said, for generators that know styles.
        noise: (B, Z) or (B, Z, T), standard normal.
    """

    lengths: Tensor
    content: Tensor | None = None
    f0: Tensor | None = None
    voicing: Tensor | None = None
    energy: Tensor | None = None
    speaker: Tensor | None = None
    reference_frames: Tensor | None = None
    reference_content: Tensor | None = None
    reference_lengths: Tensor | None = None
    style: Tensor | None = None
    noise: Tensor | None = None

    def detach(self) -> "Condition":
        """The same values without their gradients."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value.detach() for name, value in values.items() if value is not None})

    def mask(self, frames: int) -> Tensor:
        """(B, 1, T) with 1 for real frames and 0 for padding."""
        positions = torch.arange(frames, device=self.lengths.device)
        return (positions < self.lengths[:, None])[:, None].float()
