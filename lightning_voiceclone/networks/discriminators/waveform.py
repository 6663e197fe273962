"""Discriminators of waveforms: at several scales, and for several periods."""

import itertools
from abc import abstractmethod
from typing import Literal

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Discriminator
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.discriminators.minibatch import MinibatchDeviation
from lightning_voiceclone.networks.discriminators.projection import SpeakerProjection, WeightNorm, normed


class SubDiscriminator(nn.Module):
    """Convolutions with leaky ReLUs between them, then one that gives the logits."""

    def __init__(
        self, layers: list[nn.Module], last: nn.Module, projection: SpeakerProjection | None, *, minibatch: bool
    ):
        super().__init__()
        self.before_logits = MinibatchDeviation() if minibatch else nn.Identity()
        self.layers = nn.ModuleList(layers)
        self.judge = last  # the name is a key in checkpoints
        self.projection = projection

    def forward(self, x: Tensor, condition: Condition | None) -> list[Tensor]:
        """Maps of each layer, then the logits."""
        maps = []
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
            maps.append(x)
        logits = self.judge(self.before_logits(x))
        if self.projection is not None:
            logits = self.projection(logits, x, condition)
        return [*maps, logits]


class SubDiscriminators(Discriminator):
    """Base of discriminators with several sub-discriminators, each with its own view of the waveform."""

    takes: Literal["features", "audio"] = "audio"
    judges: nn.ModuleList  # the sub-discriminators; the name is a key in checkpoints

    @abstractmethod
    def view(self, x: Tensor, index: int) -> Tensor:
        """The input of the sub-discriminator of that index, computed from audio x (B, 1, N)."""

    def maps(self, x: Tensor, index: int, condition: Condition | None) -> list[Tensor]:
        """Maps of one sub-discriminator, the last of them its logits."""
        return self.judges[index](self.view(x, index), condition)

    def forward(self, x: Tensor, condition: Condition | None = None) -> list[list[Tensor]]:
        """For each sub-discriminator the maps (B, channels, …) of audio x (B, 1, N), then its logits, of 1 channel."""
        return [self.maps(x, index, condition) for index in range(len(self.judges))]


class MultiScaleDiscriminator(SubDiscriminators):
    """One network for the waveform and one for each of its averages over 2, 4, … samples (MelGAN, Kumar et al. 2019).

    Strided grouped convolutions over time: kernels of 41 samples, stride 4.

    Args:
        dims: ``dims.speaker`` is the embedding's width, for ``speaker``.
        width: channels of the first layer; they double at each layer up to 16 times this. A multiple of ``groups``.
        layers: strided convolutions of each sub-discriminator.
        scales: number of sub-discriminators.
        groups: of the strided convolutions' channels.
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
        width: int = 16,
        layers: int = 4,
        scales: int = 3,
        groups: int = 4,
        norm: WeightNorm = "weight",
        speaker: bool = False,
        minibatch: bool = False,
    ):
        super().__init__()
        self.per_row = not minibatch and norm != "batch"
        name = type(self).__name__
        check_positive(name, width=width, layers=layers, scales=scales, groups=groups)
        if width % groups:
            raise ConfigurationError(f"{name}: width {width} is no multiple of groups {groups}; use {groups * 4}")
        self.judges = nn.ModuleList(
            self._built(
                dims, width=width, layers=layers, groups=groups, norm=norm, speaker=speaker, minibatch=minibatch
            )
            for _ in range(scales)
        )

    @staticmethod
    def _built(
        dims: Dims, *, width: int, layers: int, groups: int, norm: WeightNorm, speaker: bool, minibatch: bool
    ) -> SubDiscriminator:
        widths = [width * min(2**layer, 16) for layer in range(layers + 1)]
        strided = [
            normed(nn.Conv1d(before, after, 41, stride=4, padding=20, groups=groups), norm)
            for before, after in itertools.pairwise(widths)
        ]
        first = normed(nn.Conv1d(1, width, 15, padding=7), norm)
        last = normed(nn.Conv1d(widths[-1], widths[-1], 5, padding=2), norm)
        logits = normed(nn.Conv1d(widths[-1] + minibatch, 1, 3, padding=1), norm)
        projection = SpeakerProjection(dims, widths[-1]) if speaker else None
        return SubDiscriminator([first, *strided, last], logits, projection, minibatch=minibatch)

    def view(self, x: Tensor, index: int) -> Tensor:
        """The waveform's averages over 2 ** index samples."""
        for _ in range(index):
            # Two samples of padding rather than MelGAN's one, so that a single sample can be averaged too.
            x = F.avg_pool1d(x, 4, stride=2, padding=2, count_include_pad=False)
        return x


class MultiPeriodDiscriminator(SubDiscriminators):
    """One sub-discriminator a period p, on every p-th sample as a column (HiFi-GAN, Kong et al. 2020).

    Args:
        dims: ``dims.speaker`` is the embedding's width, for ``speaker``.
        periods: in samples; primes, so that they overlap little.
        width: channels of the first layer; they double at each layer up to 16 times this.
        layers: strided convolutions of each sub-discriminator: kernels of 5 samples of a column, stride 3.
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
        periods: tuple[int, ...] = (2, 3, 5, 7, 11),
        width: int = 8,
        layers: int = 4,
        norm: WeightNorm = "weight",
        speaker: bool = False,
        minibatch: bool = False,
    ):
        super().__init__()
        self.per_row = not minibatch and norm != "batch"
        name = type(self).__name__
        check_positive(name, width=width, layers=layers)
        if not periods or min(periods) < 1:
            raise ConfigurationError(f"{name}: periods are {periods}; give at least one, each at least 1 sample")
        self.periods = tuple(periods)
        self.judges = nn.ModuleList(
            self._built(dims, width=width, layers=layers, norm=norm, speaker=speaker, minibatch=minibatch)
            for _ in periods
        )

    @staticmethod
    def _built(
        dims: Dims, *, width: int, layers: int, norm: WeightNorm, speaker: bool, minibatch: bool
    ) -> SubDiscriminator:
        widths = [1] + [width * min(2**layer, 16) for layer in range(layers)]
        strided = [
            normed(nn.Conv2d(before, after, (5, 1), stride=(3, 1), padding=(2, 0)), norm)
            for before, after in itertools.pairwise(widths)
        ]
        logits = normed(nn.Conv2d(widths[-1] + minibatch, 1, (3, 1), padding=(1, 0)), norm)
        projection = SpeakerProjection(dims, widths[-1]) if speaker else None
        return SubDiscriminator(strided, logits, projection, minibatch=minibatch)

    def view(self, x: Tensor, index: int) -> Tensor:
        """(B, 1, rows, period): the last sample is repeated to fill the last row."""
        period = self.periods[index]
        return F.pad(x, (0, -x.shape[-1] % period), mode="replicate").unflatten(-1, (-1, period))
