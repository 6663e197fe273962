"""A feature extractor: what the generator must produce, and a vocoder turns to a waveform."""

import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import FeatureExtractor
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.features.filterbank import analysis_window
from lightning_voiceclone.features.framing import check_grid, frame_context, framed_features


class ExampleFeatures(FeatureExtractor):
    """Logarithmic magnitudes of the short-time Fourier transform with a Hann window; GriffinLim inverts them.

    Args:
        sample_rate: in Hz.
        n_fft: samples of a frame; even.
        hop_length: samples from one frame to the next.
    """

    capabilities = frozenset({"differentiable", "deterministic", "streamable"})
    window: Tensor

    def __init__(self, *, sample_rate: int = 16000, n_fft: int = 512, hop_length: int = 160):
        super().__init__()
        check_grid(type(self).__name__, sample_rate, hop_length, n_fft)
        self.spec = AudioSpec(kind="stft", channels=n_fft // 2 + 1, sample_rate=sample_rate, hop_length=hop_length,
                              n_fft=n_fft, win_length=n_fft, window="hann", power=1.0, log="e", floor=1e-5)  # fmt: skip
        self.context = frame_context(n_fft, hop_length)
        self.register_buffer("window", analysis_window(self.spec), persistent=False)

    def forward(self, audio: Tensor) -> Tensor:
        """(B, n_fft // 2 + 1, T) of audio (B, N), T = N // hop_length."""
        return framed_features(type(self).__name__, audio, len(self.window), self.spec.hop_length, self._of_frames)

    def channel_frequencies(self) -> Tensor:
        """(F,) Hz of the channels, so that nothing is learnt above what a recording has."""
        return torch.arange(self.spec.channels) * (self.spec.sample_rate / len(self.window))

    def _of_frames(self, frames: Tensor) -> Tensor:
        spectrum: Tensor = torch.fft.rfft(frames * self.window.to(frames.dtype))
        return spectrum.abs().clamp_min(1e-5).log()
