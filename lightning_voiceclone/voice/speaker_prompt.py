"""The speaker whom an adapted model keeps."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from lightning_voiceclone.core.conditions import SpeakerPrompt


class StoredPrompt(nn.Module):
    """The prompt (one row) of the speaker to whom a model was adapted, kept among its weights.

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
        """Of each tensor, by name: what a model folder records."""
        return {name: list(value.shape) for name, value in self.named_buffers()}

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> "StoredPrompt":
        """An empty prompt of those shapes, to load weights into."""
        kinds = {"lengths": torch.int64}
        made = {name: torch.zeros(*shape, dtype=kinds.get(name, torch.float32)) for name, shape in shapes.items()}
        if "register" in made:  # which may stay so, where nothing is voiced
            made["register"].fill_(torch.nan)
        return cls(SpeakerPrompt(**made))
