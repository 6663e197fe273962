"""Cross-speaker conversion in training: which rows are converted, to whom, and what the discriminator compares with."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition, SpeakerPrompt
from lightning_voiceclone.voice.analysis import Analysis


@dataclass(frozen=True)
class CrossSpeaker:
    """Converts the first ``swapped`` rows of a batch to the speaker of the row after them; the others keep their own.

    Args:
        rows: number of rows of the batch.
        swapped: number of rows that are converted to another speaker; these have no target to reconstruct.
    """

    rows: int
    swapped: int

    @classmethod
    def of(cls, rows: int, share: float) -> "CrossSpeaker":
        """Convert that share of the rows: rounded down, at least one; none where the batch has a single row."""
        return cls(rows, max(int(rows * share), 1) if rows > 1 and share > 0 else 0)

    def index(self, device: torch.device) -> Tensor:
        """(B,) index of the row whose speaker each row gets."""
        own = torch.arange(self.rows, device=device)
        return torch.where(own < self.swapped, (own + 1) % self.rows, own)

    def register(self, prompt: SpeakerPrompt) -> Tensor | None:
        """(B,) target median f0 in Hz of each row; NaN (f0 is left as it is) for rows that keep their speaker."""
        if prompt.register is None or not self.swapped:
            return None
        own = torch.arange(self.rows, device=prompt.register.device) >= self.swapped
        return prompt.register.masked_fill(own, torch.nan)

    def real(self, source: Analysis, reference: Analysis | None) -> Tensor:
        """(B, F, T) real features for the discriminator: the crop itself, or the reference for cross-speaker rows."""
        return self.beside(source.features, None if reference is None else reference.features)

    def audio(self, source: Analysis, reference: Analysis | None) -> Tensor:
        """(B, N) audio samples of the same rows as :meth:`real`."""
        return self.beside(source.audio, None if reference is None else reference.audio)

    def beside(self, own: Tensor, other: Tensor | None) -> Tensor:
        """``own``, with cross-speaker rows replaced by their target's row of ``other``, cut or padded to the length."""
        if other is None or not self.swapped:
            return own
        taken = other[self.index(other.device)[: self.swapped]]
        if own.ndim > 1:
            length = own.shape[-1]
            taken = F.pad(taken[..., :length], (0, max(length - taken.shape[-1], 0)))
        return torch.cat([taken, own[self.swapped :]])

    def condition(self, condition: Condition, reference: Analysis | None) -> Condition:
        """The condition with ``lengths`` of cross-speaker rows limited to those of their reference."""
        if reference is None or not self.swapped:
            return condition
        lengths = condition.lengths.clone()
        theirs = reference.lengths[self.index(lengths.device)[: self.swapped]].to(lengths)
        lengths[: self.swapped] = torch.minimum(lengths[: self.swapped], theirs)
        return replace(condition, lengths=lengths)
