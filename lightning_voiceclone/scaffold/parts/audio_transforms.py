"""An audio transform: augmentation of the recordings of a batch."""

from typing import ClassVar, Literal

import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import AudioTransform
from lightning_voiceclone.errors import ConfigurationError


class ExampleAudioTransform(AudioTransform):
    """The level of each row is lowered by a drawn number of decibels.

    Args:
        most: greatest number of decibels.

    Raises:
        ConfigurationError: if ``most`` is below 0.
    """

    stage: ClassVar[Literal["prepare", "training"]] = "training"

    def __init__(self, *, most: float = 12.0):
        super().__init__()
        if most < 0:
            raise ConfigurationError(f"{type(self).__name__}: most is {most:g} dB, but must be at least 0")
        self.most = most

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """(B, N) of audio (B, N)."""
        decibels = self.most * torch.rand(len(audio), 1).to(audio)
        return audio * 10 ** (-decibels / 20)
