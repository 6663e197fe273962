"""A generator: the features of a target speaker from content, pitch, energy and the speaker embedding."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Dims, Generator
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.networks.layers.film import SpeakerModulation
from lightning_voiceclone.networks.layers.frame_inputs import FrameInputs, needed_fields


class ExampleGenerator(Generator):
    """Two layers applied to each frame alone; the speaker embedding scales and shifts the hidden one.

    Args:
        dims: widths of the inputs and of the features.
        width: channels inside.
    """

    capabilities = frozenset({"exportable", "streamable"})
    context = Context(0, 0)  # frames before and after that an output frame depends on

    def __init__(self, dims: Dims, *, width: int = 128):
        super().__init__()
        self.needs = needed_fields(dims)
        self.inputs = FrameInputs(dims)
        self.enter = nn.Conv1d(self.inputs.channels, width, 1)
        self.modulation = SpeakerModulation(dims, width)
        self.leave = nn.Conv1d(width, dims.features, 1)

    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T)."""
        x = self.enter(self.inputs(condition))
        features: Tensor = self.leave(torch.relu(self.modulation(x, condition)))
        return features
