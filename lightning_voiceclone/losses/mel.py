"""Distance of two waveforms in their mel spectra at several resolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.losses.rows import mean_of_rows


class MultiResolutionMelLoss(nn.Module):
    """Mean over resolutions of the mean absolute difference of the logarithms of mel bands (Kumar et al. 2023).

    Hops are a quarter of the frames. In the natural logarithm, as :class:`MelSpectrogram` gives it.

    Args:
        sample_rate: of the audio, in Hz.
        resolutions: of each, (n_fft, number of mel bands).
        floor: least magnitude before the logarithm.

    Raises:
        ConfigurationError: if there is no resolution, or one with more bands than its frames resolve.
    """

    def __init__(
        self,
        sample_rate: int,
        *,
        resolutions: Sequence[tuple[int, int]] = ((2048, 160), (1024, 80), (512, 40), (256, 20)),
        floor: float = 1e-4,
    ):
        super().__init__()
        if not resolutions:
            raise ConfigurationError("MultiResolutionMelLoss: resolutions are empty; give at least one")
        self.extractors = nn.ModuleList(
            MelSpectrogram(sample_rate=sample_rate, n_fft=n_fft, hop_length=n_fft // 4, n_mels=bands, floor=floor)
            for n_fft, bands in resolutions
        )

    def forward(self, fake: Tensor, real: Tensor) -> Tensor:
        """The distance (B,) of each row of audio (B, N), each in [-1, 1].

        Raises:
            ConfigurationError: if the shapes differ.
        """
        if fake.shape != real.shape:
            raise ConfigurationError(
                f"MultiResolutionMelLoss: fake is {tuple(fake.shape)} but real is {tuple(real.shape)};"
                " crop both to the same samples"
            )
        distances = [mean_of_rows((extract(fake) - extract(real)).abs()) for extract in self.extractors]
        return torch.stack(distances).mean(0)
