"""Pretrained speaker encoders, for evaluation."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import MetricSource, SpeakerEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.utils.optional import file_sha256, need, package_version

RATE = 16000
PARTIALS_A_SECOND = 1.3  # as the package's own embed_utterance takes them
LEAST_COVERAGE = 0.75


class ResemblyzerSpeakerEncoder(SpeakerEncoder):
    """The speaker encoder of the package Resemblyzer, which carries its weights (GE2E, Wan et al. 2018).

    Each recording is raised to -30 dB, long silences are removed (webrtcvad), and the embeddings of pieces of 1.6 s are
    averaged, as the package does. Embeddings have unit length, and no negative numbers. Frozen; no gradient flows.

    Args:
        dims: ignored; here so that it can be built as other encoders are.
        sample_rate: of the audio that it will be given, in Hz; what is not 16 kHz is resampled.

    Raises:
        PluginError: if Resemblyzer is not installed.
    """

    takes = "audio"
    channels = 256

    def __init__(self, dims: Dims | None = None, *, sample_rate: int = RATE) -> None:
        super().__init__()
        self._package: Any = need("resemblyzer")
        self._mel: Any = need("resemblyzer.audio").wav_to_mel_spectrogram
        self.sample_rate = sample_rate
        self.network = self._package.VoiceEncoder("cpu", verbose=False).eval().requires_grad_(False)
        weights = Path(str(self._package.__file__)).with_name("pretrained.pt")
        self.source = MetricSource("Resemblyzer", package_version("resemblyzer"), file_sha256(weights))

    @torch.no_grad()
    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Embedding (B, 256) of audio (B, N), of which lengths (B,) samples are real."""
        counts = [x.shape[1]] * len(x) if lengths is None else lengths.tolist()
        rows = [self._pieces(row[:count].float().cpu().numpy()) for row, count in zip(x, counts, strict=True)]
        # All at once: the network is recurrent, and as quick with many pieces as with one.
        embedded = self.network(torch.from_numpy(np.concatenate(rows)).to(x))
        means = torch.stack([pieces.mean(0) for pieces in embedded.split([len(row) for row in rows])])
        return means / means.norm(dim=1, keepdim=True).clamp_min(1e-12)

    def _pieces(self, audio: np.ndarray) -> np.ndarray:
        """Mel spectra of the pieces of a recording (pieces, frames, 40)."""
        if self.sample_rate != RATE:
            import soxr

            audio = soxr.resample(audio, self.sample_rate, RATE, quality="HQ")
        speech = self._speech(audio)
        places, slices = self.network.compute_partial_slices(len(speech), PARTIALS_A_SECOND, LEAST_COVERAGE)
        speech = np.pad(speech, (0, max(places[-1].stop - len(speech), 0)))
        mel = self._mel(speech)
        return np.stack([mel[piece] for piece in slices])

    def _speech(self, audio: np.ndarray) -> np.ndarray:
        """The audio without silences; all of it where the detector finds no speech."""
        if not audio.any():
            return audio
        speech = self._package.preprocess_wav(audio, source_sr=RATE)
        return speech if len(speech) else audio
