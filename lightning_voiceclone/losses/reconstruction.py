"""Distances to the real recording: of features, of a discriminator's maps, of spectra at several resolutions."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.rows import RowLoss, mean_of_frames, mean_of_rows


def masked_l1(fake: Tensor, real: Tensor, mask: Tensor) -> RowLoss:
    """Mean absolute difference of fake and real (B, F, T) over the frames that the mask (B, 1, T) keeps.

    Every real frame of the batch counts the same; a row is 0 if the mask keeps none of it.

    Raises:
        ConfigurationError: if the shapes of fake and real differ.
    """
    if fake.shape != real.shape:
        raise ConfigurationError(
            f"masked_l1: fake is {tuple(fake.shape)} but real is {tuple(real.shape)}; crop both to the same frames"
        )
    return mean_of_frames((fake - real).abs(), mask)


def feature_matching(
    real_maps: Sequence[Sequence[Tensor]], fake_maps: Sequence[Sequence[Tensor]], *, unpaired: int = 0
) -> RowLoss:
    """Mean absolute difference of real and fake maps, averaged over all maps except the logits.

    Larsen et al. 2016; in this form Kumar et al. 2019, equation 4. No gradient flows into the real maps. The first
    ``unpaired`` rows are left out, because their fake is not meant to equal their real.

    Raises:
        ConfigurationError: if the two come from different discriminators, or have no maps but the logits.
    """
    if [len(maps) for maps in real_maps] != [len(maps) for maps in fake_maps]:
        raise ConfigurationError(
            f"feature_matching: real has {[len(maps) for maps in real_maps]} maps a sub-discriminator and fake has"
            f" {[len(maps) for maps in fake_maps]}; take both from one discriminator"
        )
    distances = [
        mean_of_rows((fake[unpaired:] - real[unpaired:].detach()).abs())
        if unpaired < len(fake)
        else 0 * fake[:1].sum((*range(1, fake.ndim),))
        for real_sub, fake_sub in zip(real_maps, fake_maps, strict=True)
        for real, fake in zip(real_sub[:-1], fake_sub[:-1], strict=True)
    ]
    if not distances:
        raise ConfigurationError(
            "feature matching needs maps besides the logits, and this discriminator gives none;"
            " set the weight of feature matching to 0 or use a discriminator with hidden layers"
        )
    values = torch.stack(distances).mean(0)
    rows = len(fake_maps[0][0])
    if unpaired >= rows:  # of no row, but with a gradient
        return RowLoss(values.expand(rows), torch.zeros(rows, device=values.device))
    return RowLoss(values, torch.ones_like(values)).among(unpaired, rows)


class MultiResolutionSpectralLoss(nn.Module):
    """Distance of two waveforms in their magnitude spectra at several resolutions (Yamamoto et al. 2020).

    Mean over resolutions of the spectral convergence ||real - fake|| / ||real|| (Frobenius norm over the batch,
    equation 4) and the mean absolute difference of the natural logarithms (equation 5).

    Args:
        resolutions: of each, (n_fft, hop length, window length) in samples; Hann windows.
        floor: least magnitude before the logarithm and in the denominator.

    Raises:
        ConfigurationError: if there is no resolution, or one in which not 0 < hop <= window <= n_fft.
    """

    def __init__(
        self,
        *,
        resolutions: Sequence[tuple[int, int, int]] = ((1024, 120, 600), (2048, 240, 1200), (512, 50, 240)),
        floor: float = 1e-5,
    ):
        super().__init__()
        if not resolutions:
            raise ConfigurationError("MultiResolutionSpectralLoss: resolutions are empty; give at least one")
        for n_fft, hop_length, win_length in resolutions:
            if not 0 < hop_length <= win_length <= n_fft:
                raise ConfigurationError(
                    f"MultiResolutionSpectralLoss: resolution (n_fft {n_fft}, hop {hop_length}, window {win_length})"
                    " must have 0 < hop <= window <= n_fft"
                )
        self.resolutions = [tuple(resolution) for resolution in resolutions]
        self.floor = floor
        for index, (_, _, win_length) in enumerate(self.resolutions):
            self.register_buffer(f"window{index}", torch.hann_window(win_length), persistent=False)

    def forward(self, fake: Tensor, real: Tensor) -> RowLoss:
        """The distance of audio (B, N), each in [-1, 1]; the convergence, of the batch, is part of each row's.

        Raises:
            ConfigurationError: if the shapes differ.
        """
        if fake.shape != real.shape:
            raise ConfigurationError(
                f"MultiResolutionSpectralLoss: fake is {tuple(fake.shape)} but real is {tuple(real.shape)};"
                " crop both to the same samples"
            )
        losses = []
        for index in range(len(self.resolutions)):
            fake_magnitude, real_magnitude = self._magnitude(fake, index), self._magnitude(real, index)
            difference = torch.linalg.vector_norm(real_magnitude - fake_magnitude)
            convergence = difference / torch.linalg.vector_norm(real_magnitude).clamp(min=self.floor)
            losses.append(convergence + mean_of_rows((fake_magnitude.log() - real_magnitude.log()).abs()))
        values = torch.stack(losses).mean(0)
        return RowLoss(values, torch.ones_like(values), per_row=False)

    def _magnitude(self, audio: Tensor, index: int) -> Tensor:
        n_fft, hop_length, win_length = self.resolutions[index]
        window = getattr(self, f"window{index}").to(audio.dtype)
        # Zeros rather than a reflection at the ends: a reflection needs more samples than half a window.
        spectrum = torch.stft(
            audio, n_fft, hop_length, win_length, window, center=True, pad_mode="constant", return_complex=True
        )
        # The magnitude's slope is infinite at 0: the floor stands under the root.
        return torch.sqrt(spectrum.real.square() + spectrum.imag.square() + self.floor**2)
