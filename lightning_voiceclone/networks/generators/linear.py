"""A linear map from the inputs of a frame to its features."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.networks.layers.film import SpeakerModulation
from lightning_voiceclone.networks.layers.frame_inputs import FrameInputs, needed_fields


class LinearGenerator(Generator):
    """One linear layer over the inputs of each frame, scaled and shifted by the speaker; at first the identity.

    With :class:`~lightning_voiceclone.networks.content_encoders.features.FeatureContentEncoder` and no speaker it gives
    the content to the vocoder as it is: text encoders are trained to give features. Where inputs and features differ in
    number, those that both have are equal at first, and the others 0.

    Args:
        dims: widths of the inputs and of the features.

    Raises:
        ConfigurationError: if dims promise no input.
    """

    capabilities = frozenset({"deterministic", "differentiable", "exportable", "streamable"})
    context = Context(0, 0)

    def __init__(self, dims: Dims):
        super().__init__()
        self.needs = needed_fields(dims)
        self.inputs = FrameInputs(dims)
        self.layer = nn.Conv1d(self.inputs.channels, dims.features, 1)
        nn.init.zeros_(self.layer.bias)  # type: ignore[arg-type]
        with torch.no_grad():
            self.layer.weight.copy_(torch.eye(dims.features, self.inputs.channels)[..., None])
        self.modulation = SpeakerModulation(dims, dims.features)

    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T)."""
        return self.modulation(self.layer(self.inputs(condition)), condition)
