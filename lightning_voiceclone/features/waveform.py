"""The samples themselves as features."""

from torch import Tensor

from lightning_voiceclone.core.interfaces import FeatureExtractor
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.framing import check_audio


class Waveform(FeatureExtractor):
    """The samples, cut into frames that touch, (B, hop_length, T): channel k of frame t is sample t * hop_length + k.

    Samples after the last whole frame are left out. The vocoder Unframe puts the samples together again.

    Args:
        sample_rate: in Hz.
        hop_length: samples a frame.

    Raises:
        ConfigurationError: if a setting is not above 0.
    """

    capabilities = frozenset({"streamable"})
    context = Context(0, 0)

    def __init__(self, *, sample_rate: int = 16000, hop_length: int = 160):
        super().__init__()
        if sample_rate <= 0 or hop_length <= 0:
            raise ConfigurationError(
                f"Waveform: sample_rate is {sample_rate} and hop_length is {hop_length}; both must be above 0"
            )
        self.spec = AudioSpec(
            kind="waveform", channels=hop_length, sample_rate=sample_rate, hop_length=hop_length
        )  # fmt: skip

    def forward(self, audio: Tensor) -> Tensor:
        """(B, hop_length, T) of audio (B, N), T = N // hop_length.

        Raises:
            ConfigurationError: if audio is not (B, N) of floating-point numbers.
            RecordingError: if it is shorter than one hop.
        """
        hop = self.spec.hop_length
        check_audio("Waveform", audio, hop)
        return audio.unfold(1, hop, hop).transpose(1, 2).contiguous()
