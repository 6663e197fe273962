"""Discriminators of a waveform's spectra, and of all views of a waveform together."""

import itertools
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.discriminators.projection import SpeakerProjection, WeightNorm, normed
from lightning_voiceclone.networks.discriminators.waveform import (
    MultiPeriodDiscriminator,
    MultiScaleDiscriminator,
    SubDiscriminator,
    SubDiscriminators,
)

RESOLUTIONS = ((1024, 256), (512, 128), (256, 64))
COMPRESSION = 0.3  # exponent of the magnitudes, so that quiet parts count too
TINY = 1e-4


class MultiResolutionSTFTDiscriminator(SubDiscriminators):
    """One sub-discriminator a resolution, on the complex STFT (Défossez et al. 2022, after UnivNet, Jang 2021).

    The input is the real and imaginary part as two channels, with the magnitude raised to the power 0.3 and the phase
    kept. The first layer keeps one of four frequencies, each other layer one of two.

    Args:
        dims: ``dims.speaker`` is the embedding's width, for ``speaker``.
        resolutions: (n_fft, hop length) in samples, one for each sub-discriminator.
        width: channels of the first layer, doubled once.
        layers: convolutions of each sub-discriminator before the one that gives the logits.
        norm: of the weights: weight, spectral or none; or batch, of what the layers output.
        speaker: condition the logits on ``condition.speaker`` (projection, Miyato & Koyama 2018).
        minibatch: give the logits the standard deviation over the batch too, so that a collapse is noticed (Karras et
            al. 2018); rows then depend on each other.

    Raises:
        ConfigurationError: if a number is out of range, or ``speaker`` is set and dims have none.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        resolutions: Sequence[tuple[int, int]] = RESOLUTIONS,
        width: int = 16,
        layers: int = 4,
        norm: WeightNorm = "weight",
        speaker: bool = False,
        minibatch: bool = False,
    ):
        super().__init__()
        self.per_row = not minibatch and norm != "batch"
        name = type(self).__name__
        check_positive(name, width=width, layers=layers)
        if not resolutions or any(not 0 < hop <= n_fft for n_fft, hop in resolutions):
            raise ConfigurationError(f"{name}: resolutions are {resolutions}; give (n_fft, hop) with 0 < hop <= n_fft")
        self.resolutions = [(n_fft, hop) for n_fft, hop in resolutions]
        for index, (n_fft, _) in enumerate(self.resolutions):
            self.register_buffer(f"window{index}", torch.hann_window(n_fft), persistent=False)
        self.judges = nn.ModuleList(
            self._built(dims, width=width, layers=layers, norm=norm, speaker=speaker, minibatch=minibatch)
            for _ in self.resolutions
        )

    @staticmethod
    def _built(
        dims: Dims, *, width: int, layers: int, norm: WeightNorm, speaker: bool, minibatch: bool
    ) -> SubDiscriminator:
        widths = [2, width] + [2 * width] * (layers - 1)
        strides = [4] + [2] * (layers - 1)
        convolutions = [
            normed(nn.Conv2d(before, after, (5 if index else 9, 3), (strides[index], 1), (2 if index else 4, 1)), norm)
            for index, (before, after) in enumerate(itertools.pairwise(widths))
        ]
        last = normed(nn.Conv2d(widths[-1] + minibatch, 1, 3, padding=1), norm)
        projection = SpeakerProjection(dims, widths[-1]) if speaker else None
        return SubDiscriminator(convolutions, last, projection, minibatch=minibatch)

    def view(self, x: Tensor, index: int) -> Tensor:
        """(B, 2, bins, frames): real and imaginary part, compressed."""
        n_fft, hop = self.resolutions[index]
        window = getattr(self, f"window{index}").to(x.dtype)
        spectrum = torch.stft(x[:, 0], n_fft, hop, window=window, pad_mode="constant", return_complex=True)
        parts = torch.view_as_real(spectrum)
        # The slope of a power below 1 is infinite at 0.
        squared = parts.square().sum(-1, keepdim=True) + TINY
        return (parts * squared ** ((COMPRESSION - 1) / 2)).movedim(-1, 1)


class WaveformDiscriminator(SubDiscriminators):
    """Sub-discriminators of periods, of spectra at several resolutions, and of scales, in one.

    With ``draw``, each training step computes only that many of them, drawn at random, which costs that much less.

    Args:
        dims: ``dims.speaker`` is the embedding's width, for ``speaker``.
        periods: as for :class:`MultiPeriodDiscriminator`; empty for none.
        resolutions: as for :class:`MultiResolutionSTFTDiscriminator`; empty for none.
        scales: as for :class:`MultiScaleDiscriminator`; 0 for none.
        period_width: channels of the first layer of each sub-discriminator of a period.
        resolution_width: channels of the first layer of each one of a resolution.
        scale_width: channels of the first layer of each one of a scale.
        draw: sub-discriminators that are computed in a training step; null for all.
        norm: of the weights: weight, spectral or none; or batch, of what the layers output.
        speaker: condition the logits on ``condition.speaker``.
        minibatch: give the logits the standard deviation over the batch too, so that a collapse is noticed (Karras et
            al. 2018); rows then depend on each other.

    Raises:
        ConfigurationError: if a number is out of range, or there is no sub-discriminator.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        periods: tuple[int, ...] = (2, 3, 5, 7, 11),
        resolutions: Sequence[tuple[int, int]] = RESOLUTIONS,
        scales: int = 0,
        period_width: int = 16,
        resolution_width: int = 16,
        scale_width: int = 16,
        draw: int | None = None,
        norm: WeightNorm = "weight",
        speaker: bool = False,
        minibatch: bool = False,
    ):
        super().__init__()
        self.per_row = not minibatch and norm != "batch"
        groups: list[SubDiscriminators] = []
        shared: Any = {"norm": norm, "speaker": speaker, "minibatch": minibatch}
        if periods:
            groups.append(MultiPeriodDiscriminator(dims, periods=periods, width=period_width, **shared))
        if resolutions:
            made = MultiResolutionSTFTDiscriminator(dims, resolutions=resolutions, width=resolution_width, **shared)
            groups.append(made)
        if scales:
            groups.append(MultiScaleDiscriminator(dims, scales=scales, width=scale_width, **shared))
        self.groups = nn.ModuleList(groups)
        self._places = [(group, index) for group in groups for index in range(len(group.judges))]
        count = len(self._places)
        if not count:
            raise ConfigurationError(
                "WaveformDiscriminator: it has no sub-discriminators; give periods, resolutions or scales"
            )
        if draw is not None and not 1 <= draw <= count:
            raise ConfigurationError(
                f"WaveformDiscriminator: draw is {draw}; it must be from 1 to {count}, its sub-discriminators"
            )
        self.draw = draw
        self._drawn = list(range(count))

    def begin_step(self) -> None:
        """Draw the sub-discriminators of this step, from torch's random state."""
        if self.draw is not None:
            self._drawn = sorted(torch.randperm(len(self._places))[: self.draw].tolist())

    def view(self, x: Tensor, index: int) -> Tensor:
        """The input of the sub-discriminator of that index, over all groups in order."""
        group, inner = self._places[index]
        return group.view(x, inner)

    def maps(self, x: Tensor, index: int, condition: Condition | None) -> list[Tensor]:
        """Maps of one sub-discriminator, over all groups in order."""
        group, inner = self._places[index]
        return group.maps(x, inner, condition)

    def forward(self, x: Tensor, condition: Condition | None = None) -> list[list[Tensor]]:
        """For each sub-discriminator (in training: each drawn one) its maps of audio x (B, 1, N), then its logits."""
        drawn = self._drawn if self.training else range(len(self._places))
        return [self.maps(x, index, condition) for index in drawn]
