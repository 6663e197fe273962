"""Shared by discriminators: conditioning by projection, and normalisation of weights."""

from typing import Literal

from torch import Tensor, nn
from torch.nn.utils import parametrizations

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.layers.frame_inputs import promised

WeightNorm = Literal["weight", "spectral", "batch", "none"]


def normed(layer: nn.Conv1d | nn.Conv2d, norm: WeightNorm) -> nn.Module:
    """The layer, normalised: its weight, by length (Salimans & Kingma 2016) or spectral norm (Miyato et al. 2018).

    Or its output, by the statistics of the batch (Ioffe & Szegedy 2015); except a layer of one channel, the logits
    (Radford et al. 2016).

    Raises:
        ConfigurationError: if the norm is none of weight, spectral, batch, none.
    """
    if norm == "batch":
        channels = layer.out_channels
        batch_norm = nn.BatchNorm1d if isinstance(layer, nn.Conv1d) else nn.BatchNorm2d
        return layer if channels == 1 else nn.Sequential(layer, batch_norm(channels))
    if norm == "weight":
        return parametrizations.weight_norm(layer)
    if norm == "spectral":
        return parametrizations.spectral_norm(layer)
    if norm == "none":
        return layer
    raise ConfigurationError(f"norm is {norm!r}; it must be weight, spectral, batch or none")


class SpeakerProjection(nn.Module):
    """Adds to each logit the inner product of its hidden features and the projected speaker.

    The projection discriminator (Miyato & Koyama 2018, equation 3), at each position of the map rather than after
    pooling.

    Args:
        dims: ``dims.speaker`` is the embedding's width.
        channels: channels of the hidden features.

    Raises:
        ConfigurationError: if ``dims.speaker`` is 0.
    """

    def __init__(self, dims: Dims, channels: int):
        super().__init__()
        if not dims.speaker:
            raise ConfigurationError(
                "a discriminator with speaker=True needs a speaker encoder, but dims.speaker is 0;"
                " set speaker to false or configure a speaker encoder"
            )
        self.width = dims.speaker
        self.project = nn.Linear(dims.speaker, channels, bias=False)

    def forward(self, logits: Tensor, hidden: Tensor, condition: Condition | None) -> Tensor:
        """Logits (B, 1, ...) for hidden features (B, channels, ...).

        Raises:
            ConfigurationError: if the condition or its speaker is missing or of another width.
        """
        if condition is None:
            raise ConfigurationError("a discriminator with speaker=True was given no condition; pass it the speaker's")
        speaker = self.project(promised(condition, "speaker", 2, self.width))
        speaker = speaker.reshape(*speaker.shape, *(1,) * (hidden.ndim - 2))
        return logits + (hidden * speaker).sum(1, keepdim=True) / hidden.shape[1] ** 0.5
