"""Training crops in other voices than their own: who speaks in whose, and what that is judged beside."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition, SpeakerPrompt
from lightning_voiceclone.voice.analysis import Analysis


@dataclass(frozen=True)
class CrossSpeaker:
    """The first ``swapped`` rows of a batch speak in the voice of the row after them, the others in their own.

    Args:
        rows: of the batch.
        swapped: of them that are exchanged, in which nothing says how they must sound.
    """

    rows: int
    swapped: int

    @classmethod
    def of(cls, rows: int, share: float) -> "CrossSpeaker":
        """With that share of the rows, rounded down but not to none; none where there is no other voice to take."""
        return cls(rows, max(int(rows * share), 1) if rows > 1 and share > 0 else 0)

    def index(self, device: torch.device) -> Tensor:
        """(B,) number of the row in whose voice each row speaks."""
        own = torch.arange(self.rows, device=device)
        return torch.where(own < self.swapped, (own + 1) % self.rows, own)

    def register(self, prompt: SpeakerPrompt) -> Tensor | None:
        """(B,) median f0 in Hz that each melody is moved to; NaN, which moves nothing, for rows in their own voice."""
        if prompt.register is None or not self.swapped:
            return None
        own = torch.arange(self.rows, device=prompt.register.device) >= self.swapped
        return prompt.register.masked_fill(own, torch.nan)

    def real(self, source: Analysis, reference: Analysis | None) -> Tensor:
        """(B, F, T) what the fake stands beside: the crop itself, or of exchanged rows their reference."""
        return self.beside(source.features, None if reference is None else reference.features)

    def audio(self, source: Analysis, reference: Analysis | None) -> Tensor:
        """(B, N) the samples of the same."""
        return self.beside(source.audio, None if reference is None else reference.audio)

    def beside(self, own: Tensor, other: Tensor | None) -> Tensor:
        """Rows of ``own``, of which the exchanged ones are those of the other that they take, of the same length."""
        if other is None or not self.swapped:
            return own
        taken = other[self.index(other.device)[: self.swapped]]
        if own.ndim > 1:
            length = own.shape[-1]
            taken = F.pad(taken[..., :length], (0, max(length - taken.shape[-1], 0)))
        return torch.cat([taken, own[self.swapped :]])

    def condition(self, condition: Condition, reference: Analysis | None) -> Condition:
        """The condition with as many frames of exchanged rows as their reference has too."""
        if reference is None or not self.swapped:
            return condition
        lengths = condition.lengths.clone()
        theirs = reference.lengths[self.index(lengths.device)[: self.swapped]].to(lengths)
        lengths[: self.swapped] = torch.minimum(lengths[: self.swapped], theirs)
        return replace(condition, lengths=lengths)
