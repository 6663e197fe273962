"""HiFi-GAN: transposed convolutions up to the sample rate, with residual blocks of several kernels at every rate."""

import functools
import itertools
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.part_folder import load_pretrained
from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.normalizer import Normalizer
from lvc_hifigan.convolution import Convolution

SLOPE = 0.1  # of the leaky rectifiers
ENDS = 7  # taps of the first and of the last convolution


@dataclass(frozen=True)
class _Version:
    """A column of the paper's table 5.

    Args:
        width: channels before the first upsampling.
        stages: upsamplings.
        kernels: of the residual blocks of a stage.
        dilations: of each of these blocks, its layers' dilations.
        pairs: whether each dilated layer is followed by one without dilation.
    """

    width: int
    stages: int
    kernels: tuple[int, ...]
    dilations: tuple[tuple[int, ...], ...]
    pairs: bool


VERSIONS = {
    "v1": _Version(512, 4, (3, 7, 11), ((1, 3, 5),) * 3, True),
    "v2": _Version(128, 4, (3, 7, 11), ((1, 3, 5),) * 3, True),
    "v3": _Version(256, 3, (3, 5, 7), ((1, 2), (2, 6), (3, 12)), False),
}


class ResidualBlock(nn.Module):
    """x + convolutions of its leaky rectifier, for each dilation in turn (Kong et al. 2020, appendix A.1).

    Args:
        channels: of x.
        kernel_size: taps of every convolution; odd.
        dilations: of the layers.
        pairs: whether each is followed by a convolution without dilation.
    """

    def __init__(self, channels: int, kernel_size: int, dilations: Sequence[int], pairs: bool):
        super().__init__()

        def convolution(dilation: int) -> Convolution:
            reach = dilation * (kernel_size - 1) // 2
            return Convolution(nn.Conv1d(channels, channels, kernel_size, padding=reach, dilation=dilation))

        layers = [[dilation, 1] if pairs else [dilation] for dilation in dilations]
        self.layers = nn.ModuleList(nn.ModuleList(map(convolution, layer)) for layer in layers)
        self.reach = sum(map(sum, layers)) * (kernel_size - 1) // 2

    def forward(self, x: Tensor) -> Tensor:
        """As x (B, channels, T)."""
        for layer in self.layers:
            y = x
            for convolution in layer:  # type: ignore[attr-defined]
                # What a convolution gave is not needed for its gradient, and may be written over.
                y = convolution(F.leaky_relu(y, SLOPE, inplace=y is not x))
            x = y.add_(x)
        return x


