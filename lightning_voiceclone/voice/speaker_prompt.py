"""Who is to speak: what a voice keeps of its references."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class SpeakerPrompt:
    """What references tell of their speakers, one row each; what no part of the voice asks for is None.

    Args:
        lengths: (B,) frames of the references that are real.
        speaker: (B, D) embedding.
        frames: (B, R, F) features, normalised.
        content: (B, C, R) what the references say, frame by frame.
        register: (B,) median of f0 in Hz; NaN where nothing is voiced.
    """

    lengths: Tensor
    speaker: Tensor | None = None
    frames: Tensor | None = None
    content: Tensor | None = None
    register: Tensor | None = None

    def tensors(self) -> dict[str, Tensor]:
        """What is there, by name."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}

    def rows(self, index: Tensor) -> "SpeakerPrompt":
        """The rows of those numbers."""
        return SpeakerPrompt(**{name: value[index] for name, value in self.tensors().items()})

    def together(self) -> "SpeakerPrompt":
        """One row: several references of one speaker as one.

        Embeddings are averaged by length, frames stand one after another, the register is the median of the
        references' by length: that of the longer one of two.
        """
        counts = self.lengths.tolist()
        made: dict[str, Tensor] = {"lengths": self.lengths.sum()[None]}
        if self.speaker is not None:
            made["speaker"] = (self.speaker * (self.lengths / self.lengths.sum())[:, None]).sum(0)[None]
        if self.frames is not None:
            made["frames"] = torch.cat([row[:count] for row, count in zip(self.frames, counts, strict=True)])[None]
        if self.content is not None:
            rows = [row[:, :count] for row, count in zip(self.content, counts, strict=True)]
            made["content"] = torch.cat(rows, 1)[None]
        if self.register is not None:
            made["register"] = _weighted_median(self.register, self.lengths)[None]
        return SpeakerPrompt(**made)

    def with_noise(self, deviation: float) -> "SpeakerPrompt":
        """The same with normal noise on the embedding, drawn from torch's own state."""
        if self.speaker is None or not deviation:
            return self
        return replace(self, speaker=self.speaker + deviation * torch.randn_like(self.speaker))


def _weighted_median(values: Tensor, weights: Tensor) -> Tensor:
    """Of values (B,), the one on whose either side there is at most half of the weight; NaN if all of them are."""
    ordered, order = values.sort()  # NaN comes last
    reached = torch.where(ordered.isnan(), 0, weights[order]).cumsum(0)
    return ordered[(2 * reached < reached[-1]).sum()]


class StoredPrompt(nn.Module):
    """The identity (one row) of the speaker to whom a voice was adapted, kept among its weights.

    Args:
        prompt: of that speaker.
    """

    def __init__(self, prompt: SpeakerPrompt):
        super().__init__()
        for name, value in prompt.tensors().items():
            self.register_buffer(name, value.clone())

    def prompt(self) -> SpeakerPrompt:
        """As it was given."""
        return SpeakerPrompt(**dict(self.named_buffers()))

    def shapes(self) -> dict[str, list[int]]:
        """Of each tensor, by name: what a voice writes down."""
        return {name: list(value.shape) for name, value in self.named_buffers()}

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> "StoredPrompt":
        """Room for an identity of those shapes, to be filled with weights."""
        kinds = {"lengths": torch.int64}
        made = {name: torch.zeros(*shape, dtype=kinds.get(name, torch.float32)) for name, shape in shapes.items()}
        if "register" in made:  # which may stay so, where nothing is voiced
            made["register"].fill_(torch.nan)
        return cls(SpeakerPrompt(**made))
