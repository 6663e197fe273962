"""Augmentation of features in training, drawn anew for each row from torch's global random state."""

import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import FeatureTransform
from lightning_voiceclone.errors import ConfigurationError


class SpecAugment(FeatureTransform):
    """Bands of channels and stretches of frames are masked by the row's mean (Park et al. 2019, sections 2.2 and 2.3).

    Each mask's width is drawn evenly from 0 to the greatest width, then its place evenly from where it fits.

    Args:
        frequency_masks: bands of channels a row.
        frequency_width: greatest number of channels in a band.
        time_masks: stretches of frames a row.
        time_width: greatest number of frames in a stretch.
        time_share: greatest share of a row's frames in a stretch, for rows that are short.
        p: probability that a row is masked at all.

    Raises:
        ConfigurationError: if a number or a width is below 0, or a share or probability is not within 0 to 1.
    """

    def __init__(
        self,
        *,
        frequency_masks: int = 2,
        frequency_width: int = 15,
        time_masks: int = 2,
        time_width: int = 40,
        time_share: float = 0.2,
        p: float = 1.0,
    ):
        super().__init__()
        counts = {"frequency_masks": frequency_masks, "frequency_width": frequency_width,
                  "time_masks": time_masks, "time_width": time_width}  # fmt: skip
        for name, value in counts.items():
            if value < 0:
                raise ConfigurationError(f"SpecAugment: {name} is {value}, but must be at least 0; 0 masks nothing")
        _check_share("SpecAugment", "time_share", time_share)
        _check_share("SpecAugment", "p", p)
        self.frequency_masks, self.frequency_width = frequency_masks, frequency_width
        self.time_masks, self.time_width, self.time_share, self.p = time_masks, time_width, time_share, p

    def forward(self, features: Tensor) -> Tensor:
        """Masked features (B, F, T)."""
        rows, channels, frames = features.shape
        band = _masks(rows, channels, self.frequency_masks, min(self.frequency_width, channels))
        stretch = _masks(rows, frames, self.time_masks, min(self.time_width, int(self.time_share * frames)))
        masked = (band[:, :, None] | stretch[:, None]) & (torch.rand(rows) < self.p)[:, None, None]
        return torch.where(masked.to(features.device), features.mean((1, 2), keepdim=True), features)


class WarpFrequency(FeatureTransform):
    """The channels of each row are stretched by a drawn factor, as by a vocal tract of another length.

    Vocal-tract-length perturbation (Jaitly & Hinton 2013) along the features' own axis of frequencies: channel f of
    the result is channel f / factor, interpolated linearly; past the last channel the last value is repeated. All
    frames of a row share a factor.

    Args:
        low: least factor; below 1 formants move down, as in a longer tract.
        high: greatest factor.
        p: probability that a row is stretched.
        groups: of stacked features, the channels of each part, from the first on, that is stretched by itself; what
            comes after them stays as it is. null for one group of all channels.

    Raises:
        ConfigurationError: unless 0 < low <= high, p is within 0 to 1, and each group has channels.
    """

    def __init__(self, *, low: float = 0.85, high: float = 1.2, p: float = 1.0, groups: list[int] | None = None):
        super().__init__()
        if not 0 < low <= high:
            raise ConfigurationError(f"WarpFrequency: low is {low} and high is {high}, but 0 < low <= high must hold")
        _check_share("WarpFrequency", "p", p)
        if groups is not None and (not groups or min(groups) < 1):
            raise ConfigurationError(f"WarpFrequency: groups is {groups}, but each group must have 1 channel or more")
        self.low, self.high, self.p, self.groups = low, high, p, groups

    def forward(self, features: Tensor) -> Tensor:
        """Stretched features (B, F, T).

        Raises:
            ConfigurationError: if the groups have more channels than the features.
        """
        rows, channels, _ = features.shape
        factors = self.low + (self.high - self.low) * torch.rand(rows)
        factors = torch.where(torch.rand(rows) < self.p, factors, torch.ones(rows))
        groups = self.groups or [channels]
        if (left := channels - sum(groups)) < 0:
            raise ConfigurationError(
                f"WarpFrequency: groups {groups} have {sum(groups)} channels, but the features have {channels}"
            )
        *parts, rest = features.split([*groups, left], 1)
        return torch.cat([*(_stretched(part, factors) for part in parts), rest], 1)


def _stretched(features: Tensor, factors: Tensor) -> Tensor:
    """Features (B, F, T) whose channel f is channel f / factor of the given ones; a factor (B,) for each row."""
    _, channels, frames = features.shape
    places = (torch.arange(channels) / factors[:, None]).clamp(max=channels - 1)
    below = places.long()
    above = (below + 1).clamp(max=channels - 1)
    share = (places - below).to(features)[:, :, None]

    def at(indices: Tensor) -> Tensor:
        return features.gather(1, indices.to(features.device)[:, :, None].expand(-1, -1, frames))

    return torch.lerp(at(below), at(above), share)


def _masks(rows: int, length: int, count: int, greatest: int) -> Tensor:
    """(rows, length), True where one of ``count`` masks of 0 to ``greatest`` places lies."""
    widths = torch.randint(greatest + 1, (rows, count))
    starts = (torch.rand(rows, count) * (length - widths + 1)).long()
    places = torch.arange(length)
    return ((places >= starts[..., None]) & (places < (starts + widths)[..., None])).any(1)


def _check_share(part: str, name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ConfigurationError(f"{part}: {name} is {value}, but must be from 0 to 1")
