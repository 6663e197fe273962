"""What the whole utterance says: register, level, long-term spectrum."""

from typing import Any

import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import FeatureExtractor
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.framing import at_least_single, check_audio
from lightning_voiceclone.features.prosody import UNKNOWN_REGISTER, VOICED, Energy, Pitch, median_f0
from lightning_voiceclone.features.spectral import MelSpectrogram


class Utterance(FeatureExtractor):
    """Register, level and long-term spectrum of the whole recording, the same in each frame, (B, 2 + n_mels, T).

    All are natural logarithms. Channel 0 is the register in Hz: the median of f0 over voiced frames (150 where there
    is none). Channel 1 is the level: the root of the mean power, each frame weighted by its power. The others are the
    share of each mel band in the power of all frames. Silence before, after and within the speech hardly changes any of
    them. The context is all of the recording that is given; of a crop it is the crop.

    Args:
        sample_rate: in Hz.
        hop_length: samples from one frame to the next.
        n_fft: samples of a frame; even, and longer than a period of 60 Hz.
        n_mels: bands of the long-term spectrum.
        floor: least level, and least share, before the logarithm.

    Raises:
        ConfigurationError: if a setting cannot work.
    """

    context = Context()

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        hop_length: int = 160,
        n_fft: int = 1024,
        n_mels: int = 20,
        floor: float = 1e-5,
    ):
        super().__init__()
        if not floor > 0:
            raise ConfigurationError(f"Utterance: floor is {floor}, but must be above 0")
        grid: dict[str, Any] = {"sample_rate": sample_rate, "hop_length": hop_length, "n_fft": n_fft}
        self.pitch, self.energy = Pitch(**grid), Energy(**grid)
        self.bands = MelSpectrogram(**grid, n_mels=n_mels, power=2.0, log=None)
        self.floor = floor
        self.spec = AudioSpec(
            kind="utterance", channels=2 + n_mels, sample_rate=sample_rate, hop_length=hop_length, n_fft=n_fft,
            n_mels=n_mels, log="e", floor=floor,
        )  # fmt: skip

    def forward(self, audio: Tensor) -> Tensor:
        """(B, 2 + n_mels, T) of audio (B, N) in [-1, 1].

        Raises:
            ConfigurationError: if audio is not (B, N) of floating-point numbers.
            RecordingError: if it is shorter than one hop.
        """
        check_audio("Utterance", audio, self.spec.hop_length)
        single = at_least_single(audio)
        f0, voicing = self.pitch(single).unbind(1)
        register = median_f0(f0 * (voicing > VOICED)).nan_to_num(nan=UNKNOWN_REGISTER)
        least = torch.finfo(single.dtype).tiny
        power = self.energy(single)[:, 0].square()
        level = power.square().sum(-1) / power.sum(-1).clamp(min=least)
        spectrum = self.bands(single).sum(-1)
        shares = spectrum / spectrum.sum(-1, keepdim=True).clamp(min=least)
        values = [
            register[:, None],
            level.clamp(min=self.floor**2).sqrt()[:, None],  # the slope of a root at 0 is infinite
            shares.clamp(min=self.floor),
        ]
        frames = audio.shape[1] // self.spec.hop_length
        return torch.cat(values, 1).log()[..., None].expand(-1, -1, frames).to(audio.dtype).contiguous()
