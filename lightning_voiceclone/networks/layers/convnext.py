"""ConvNeXt blocks over time that are fast on a CPU, and stacks of them."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.masking import keep, pad_to_multiple, reach_mask
from lightning_voiceclone.features.normalizer import Normalizer
from lightning_voiceclone.networks.layers.past import Past, windows


class ConvNeXtBlock(nn.Module):
    """x + gamma * mix(GELU(expand(norm(depthwise(x))))) on (B, T, width) (Liu et al. 2022, as in Vocos).

    Args:
        width: channels.
        hidden: channels between the two dense layers.
        kernel_size: kernel of the depthwise convolution, in steps; odd.
        scale: initial value of gamma.
        causal: the convolution sees as many steps, all before the one that it computes.
    """

    def __init__(self, width: int, hidden: int, kernel_size: int, scale: float, *, causal: bool = False):
        super().__init__()
        self.causal = causal
        self.taps = nn.Parameter(torch.empty(kernel_size, width).uniform_(-1, 1) / math.sqrt(kernel_size))
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.mix = nn.Linear(hidden, width)
        self.gamma = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor, mask: Tensor | None = None, past: Past | None = None) -> Tensor:
        """(B, T, width) as x; steps outside the mask (B, T, 1) do not affect the others.

        A causal block takes the steps before x from ``past``.
        """
        steps, reach = x.shape[1], len(self.taps) // 2
        padded = x if mask is None else x * mask
        if self.causal:
            padded = (past or Past()).before(padded, 2 * reach, dim=1)
        else:
            padded = F.pad(padded, (0, 0, reach, reach))
        mixed = self._mixed(padded, steps)
        return torch.addcmul(x, self.mix(F.gelu(self.expand(self.norm(mixed)))), self.gamma)

    def _mixed(self, padded: Tensor, steps: int) -> Tensor:
        """The depthwise convolution: (B, steps, width) of x with what is around it."""
        if self.causal and torch.compiler.is_exporting():  # few steps: the number of operations is what takes time
            return (windows(padded, len(self.taps)) * self.taps).sum(2)
        # Shifted products: on a CPU the backward pass of a depthwise convolution is several times as slow.
        mixed = padded[:, :steps] * self.taps[0]
        for tap in range(1, len(self.taps)):
            mixed = torch.addcmul(mixed, padded[:, tap : tap + steps], self.taps[tap])
        return mixed


class ConvNeXtChain(nn.Module):
    """Features in the extractor's own units to hidden steps (B, T', width), T' = ceil(T / stride).

    Args:
        features: F.
        width: channels.
        hidden: channels between the two dense layers of a block.
        layers: blocks.
        kernel_size: kernel of each convolution, in steps; odd.
        stride: frames per step.
    """

    def __init__(self, features: int, *, width: int, hidden: int, layers: int, kernel_size: int, stride: int):
        super().__init__()
        self.stride = stride
        self.normalizer = Normalizer(features)
        self.embed = nn.Conv1d(features * stride, width, kernel_size, padding=kernel_size // 2)
        self.first_norm = nn.LayerNorm(width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, hidden, kernel_size, 1 / layers) for _ in range(layers))
        self.last_norm = nn.LayerNorm(width)

    def forward(self, x: Tensor, lengths: Tensor | None) -> tuple[Tensor, Tensor]:
        """Hidden steps, and the mask (B, T', 1) of the real ones (not padding)."""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[2], device=x.device)
        x = keep(self.normalizer(x), reach_mask(lengths, x.shape[2]))
        x = pad_to_multiple(x, self.stride).unflatten(2, (-1, self.stride))
        x = x.permute(0, 3, 1, 2).flatten(1, 2)
        mask = reach_mask((lengths + self.stride - 1) // self.stride, x.shape[2]).transpose(1, 2).to(x.dtype)
        x = self.first_norm(self.embed(x).transpose(1, 2))
        for block in self.blocks:
            x = block(x, mask)
        return self.last_norm(x), mask
