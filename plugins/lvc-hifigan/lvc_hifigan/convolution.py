"""Convolutions over time with weight norm, which can be folded for inference."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrizations

# Of a fresh layer. With the weights of Kong et al.'s code, 0.01 whatever the width, a fresh network's output is below
# the floor of the mel loss, where there is no gradient.
GAIN = 0.8


class Convolution(nn.Module):
    """A convolution over time, plain or transposed, with weight norm (Salimans & Kingma 2016).

    Once folded, input and output are (B, C, 1, T) with the channels last in memory, which a CPU convolves about twice
    as fast, and the weight is no longer computed at each call. The folded weight is no part of the state:
    training, or loading weights, drops it.
    """

    folded: Tensor | None

    def __init__(self, layer: nn.Conv1d | nn.ConvTranspose1d):
        super().__init__()
        self.transposed = isinstance(layer, nn.ConvTranspose1d)
        taps = layer.kernel_size[0] // (layer.stride[0] if self.transposed else 1)
        nn.init.normal_(layer.weight, std=GAIN / math.sqrt(layer.in_channels * taps))
        nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
        self.layer = parametrizations.weight_norm(layer)
        self.register_buffer("folded", None, persistent=False)
        self.register_load_state_dict_post_hook(_forget)

    def fold(self) -> None:
        """Compute the weight once, and lay it out for a CPU."""
        self.folded = self.layer.weight.detach()[:, :, None].contiguous(memory_format=torch.channels_last)

    def train(self, mode: bool = True) -> "Convolution":
        """Drop the folded weight in training, which changes the weight."""
        if mode:
            self.folded = None
        return super().train(mode)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C', T') of x (B, C, T), or once folded (B, C', 1, T') of (B, C, 1, T)."""
        if self.folded is None:
            return self.layer(x)
        layer, step, pad = self.layer, (1, self.layer.stride[0]), (0, self.layer.padding[0])
        if self.transposed:
            return F.conv_transpose2d(x, self.folded, layer.bias, step, pad, (0, layer.output_padding[0]))
        return F.conv2d(x, self.folded, layer.bias, step, pad, (1, layer.dilation[0]))


def _forget(module: nn.Module, incompatible_keys: object) -> None:
    module.register_buffer("folded", None, persistent=False)
