"""The speaker that an adapted model stores."""

from collections.abc import Mapping, Sequence

import torch
from torch import nn

from lightning_voiceclone.core.conditions import SpeakerPrompt


class StoredPrompt(nn.Module):
    """The prompt of the speaker to whom a model was adapted, stored with its weights.

    Args:
        prompt: of that speaker; one row.
    """

    def __init__(self, prompt: SpeakerPrompt):
        super().__init__()
        for name, value in prompt.tensors().items():
            self.register_buffer(name, value.clone())

    def prompt(self) -> SpeakerPrompt:
        """The stored prompt."""
        return SpeakerPrompt(**dict(self.named_buffers()))

    def shapes(self) -> dict[str, list[int]]:
        """Shape of each tensor, by name; a model folder records them."""
        return {name: list(value.shape) for name, value in self.named_buffers()}

    @classmethod
    def of_shapes(cls, shapes: Mapping[str, Sequence[int]]) -> "StoredPrompt":
        """An empty prompt of those shapes, to load weights into."""
        kinds = {"lengths": torch.int64}
        made = {name: torch.zeros(*shape, dtype=kinds.get(name, torch.float32)) for name, shape in shapes.items()}
        if "register" in made:  # NaN where nothing is voiced; loading may leave it so
            made["register"].fill_(torch.nan)
        return cls(SpeakerPrompt(**made))