class HiFiGAN(Vocoder):
    """Audio (B, T * hop) in (-1, 1) by transposed convolutions from the frame rate up to the sample rate.

    Kong, Kim & Bae 2020 ("HiFi-GAN: generative adversarial networks for efficient and high fidelity speech
    synthesis"). After each upsampling, residual blocks of several kernels take the same input, and their
    outputs are averaged. Features are normalised by channel with the statistics of the training recordings. Train it
    against WaveformDiscriminator or MultiPeriodDiscriminator with a mel loss.

    Models that are loaded for inference have its weight norm folded and its channels laid out for a CPU
    (:meth:`fuse`); the output differs by rounding alone.

    Args:
        spec: of the features.
        version: v1 (13 M parameters), v2 (0.9 M) or v3 (1.5 M), the paper's from best to fastest.
        upsample_rates: factors whose product is the hop; null to divide the hop evenly among the version's stages,
            so that 160 is 5 x 4 x 4 x 2 and for v3 8 x 5 x 4.
        channels: before the first upsampling, halved at each; null for the version's.
        pretrained: a folder or checkpoint of a trained one, or none for fresh weights. Pretrained weights are frozen,
            unless ``finetune`` is set.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a setting cannot work, or the pretrained weights have other settings.
        SpecMismatchError: if the pretrained weights are for other features; names the field and both values.
    """

    capabilities = frozenset({"differentiable", "deterministic", "streamable", "exportable"})

    def __init__(
        self,
        spec: AudioSpec,
        *,
        version: Literal["v1", "v2", "v3"] = "v1",
        upsample_rates: list[int] | None = None,
        channels: int | None = None,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        if version not in VERSIONS:
            raise ConfigurationError(f"HiFiGAN: version is {version!r}; it must be one of {', '.join(VERSIONS)}")
        form = VERSIONS[version]
        rates = upsample_rates or upsampling_rates(spec.hop_length, form.stages)
        _check_rates(rates, spec.hop_length)
        widths = [(form.width if channels is None else channels) >> stage for stage in range(len(rates) + 1)]
        check_positive("HiFiGAN", **{f"channels / 2 ** {len(rates)}": widths[-1]})
        self.spec, self.rates = spec, tuple(rates)
        self.normalizer = Normalizer(spec.channels)
        self.enter = Convolution(nn.Conv1d(spec.channels, widths[0], ENDS, padding=ENDS // 2))
        self.up = nn.ModuleList(
            Convolution(_upsampling(before, after, rate))
            for rate, (before, after) in zip(rates, itertools.pairwise(widths), strict=True)
        )
        self.blocks = nn.ModuleList(
            nn.ModuleList(
                ResidualBlock(width, kernel, dilations, form.pairs)
                for kernel, dilations in zip(form.kernels, form.dilations, strict=True)
            )
            for width in widths[1:]
        )
        self.leave = Convolution(nn.Conv1d(widths[-1], 1, ENDS, padding=ENDS // 2))
        reaches = [max(block.reach for block in blocks) for blocks in self.blocks]  # type: ignore
        self.context = _context(rates, reaches)
        load_pretrained(self, pretrained, trainable=finetune)

    def fit_statistics(self, features: Iterable[Tensor]) -> None:
        """Set the mean and standard deviation of each channel, unless pretrained weights hold them."""
        if not self.normalizer.fitted:
            self.normalizer.fit(features)

    def fuse(self) -> None:
        """Fold the weight norm and lay channels last, until it is trained again or given other weights."""
        for module in self.modules():
            if isinstance(module, Convolution):
                module.fold()

    def forward(self, features: Tensor) -> Tensor:
        """Audio (B, T * hop) in (-1, 1) of features (B, F, T) in the extractor's own units.

        Raises:
            SpecMismatchError: if the number of channels is not the spec's.
            ConfigurationError: if there are no frames, or values that are not finite.
        """
        self.check(features)
        x = self.normalizer(features)
        if self.enter.folded is not None:
            x = x[:, :, None].contiguous(memory_format=torch.channels_last)
        x = self.enter(x)
        for up, blocks in zip(self.up, self.blocks, strict=True):
            x = up(F.leaky_relu_(x, SLOPE))
            x = functools.reduce(Tensor.add_, (block(x) for block in blocks)).div_(len(blocks))  # type: ignore
        waveform = self.leave(F.leaky_relu_(x, SLOPE))
        return waveform.to(features.dtype).tanh().flatten(1)  # under autocast the last layer gives 8 bits


def upsampling_rates(hop_length: int, stages: int) -> list[int]:
    """``stages`` factors of the hop, as even as its prime factors allow, the greatest first; factors of 1 are left out.

    The paper's 8 x 8 x 2 x 2 for 256 spends more of its depth at low rates than the even 4 x 4 x 4 x 4 given here.
    """
    factors, rest, prime = [1] * stages, hop_length, 2
    primes = []
    while rest > 1:
        while rest % prime == 0:
            primes.append(prime)
            rest //= prime
        prime += 1
    for prime in reversed(primes):
        factors[factors.index(min(factors))] *= prime
    return sorted((factor for factor in factors if factor > 1), reverse=True) or [1]


def _upsampling(before: int, after: int, rate: int) -> nn.ConvTranspose1d:
    """Exactly ``rate`` times as many steps; each is made of two inputs, as in the paper."""
    odd = rate % 2
    return nn.ConvTranspose1d(before, after, 2 * rate, rate, padding=(rate + odd) // 2, output_padding=odd)


def _context(rates: Sequence[int], reaches: Sequence[int]) -> Context:
    """Context: the frames that affect the samples of frame 0, traced back through the layers."""
    low, high = -(ENDS // 2), math.prod(rates) - 1 + ENDS // 2
    for rate, reach in reversed(list(zip(rates, reaches, strict=True))):
        low, high = low - reach, high + reach
        # Sample m * rate - padding + tap is made of input m; there are 2 * rate taps.
        padding = (rate + 1) // 2
        low, high = math.ceil((low + padding - 2 * rate + 1) / rate), (high + padding) // rate
    return Context(ENDS // 2 - low, high + ENDS // 2)


def _check_rates(rates: Sequence[int], hop_length: int) -> None:
    if min(rates) < 1 or math.prod(rates) != hop_length:
        raise ConfigurationError(
            f"HiFiGAN: upsample_rates are {list(rates)}, whose product is {math.prod(rates)}, but the features' hop is"
            f" {hop_length} samples; give factors of {hop_length}, or null to divide it evenly"
        )
