"""Residual blocks of convolutions over time."""

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.masking import keep
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.layers.channel_norm import ChannelNorm
from lightning_voiceclone.networks.layers.film import SpeakerModulation
from lightning_voiceclone.networks.layers.past import Past, convolved


class ResidualBlock(nn.Module):
    """x + mix(act(dilated(act(modulate(norm(x)))))), on (B, width, T).

    Args:
        dims: ``dims.speaker`` modulates (FiLM) where it is not 0.
        width: channels.
        kernel_size: kernel of the convolution, in frames; odd.
        dilation: distance between the kernel's frames.
        dropout: share of the hidden numbers dropped in training.
        causal: the convolution sees as many frames, all before the one that it computes.
    """

    def __init__(self, dims: Dims, width: int, *, kernel_size: int, dilation: int, dropout: float = 0.0,
                 causal: bool = False):  # fmt: skip
        super().__init__()
        self.norm = ChannelNorm(width)
        self.modulation = SpeakerModulation(dims, width)
        self.reach, self.causal = dilation * (kernel_size // 2), causal
        # Dense, not depthwise: the backward pass of a depthwise convolution is slow on a CPU.
        padding = 0 if causal else self.reach
        self.dilated = nn.Conv1d(width, width, kernel_size, padding=padding, dilation=dilation)
        self.mix = nn.Conv1d(width, width, 1)
        self.dropout = nn.Dropout(dropout)

    def add_nothing(self) -> None:
        """Begin as the identity: the weights before its last layer stay as they are, and learn once that one has."""
        for weight in self.mix.parameters():
            nn.init.zeros_(weight)

    def forward(self, x: Tensor, mask: Tensor, condition: Condition, past: Past | None = None) -> Tensor:
        """x plus the block's output; frames outside the mask (B, 1, T) do not affect the others.

        A causal block takes the frames before x from ``past``.
        """
        hidden = keep(F.silu(self.modulation(self.norm(x), condition)), mask)
        if self.causal:
            hidden = convolved(self.dilated, (past or Past()).before(hidden, 2 * self.reach))
            return x + convolved(self.mix, self.dropout(F.silu(hidden)))
        return x + self.mix(self.dropout(F.silu(self.dilated(hidden))))


def cycle_dilations(owner: str, dilations: tuple[int, ...], layers: int) -> list[int]:
    """One dilation for each layer, repeated in order.

    Raises:
        ConfigurationError: if there is none, or one below 1.
    """
    if not dilations or min(dilations) < 1:
        raise ConfigurationError(f"{owner}: dilations are {dilations}; give at least one, each at least 1")
    return [dilations[index % len(dilations)] for index in range(layers)]
