"""Made speech in two styles, and a style encoder of pictures: for tests of what takes styles."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from lightning_voiceclone.core.interfaces import StyleEncoder
from lightning_voiceclone.errors import ConfigurationError

RATE, HOP = 16000, 160
# Frames of a token, mean of f0 in Hz, and by which share f0 rises and falls, three times a second.
STYLES = {"fast": (4, 180.0, 0.12), "slow": (9, 120.0, 0.02)}


@dataclass(frozen=True)
class StyledSpeech:
    """An utterance of tones, one a token, that are as long and as high as the style says.

    Args:
        audio: (N,) in [-1, 1] at 16 kHz.
        tokens: (L,) from 1 on.
        durations: (L,) frames of 160 samples.
        style: its name.
    """

    audio: Tensor
    tokens: Tensor
    durations: Tensor
    style: str


def styled_speech(
    style: str, *, seed: int, tokens: int = 8, vocabulary: int = 5, register: float = 1.0
) -> StyledSpeech:
    """Make an utterance of a drawn text.

    Args:
        style: "fast", which is high and lively too, or "slow", which is low and level.
        seed: of the text.
        tokens: L.
        vocabulary: of the text, from 1 on; each has other harmonics.
        register: factor of f0, of another speaker.
    """
    frames, f0, lively = STYLES[style]
    drawn = np.random.default_rng(seed).integers(1, vocabulary + 1, tokens)
    time = np.arange(tokens * frames * HOP) / RATE
    cycles = register * f0 * (time - lively * np.cos(6 * np.pi * time) / (6 * np.pi))
    nearest = np.repeat(drawn, frames * HOP)  # the loudest harmonic of each token
    tone = sum(np.sin(2 * np.pi * harmonic * cycles) / (1 + abs(harmonic - nearest)) for harmonic in range(1, 9))
    swell = np.tile(0.05 + 0.95 * np.hanning(frames * HOP), tokens)
    audio = torch.from_numpy((0.1 * swell * tone).astype(np.float32))
    return StyledSpeech(audio, torch.from_numpy(drawn), torch.full((tokens,), frames), style)


class PictureStyleEncoder(StyleEncoder):
    """The style of a picture, a file .npy of (height, width) numbers, by its mean and its contrast.

    Args:
        channels: S, numbers of the style vector.
    """

    takes = "value"

    def __init__(self, *, channels: int = 8):
        super().__init__()
        self.channels = channels
        self.leave = nn.Linear(2, channels)

    def read(self, value: str) -> Tensor:
        """Mean and standard deviation (2,) of a picture.

        Raises:
            ConfigurationError: if there is no picture at the path.
        """
        try:
            picture = np.load(value, allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ConfigurationError(f"there is no picture at {value!r:.60}; name a .npy file") from error
        return torch.tensor([picture.mean(), picture.std()], dtype=torch.float32)

    def forward(self, x: Tensor) -> Tensor:
        """Style vectors (B, S) of pictures (B, 2)."""
        return self.leave(x)
