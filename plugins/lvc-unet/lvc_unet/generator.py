"""A generator that looks at the utterance at several speeds at once: a U-Net over time."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.masking import cut, keep, pad_to_multiple, reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.core.validation import check_odd, check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.layers.channel_norm import ChannelNorm
from lightning_voiceclone.networks.layers.film import SpeakerModulation
from lightning_voiceclone.networks.layers.frame_inputs import FrameInputs, needed_fields
from lightning_voiceclone.networks.layers.initialization import begin_small
from lightning_voiceclone.networks.layers.residual import ResidualBlock


class UNetGenerator(Generator):
    """A U-Net over time (Ronneberger et al. 2015; in one dimension Stoller et al. 2018), modulated by the speaker.

    Each level runs at half the frame rate of the one above. On the way down pairs of frames are merged, on the way up
    each frame is repeated and joined by what the same level had on the way down. Every level has one residual block on
    each way, modulated by the speaker (FiLM, Perez et al. 2018). The context is finite; its grid is that of the lowest
    level, 2 ** levels frames.

    Args:
        dims: widths of the inputs and of the features.
        width: channels of the first level.
        levels: halvings of the frame rate.
        growth: factor of the channels from a level to the one below.
        kernel_size: frames that a convolution sees; odd.
        dropout: share of the numbers dropped in training.

    Raises:
        ConfigurationError: if a number is out of range or dims promise no input.
    """

    capabilities = frozenset({"exportable", "streamable"})

    def __init__(
        self,
        dims: Dims,
        *,
        width: int = 128,
        levels: int = 3,
        growth: float = 1.5,
        kernel_size: int = 5,
        dropout: float = 0.0,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, width=width, levels=levels)
        check_odd(name, kernel_size=kernel_size)
        if growth < 1:
            raise ConfigurationError(f"{name}: growth is {growth}; it must be at least 1, such as 1.5")
        self.needs = needed_fields(dims)
        self.inputs = FrameInputs(dims)
        self.levels = levels
        widths = [round(width * growth**level) for level in range(levels + 1)]
        reach = kernel_size // 2

        def block(channels: int) -> ResidualBlock:
            return ResidualBlock(dims, channels, kernel_size=kernel_size, dilation=1, dropout=dropout)

        self.enter = nn.Conv1d(self.inputs.channels, width, kernel_size, padding=reach)
        self.down = nn.ModuleList(block(widths[level]) for level in range(levels))
        self.merge = nn.ModuleList(nn.Conv1d(widths[level], widths[level + 1], 2, stride=2) for level in range(levels))
        self.bottom = block(widths[levels])
        self.join = nn.ModuleList(
            nn.Conv1d(widths[level] + widths[level + 1], widths[level], 1) for level in range(levels)
        )
        self.up = nn.ModuleList(block(widths[level]) for level in range(levels))
        self.norm = ChannelNorm(width)
        self.modulation = SpeakerModulation(dims, width)
        self.leave = nn.Conv1d(width, dims.features, 1)
        begin_small(self.leave)
        # The deepest way: each level's convolutions count 2 ** level times, rounding to pairs once a level.
        deepest = 2**levels
        frames = reach + sum(2 * reach * 2**level for level in range(levels)) + reach * deepest + deepest - 1
        self.context = Context(frames, frames, deepest)

    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T)."""
        x = self.inputs(condition)
        frames = x.shape[-1]
        x = self.enter(pad_to_multiple(x, 2**self.levels))
        masks = [
            reach_mask((condition.lengths + 2**level - 1) // 2**level, x.shape[-1] // 2**level)
            for level in range(self.levels + 1)
        ]
        kept = []
        for level in range(self.levels):
            x = keep(self.down[level](x, masks[level], condition), masks[level])
            kept.append(x)
            x = self.merge[level](x)
        x = self.bottom(x, masks[-1], condition)
        for level in reversed(range(self.levels)):
            x = self.join[level](torch.cat([kept[level], x.repeat_interleave(2, dim=-1)], dim=1))
            x = self.up[level](x, masks[level], condition)
        x = F.silu(self.modulation(self.norm(x), condition))
        return cut(self.leave(x), frames)
