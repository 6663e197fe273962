"""How close the statistics of generated features are to those of real ones."""

import torch
from torch import Tensor
from torchmetrics import Metric


class ChannelMoments(Metric):
    """Mean and standard deviation of each feature channel, generated against real: the least a GAN should match.

    ``compute`` gives ``mean_gap``, the largest difference of means over channels in real standard deviations (best 0),
    and ``spread_low`` and ``spread_high``, the least and the largest ratio of generated to real standard deviation
    (best 1).

    Args:
        channels: F.
    """

    figures = ("mean_gap", "spread_low", "spread_high")
    full_state_update = False
    real: Tensor
    fake: Tensor
    count: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        for name in ("real", "fake"):
            self.add_state(name, torch.zeros(2, channels), dist_reduce_fx="sum")
        self.add_state("count", torch.tensor(0.0), dist_reduce_fx="sum")

    def update(self, real: Tensor, fake: Tensor, mask: Tensor) -> None:
        """Add features (B, F, T), normalised; mask (B, 1, T) is 1 for the frames that are not padding."""
        for name, values in (("real", real), ("fake", fake)):
            values = values.float() * mask
            sums = torch.stack([values.sum((0, 2)), values.square().sum((0, 2))])
            setattr(self, name, getattr(self, name) + sums)
        self.count += mask.sum()

    def by_channel(self) -> tuple[Tensor, Tensor]:
        """Differences of means in real standard deviations (F,), and ratios of standard deviations (F,)."""
        real_mean, real_scale = self._moments(self.real)
        fake_mean, fake_scale = self._moments(self.fake)
        return (fake_mean - real_mean) / real_scale, fake_scale / real_scale

    def _moments(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        mean = sums[0] / self.count
        return mean, (sums[1] / self.count - mean.square()).clamp_min(1e-12).sqrt()

    def compute(self) -> dict[str, Tensor]:
        """The three values, over all channels."""
        gaps, ratios = self.by_channel()
        return dict(zip(self.figures, (gaps.abs().max(), ratios.min(), ratios.max()), strict=True))
