"""A speaker encoder of ConvNeXt blocks."""

import math
from collections.abc import Iterable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.part_folder import load_pretrained
from lightning_voiceclone.core.interfaces import SpeakerEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_odd, check_positive
from lightning_voiceclone.networks.layers.convnext import ConvNeXtChain


class ConvSpeakerEncoder(SpeakerEncoder):
    """ConvNeXt blocks, then the mean and standard deviation over time (x-vectors, Snyder et al. 2018).

    Pooling weighs the steps by attention (Okabe et al. 2018). Meant for distillation from a larger encoder.
    The input is features in the extractor's own units. The embedding's D numbers have a mean square of 1.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: D, numbers of the embedding.
        width: channels inside.
        hidden: channels between the two dense layers of a block.
        layers: blocks.
        kernel_size: steps that each convolution sees; odd.
        stride: frames of features to one step.
        pretrained: a folder or checkpoint of a trained one, or none for fresh weights; frozen, unless ``finetune``.
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
        self.chain = ConvNeXtChain(dims.features, width=width, hidden=hidden, layers=layers, kernel_size=kernel_size,
                            stride=stride)  # fmt: skip
        self.attend = nn.Linear(width, width)
        self.leave = nn.Linear(2 * width, channels)
        load_pretrained(self, pretrained, trainable=finetune)

    def fit_statistics(self, features: Iterable[Tensor]) -> None:
        """Set the mean and standard deviation of each channel, unless pretrained weights hold them."""
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
