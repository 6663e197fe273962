"""Beamforming: several microphones to one signal."""

import math
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torchaudio.functional import apply_beamforming, mvdr_weights_souden

from lightning_voiceclone.core.interfaces import AudioTransform
from lightning_voiceclone.errors import ConfigurationError, RecordingError


class BeamformMVDR(AudioTransform):
    """Minimum variance distortionless response beamforming (Souden et al. 2010) of all channels to one.

    The microphones' positions need not be known. Where the channels' mean power exceeds the noise at its frequency
    (the mean of the quietest frames) it counts as speech, in the share of a Wiener filter; the rest counts as noise.
    The output is the signal at the best microphone without the noise. One channel passes unchanged.

    Args:
        window: length of the analysis in seconds; it must be long against the delays between the microphones.
        quietest: share of the frames, the quietest, from which the noise is estimated.

    Raises:
        ConfigurationError: if a value is out of range.
    """

    stage: ClassVar[Literal["prepare", "training"]] = "prepare"

    def __init__(self, window: float = 0.064, quietest: float = 0.1) -> None:
        super().__init__()
        if window <= 0 or not 0 < quietest < 1:
            raise ConfigurationError(f"window {window} s must be above 0, quietest {quietest} between 0 and 1")
        self.window = window
        self.quietest = quietest

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """(1, N) of (channels, N).

        Raises:
            RecordingError: if the channels' statistics yield no beam (for example if all but one are silent).
        """
        if audio.shape[0] == 1:
            return audio
        n_fft = 2 ** round(math.log2(self.window * sample_rate))
        window = torch.hann_window(n_fft, dtype=torch.float64)
        padded = torch.nn.functional.pad(audio.double(), (n_fft, n_fft))
        spectrum = torch.stft(padded, n_fft, n_fft // 4, window=window, center=True, return_complex=True)
        # Frames that reach into the padding would count as the quietest; very short recordings have no others.
        edge = 6 if spectrum.shape[2] > 12 else 4
        inside = spectrum[..., edge:-edge]
        speech = self._speech(inside.abs().square().mean(dim=0))
        speech_psd, noise_psd = _psd(inside, speech), _psd(inside, 1 - speech)
        weights = mvdr_weights_souden(speech_psd, noise_psd, _best(speech_psd, noise_psd))
        output = torch.istft(
            apply_beamforming(weights, spectrum), n_fft, n_fft // 4, window=window, length=padded.shape[1]
        )
        if not output.isfinite().all():
            raise RecordingError("the channels yield no beam; look for channels that are silent or copies")
        return output[None, n_fft:-n_fft].to(audio.dtype)

    def _speech(self, power: Tensor) -> Tensor:
        """(bins, frames) from 0, noise, to 1, speech."""
        # The power of noise in one bin varies as much as it is great; its mean over neighbours is steadier.
        power = torch.nn.functional.avg_pool2d(power[None], 3, 1, 1, count_include_pad=False)[0]
        frames = max(1, round(self.quietest * power.shape[1]))
        quiet = power.sum(dim=0).argsort()[:frames]
        noise = power[:, quiet].mean(dim=1, keepdim=True).clamp_min(1e-20)
        excess = (power / noise - 1).clamp_min(0)
        # Kept from 0 and 1, so that neither covariance is empty where a bin is always the one or the other.
        return (excess / (1 + excess)).clamp(0.01, 0.99)


def _psd(spectrum: Tensor, mask: Tensor) -> Tensor:
    """(bins, channels, channels) covariance of (channels, bins, frames) under a mask (bins, frames)."""
    weights = (mask / mask.sum(dim=1, keepdim=True)).to(spectrum.dtype)
    return torch.einsum("cft,ft,dft->fcd", spectrum, weights, spectrum.conj())


def _best(speech_psd: Tensor, noise_psd: Tensor) -> int:
    """Channel of the greatest ratio of speech to noise."""
    speech, noise = (psd.diagonal(dim1=1, dim2=2).real.sum(dim=0) for psd in (speech_psd, noise_psd))
    return int((speech / noise.clamp_min(1e-20)).argmax())
