"""A fully connected generator, frame by frame."""

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.core.validation import check_positive
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

    Raises:
        ConfigurationError: if a number is out of range or dims promise no input.
    """

    capabilities = frozenset({"exportable", "streamable"})
    context = Context(0, 0)

    def __init__(self, dims: Dims, *, hidden: int = 256, layers: int = 3):
        super().__init__()
        check_positive(type(self).__name__, hidden=hidden, layers=layers - 1)
        self.needs = needed_fields(dims)
        self.inputs = FrameInputs(dims)
        widths = [self.inputs.channels] + [hidden] * (layers - 1)
        # A convolution over one frame is a linear layer on (B, channels, T).
        self.hidden = nn.ModuleList(nn.Conv1d(widths[index], hidden, 1) for index in range(layers - 1))
        self.modulations = nn.ModuleList(SpeakerModulation(dims, hidden) for _ in range(layers - 1))
        self.leave = nn.Conv1d(hidden, dims.features, 1)
        begin_small(self.leave)

    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T)."""
        x = self.inputs(condition)
        for layer, modulation in zip(self.hidden, self.modulations, strict=True):
            x = F.leaky_relu(modulation(layer(x), condition), 0.2)
        return self.leave(x)
