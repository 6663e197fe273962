"""A fully connected generator, frame by frame."""

from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.layers.film import SpeakerModulation
from lightning_voiceclone.networks.layers.frame_inputs import FrameInputs, needed_fields
from lightning_voiceclone.networks.layers.initialization import begin_small


class MLPGenerator(Generator):
    """Fully connected layers applied to each frame alone (Goodfellow et al. 2014), modulated by the speaker.

    The context is the frame alone.

    Args:
        dims: widths of the inputs and of the features.
        hidden: numbers in each hidden layer.
        layers: linear layers, the output's among them; at least 2.
        norm: of the hidden layers' output: batch, by the statistics of the batch (Ioffe & Szegedy 2015), or none.
        dropout: share of the hidden numbers dropped in training.

    Raises:
        ConfigurationError: if a number is out of range or dims promise no input.
    """

    capabilities = frozenset({"exportable", "streamable"})
    context = Context(0, 0)

    def __init__(
        self,
        dims: Dims,
        *,
        hidden: int = 256,
        layers: int = 3,
        norm: Literal["batch", "none"] = "none",
        dropout: float = 0.0,
    ):
        super().__init__()
        check_positive(type(self).__name__, hidden=hidden, layers=layers - 1)
        if norm not in ("batch", "none"):
            raise ConfigurationError(f"{type(self).__name__}: norm is {norm!r}; it must be batch or none")
        self.needs = needed_fields(dims)
        self.inputs = FrameInputs(dims)
        widths = [self.inputs.channels] + [hidden] * (layers - 1)
        # A convolution over one frame is a linear layer on (B, channels, T).
        self.hidden = nn.ModuleList(nn.Conv1d(widths[index], hidden, 1) for index in range(layers - 1))
        self.norms = nn.ModuleList(nn.BatchNorm1d(hidden) if norm == "batch" else nn.Identity() for _ in self.hidden)
        self.dropout = nn.Dropout(dropout)
        self.modulations = nn.ModuleList(SpeakerModulation(dims, hidden) for _ in range(layers - 1))
        self.leave = nn.Conv1d(hidden, dims.features, 1)
        begin_small(self.leave)

    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T)."""
        x = self.inputs(condition)
        for layer, norm, modulation in zip(self.hidden, self.norms, self.modulations, strict=True):
            x = self.dropout(F.leaky_relu(modulation(norm(layer(x)), condition), 0.2))
        return self.leave(x)
