"""A vocoder: features to a waveform."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context


class ExampleVocoder(Vocoder):
    """One hidden layer a frame, which outputs the frame's samples; to be trained by ``recipes/vocoder_vocos.yaml``.

    Args:
        spec: of the features.
        width: numbers of the hidden layer.
    """

    capabilities = frozenset({"differentiable", "deterministic", "streamable", "exportable"})
    context = Context(2, 2)  # frames before and after that a frame's samples depend on

    def __init__(self, spec: AudioSpec, *, width: int = 256):
        super().__init__()
        self.spec = spec
        self.enter = nn.Conv1d(spec.channels, width, 5, padding=2)
        self.leave = nn.Conv1d(width, spec.hop_length, 1)

    def forward(self, features: Tensor) -> Tensor:
        """Audio (B, T * hop) in [-1, 1] of features (B, F, T)."""
        self.check(features)
        return torch.tanh(self.leave(torch.relu(self.enter(features)))).transpose(1, 2).flatten(1)
