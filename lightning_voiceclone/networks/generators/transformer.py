"""A generator by self-attention."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.masking import reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.layers.channel_norm import ChannelNorm
from lightning_voiceclone.networks.layers.film import SpeakerModulation
from lightning_voiceclone.networks.layers.frame_inputs import FrameInputs, needed_fields
from lightning_voiceclone.networks.layers.initialization import begin_small


def rotate(x: Tensor) -> Tensor:
    """Rotary positions (Su et al. 2021, equation 34) of x (B, heads, T, numbers): products depend on distances."""
    half = x.shape[-1] // 2
    exact = torch.promote_types(x.dtype, torch.float32)  # bf16 cannot distinguish frame 256 from 257
    rates = 10000.0 ** (-torch.arange(half, device=x.device, dtype=exact) / half)
    angles = torch.arange(x.shape[-2], device=x.device, dtype=exact)[:, None] * rates
    first, second = x[..., :half], x[..., half:]
    cosine, sine = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    return torch.cat([first * cosine - second * sine, first * sine + second * cosine], dim=-1)


class _AttentionBlock(nn.Module):
    """Attention, then two linear layers, each after a norm and added to its input (pre-norm, Xiong et al. 2020)."""

    def __init__(self, dims: Dims, width: int, heads: int, dropout: float):
        super().__init__()
        self.heads = heads
        self.attention_norm, self.linear_norm = ChannelNorm(width), ChannelNorm(width)
        self.attention_modulation = SpeakerModulation(dims, width)
        self.linear_modulation = SpeakerModulation(dims, width)
        self.project = nn.Conv1d(width, 3 * width, 1)
        self.mix = nn.Conv1d(width, width, 1)
        self.linear = nn.Sequential(
            nn.Conv1d(width, 4 * width, 1), nn.GELU(), nn.Dropout(dropout), nn.Conv1d(4 * width, width, 1)
        )
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, keys: Tensor, condition: Condition) -> Tensor:
        """x (B, width, T); ``keys`` (B, 1, 1, T) is True for frames that may be attended to."""
        hidden = self.attention_modulation(self.attention_norm(x), condition)
        x = x + self.dropout(self.mix(self._attend(hidden, keys)))
        return x + self.dropout(self.linear(self.linear_modulation(self.linear_norm(x), condition)))

    def _attend(self, x: Tensor, keys: Tensor) -> Tensor:
        by_head = self.project(x).unflatten(1, (3 * self.heads, -1)).transpose(2, 3)
        query, key, value = by_head.chunk(3, dim=1)
        attended = F.scaled_dot_product_attention(rotate(query), rotate(key), value, attn_mask=keys)
        return attended.transpose(2, 3).flatten(1, 2)


class TransformerGenerator(Generator):
    """Self-attention over the whole utterance (Vaswani et al. 2017), pre-norm, rotary positions, FiLM by the speaker.

    Context is the whole utterance. Cost grows with the square of its length.

    Args:
        dims: widths of the inputs and of the features.
        width: channels inside; a multiple of twice ``heads``.
        layers: blocks of attention and linear layers.
        heads: of the attention.
        dropout: share of the numbers dropped in training.

    Raises:
        ConfigurationError: if a number is out of range, heads do not divide the width, or dims promise no input.
    """

    capabilities = frozenset({"exportable"})

    def __init__(self, dims: Dims, *, width: int = 192, layers: int = 4, heads: int = 4, dropout: float = 0.0):
        super().__init__()
        name = type(self).__name__
        check_positive(name, width=width, layers=layers, heads=heads)
        if width % (2 * heads):
            raise ConfigurationError(
                f"{name}: width {width} is no multiple of twice the heads, {2 * heads};"
                f" use {(width // (2 * heads) + 1) * 2 * heads}, say"
            )
        self.needs = needed_fields(dims)
        self.inputs = FrameInputs(dims)
        self.enter = nn.Conv1d(self.inputs.channels, width, 1)
        self.blocks = nn.ModuleList(_AttentionBlock(dims, width, heads, dropout) for _ in range(layers))
        self.norm = ChannelNorm(width)
        self.modulation = SpeakerModulation(dims, width)
        self.leave = nn.Conv1d(width, dims.features, 1)
        begin_small(self.leave)

    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T)."""
        x = self.inputs(condition)
        # A row of nothing but padding would attend to nothing and yield no numbers: the first frame always counts.
        keys = reach_mask(condition.lengths.clamp(min=1), x.shape[-1])[:, None]
        x = self.enter(x)
        for block in self.blocks:
            x = block(x, keys, condition)
        return self.leave(self.modulation(self.norm(x), condition))
