"""Blocks of ConvNeXt over time, quick on a CPU, and the encoders that are chains of them."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.analysis import Normalizer
from lightning_voiceclone.interfaces import ContentEncoder, SpeakerEncoder
from lightning_voiceclone.networks.conditioning import check_odd, check_positive, keep, reach_mask
from lightning_voiceclone.parts import Dims


class ConvNeXtBlock(nn.Module):
    """x + gamma * mix(GELU(expand(norm(depthwise(x))))) on (B, T, width) (Liu et al. 2022, as in Vocos).

    Args:
        width: channels.
        hidden: channels between the two dense layers.
        kernel_size: steps that the depthwise convolution sees; odd.
        scale: gamma at the beginning.
    """

    def __init__(self, width: int, hidden: int, kernel_size: int, scale: float):
        super().__init__()
        self.taps = nn.Parameter(torch.empty(kernel_size, width).uniform_(-1, 1) / math.sqrt(kernel_size))
        self.norm = nn.LayerNorm(width)
        self.expand = nn.Linear(width, hidden)
        self.mix = nn.Linear(hidden, width)
        self.gamma = nn.Parameter(torch.full((width,), scale))

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """(B, T, width) as x; steps outside the mask (B, T, 1) have no part in the others."""
        steps, reach = x.shape[1], len(self.taps) // 2
        padded = F.pad(x if mask is None else x * mask, (0, 0, reach, reach))
        # Shifted products: a depthwise convolution is several times as slow backwards on a CPU.
        seen = padded[:, :steps] * self.taps[0]
        for tap in range(1, len(self.taps)):
            seen = torch.addcmul(seen, padded[:, tap : tap + steps], self.taps[tap])
        return torch.addcmul(x, self.mix(F.gelu(self.expand(self.norm(seen)))), self.gamma)


class _Chain(nn.Module):
    """Features in the extractor's own units to hidden steps (B, T', width), T' = ceil(T / stride).

    Args:
        features: F.
        width: channels.
        hidden: channels between the two dense layers of a block.
        layers: blocks.
        kernel_size: steps that each convolution sees; odd.
        stride: frames to one step.
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
        """Hidden steps, and the mask (B, T', 1) of those that are real."""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[2], device=x.device)
        x = keep(self.normalizer(x), reach_mask(lengths, x.shape[2]))
        x = F.pad(x, (0, -x.shape[2] % self.stride)).unflatten(2, (-1, self.stride))
        x = x.permute(0, 3, 1, 2).flatten(1, 2)
        mask = reach_mask((lengths + self.stride - 1) // self.stride, x.shape[2]).transpose(1, 2).to(x.dtype)
        x = self.first_norm(self.embed(x).transpose(1, 2))
        for block in self.blocks:
            x = block(x, mask)
        return self.last_norm(x), mask


class ConvContentEncoder(ContentEncoder):
    """Content by convolutions alone: what is said, from a finite context; small, quick, streamable.

    Made to be taught by a larger encoder (:class:`~lightning_voiceclone.training.distillation_module`), with its input
    perturbed so that the voice does not pass. Hears features in the extractor's own units, normalised by the
    statistics of the recordings that it was taught with. The blocks are those of Vocos (Siuzdak 2023). Chunks that
    begin at a multiple of ``stride`` frames give what the whole gives.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: C, the width of the bottleneck.
        width: channels inside.
        hidden: channels between the two dense layers of a block.
        layers: blocks.
        kernel_size: steps that each convolution sees; odd.
        stride: frames of features to one of content.
        pretrained: a folder or checkpoint of a taught one, or none for fresh weights; frozen, unless ``finetune``.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a number is out of range, or the pretrained weights have other settings.
    """

    capabilities = frozenset({"streamable"})
    normalized = False

    def __init__(
        self,
        dims: Dims,
        *,
        channels: int = 96,
        width: int = 256,
        hidden: int = 512,
        layers: int = 8,
        kernel_size: int = 7,
        stride: int = 2,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, channels=channels, width=width, hidden=hidden, layers=layers, stride=stride)
        check_odd(name, kernel_size=kernel_size)
        self.channels = channels
        self.frame_rate = dims.frame_rate / stride
        reach = (layers + 1) * (kernel_size // 2) * stride + stride
        self.context = (reach, reach)
        self.chain = _Chain(dims.features, width=width, hidden=hidden, layers=layers, kernel_size=kernel_size,
                            stride=stride)  # fmt: skip
        self.leave = nn.Linear(width, channels)
        self.use_pretrained(pretrained, trainable=finetune)

    def calibrate(self, features: Iterable[Tensor]) -> None:
        """Take the mean and spread of each channel, unless weights that were trained before have them."""
        self.chain.normalizer.fit_once(features)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, ceil(T / stride)) of features (B, F, T); 0 in the padding. Its norm is that of C ones."""
        hidden, mask = self.chain(x, lengths)
        return (F.layer_norm(self.leave(hidden), (self.channels,)) * mask).transpose(1, 2)


class ConvSpeakerEncoder(SpeakerEncoder):
    """Who speaks, by convolutions and the mean and spread over time of what they find (x-vectors, Snyder et al. 2018).

    Steps are weighed by attention before they are pooled (Okabe et al. 2018). Made to be taught by a larger encoder.
    Hears features in the extractor's own units. The embedding's D numbers have a mean square of 1.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: D, numbers of the embedding.
        width: channels inside.
        hidden: channels between the two dense layers of a block.
        layers: blocks.
        kernel_size: steps that each convolution sees; odd.
        stride: frames of features to one step.
        pretrained: a folder or checkpoint of a taught one, or none for fresh weights; frozen, unless ``finetune``.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a number is out of range, or the pretrained weights have other settings.
    """

    normalized = False

    def __init__(
        self,
        dims: Dims,
        *,
        channels: int = 256,
        width: int = 192,
        hidden: int = 384,
        layers: int = 6,
        kernel_size: int = 7,
        stride: int = 2,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, channels=channels, width=width, hidden=hidden, layers=layers, stride=stride)
        check_odd(name, kernel_size=kernel_size)
        self.channels = channels
        self.chain = _Chain(dims.features, width=width, hidden=hidden, layers=layers, kernel_size=kernel_size,
                            stride=stride)  # fmt: skip
        self.attend = nn.Linear(width, width)
        self.leave = nn.Linear(2 * width, channels)
        self.use_pretrained(pretrained, trainable=finetune)

    def calibrate(self, features: Iterable[Tensor]) -> None:
        """Take the mean and spread of each channel, unless weights that were trained before have them."""
        self.chain.normalizer.fit_once(features)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embedding (B, D) of features (B, F, T)."""
        hidden, mask = self.chain(x, lengths)
        scores = self.attend(hidden).masked_fill(mask == 0, -math.inf)
        weight = scores.softmax(1)
        mean = (weight * hidden).sum(1)
        spread = ((weight * (hidden - mean[:, None]).square()).sum(1) + 1e-5).sqrt()
        embedding = self.leave(torch.cat([mean, spread], 1))
        return F.normalize(embedding, dim=1) * self.channels**0.5
