"""A speaker encoder by statistics of the features over time."""

import itertools

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.interfaces import SpeakerEncoder
from lightning_voiceclone.core.masking import keep, masked_mean_and_deviation, reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_odd, check_positive
from lightning_voiceclone.errors import ConfigurationError


class StatisticsSpeakerEncoder(SpeakerEncoder):
    """Mean and standard deviation over time of convolved features and of the features themselves, then an MLP.

    Statistics pooling as in x-vectors (Snyder et al. 2018). The features' own statistics pass the average spectrum,
    which carries much of a voice, directly to the MLP. The embedding's D numbers have zero mean and unit variance
    (layer normalisation), so that noise added to it means the same for every speaker.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: D, numbers of the embedding; at least 2.
        width: channels inside.
        layers: convolutions.
        kernel_size: frames that a convolution sees; odd.

    Raises:
        ConfigurationError: if a number is out of range.
    """

    def __init__(self, dims: Dims, *, channels: int = 128, width: int = 192, layers: int = 3, kernel_size: int = 5):
        super().__init__()
        name = type(self).__name__
        check_positive(name, width=width, layers=layers)
        check_odd(name, kernel_size=kernel_size)
        if channels < 2:
            raise ConfigurationError(f"{name}: channels is {channels}; an embedding needs at least 2 numbers")
        self.channels = channels
        widths = [dims.features] + [width] * layers
        self.convolutions = nn.ModuleList(
            nn.Conv1d(before, after, kernel_size, padding=kernel_size // 2)
            for before, after in itertools.pairwise(widths)
        )
        self.mlp = nn.Sequential(
            nn.Linear(2 * (width + dims.features), width), nn.SiLU(), nn.Linear(width, channels)
        )  # fmt: skip

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embedding (B, D) of features (B, F, T)."""
        if lengths is None:
            lengths = torch.full((x.shape[0],), x.shape[-1], device=x.device)
        mask = reach_mask(lengths, x.shape[-1])
        of_features = masked_mean_and_deviation(x, mask)
        hidden = keep(x, mask)
        for convolution in self.convolutions:
            hidden = keep(F.silu(convolution(hidden)), mask)
        statistics = torch.cat([*of_features, *masked_mean_and_deviation(hidden, mask)], dim=1)
        return F.layer_norm(self.mlp(statistics), (self.channels,))
