"""WORLD's analysis of speech: pitch, spectral envelope, aperiodicity."""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_voiceclone.core.interfaces import FeatureExtractor
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.framing import check_audio, check_grid, pad
from lvc_world.library import pyworld


class WorldFeatures(FeatureExtractor):
    """Pitch, envelope and aperiodicity of WORLD (Morise, Yokomori & Ozawa 2016), (B, 1 + n_envelope + bands, T).

    Channel 0 is f0 in Hz, 0 where unvoiced, by Harvest (Morise 2017). The next are the spectral envelope by CheapTrick
    (Morise 2015), as the cosine transform of its natural logarithm over mel frequencies, and the last the aperiodicity
    by D4C (Morise 2016), in decibels, in bands of 3 kHz: 1 at 16 kHz, 2 at 22.05 kHz, 5 at 48 kHz. The vocoder World
    undoes them. Computed on the CPU in double precision, without gradients.

    Harvest follows the melody over the whole recording, so that the context is infinite. Crops with half a second on
    either side, as training takes them, had the whole's f0 to 1 % in every frame of 12 recordings of LibriSpeech.
    Harvest takes about as long as a quarter of the recording: store the features with ``lvc prepare``.

    Args:
        sample_rate: in Hz.
        hop_length: samples from one frame to the next.
        n_envelope: numbers that describe a frame's envelope.
        fmin: lowest f0 in Hz.
        fmax: highest f0 in Hz.

    Raises:
        ConfigurationError: if a setting cannot work, or pyworld is not there.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        hop_length: int = 160,
        n_envelope: int = 60,
        fmin: float = 71.0,
        fmax: float = 800.0,
    ):
        super().__init__()
        world = pyworld()
        if not 0 < fmin < fmax <= sample_rate / 2:
            raise ConfigurationError(
                f"WorldFeatures: fmin is {fmin:g} and fmax is {fmax:g} Hz, but 0 < fmin < fmax <= sample_rate / 2"
                f" ({sample_rate / 2:g}) must hold"
            )
        n_fft = world.get_cheaptrick_fft_size(sample_rate, fmin)
        check_grid("WorldFeatures", sample_rate, hop_length, n_fft)
        if not 1 <= n_envelope <= n_fft // 2 + 1:
            raise ConfigurationError(
                f"WorldFeatures: n_envelope is {n_envelope}, but must be from 1 to {n_fft // 2 + 1}; 60 is usual"
            )
        self.bands = world.get_num_aperiodicities(sample_rate)
        self.spec = AudioSpec(
            kind="world", channels=1 + n_envelope + self.bands, sample_rate=sample_rate, hop_length=hop_length,
            n_fft=n_fft, n_mels=n_envelope, fmin=float(fmin), fmax=float(fmax), mel_scale="htk", power=2.0, log="e",
        )  # fmt: skip

    @torch.no_grad()
    def forward(self, audio: Tensor) -> Tensor:
        """(B, 1 + n_envelope + bands, T) of audio (B, N) in [-1, 1].

        Raises:
            ConfigurationError: if audio is not (B, N) of floating-point numbers.
            RecordingError: if it is shorter than one hop.
        """
        hop = self.spec.hop_length
        check_audio("WorldFeatures", audio, hop)
        samples = audio.detach().cpu().double()
        padded = pad(samples, 2 * hop, hop)  # half a hop at each end
        rows = [self._of_row(row.numpy(), more.numpy()) for row, more in zip(samples, padded, strict=True)]
        return torch.from_numpy(np.stack(rows)).to(audio)

    def _of_row(self, audio: NDArray[np.float64], padded: NDArray[np.float64]) -> NDArray[np.float64]:
        """(F, T) of samples (N,), given also with half a hop more at each end."""
        world, spec = pyworld(), self.spec
        rate, hop, frames = spec.sample_rate, spec.hop_length, len(audio) // spec.hop_length
        # Harvest's frames lie on multiples of the hop: with half a hop before, its second is our first.
        f0, _ = world.harvest(padded, rate, f0_floor=spec.fmin, f0_ceil=spec.fmax, frame_period=1000 * hop / rate)
        f0 = np.ascontiguousarray(f0[1 : frames + 1])
        seconds = (np.arange(frames) + 0.5) * hop / rate
        envelope = world.cheaptrick(audio, f0, seconds, rate, f0_floor=spec.fmin, fft_size=spec.n_fft)
        aperiodicity = world.d4c(audio, f0, seconds, rate, fft_size=spec.n_fft)
        coded = world.code_spectral_envelope(envelope, rate, spec.n_mels), world.code_aperiodicity(aperiodicity, rate)
        return np.concatenate([f0[:, None], *coded], axis=1).T
