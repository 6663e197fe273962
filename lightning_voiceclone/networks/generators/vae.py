"""A generator with a variational bottleneck."""

from typing import ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.masking import keep
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.core.validation import check_odd, check_positive
from lightning_voiceclone.networks.layers.channel_norm import ChannelNorm
from lightning_voiceclone.networks.layers.film import SpeakerModulation
from lightning_voiceclone.networks.layers.frame_inputs import FrameInputs, needed_fields
from lightning_voiceclone.networks.layers.initialization import begin_small
from lightning_voiceclone.networks.layers.residual import ResidualBlock, cycle_dilations
from lightning_voiceclone.networks.variational import gaussian_kl


class VAEGenerator(Generator):
    """Frame inputs to a Gaussian latent for each frame, a draw from it, and that to features (Kingma & Welling 2014).

    z = mean + deviation * e with e standard normal (equation 4) in training, z = mean otherwise. The encoder does not
    see the speaker, the decoder is modulated by it (FiLM). Its own loss "kl" keeps the latent near the standard
    normal: weight it with ``kl``. The context is finite.

    Args:
        dims: widths of the inputs and of the features.
        latent: numbers of the latent a frame.
        width: channels inside.
        layers: residual blocks in the encoder, and as many in the decoder.
        kernel_size: frames that a convolution sees; odd.
        dilations: distances between those frames, one a block, taken in turn from the first again.

    Raises:
        ConfigurationError: if a number is out of range or dims promise no input.
    """

    loss_names: ClassVar[frozenset[str]] = frozenset({"kl"})
    capabilities = frozenset({"exportable", "streamable"})

    def __init__(
        self,
        dims: Dims,
        *,
        latent: int = 32,
        width: int = 128,
        layers: int = 3,
        kernel_size: int = 5,
        dilations: tuple[int, ...] = (1, 2, 4),
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, latent=latent, width=width, layers=layers)
        check_odd(name, kernel_size=kernel_size)
        cycle = cycle_dilations(name, dilations, layers)
        self.needs = needed_fields(dims)
        self.inputs = FrameInputs(dims)
        reach = kernel_size // 2
        self.enter = nn.Conv1d(self.inputs.channels, width, kernel_size, padding=reach)
        speakerless = Dims(dims.features)
        self.encoder = nn.ModuleList(
            ResidualBlock(speakerless, width, kernel_size=kernel_size, dilation=step) for step in cycle
        )
        self.encoder_norm = ChannelNorm(width)
        self.to_latent = nn.Conv1d(width, 2 * latent, 1)
        self.from_latent = nn.Conv1d(latent, width, kernel_size, padding=reach)
        self.decoder = nn.ModuleList(
            ResidualBlock(dims, width, kernel_size=kernel_size, dilation=step) for step in cycle
        )
        self.decoder_norm = ChannelNorm(width)
        self.modulation = SpeakerModulation(dims, width)
        self.leave = nn.Conv1d(width, dims.features, 1)
        begin_small(self.leave)
        frames = 2 * reach * (1 + sum(cycle))
        self.context = Context(frames, frames)

    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T)."""
        return self._decode(self._draw(*self.encode(condition)), condition)

    def forward_with_losses(self, condition: Condition) -> tuple[Tensor, dict[str, Tensor]]:
        """Features, and {"kl": KL(q || N(0, 1)) in nats a latent number, averaged over the real frames}."""
        mean, log_variance = self.encode(condition)
        features = self._decode(self._draw(mean, log_variance), condition)
        return features, {"kl": gaussian_kl(mean, log_variance, condition.mask(mean.shape[-1]))}

    def encode(self, condition: Condition) -> tuple[Tensor, Tensor]:
        """Mean and natural logarithm of the variance of the latent, each (B, latent, T)."""
        x = self.inputs(condition)
        mask = condition.mask(x.shape[-1])
        x = self.enter(x)
        for block in self.encoder:
            x = block(x, mask, condition)
        mean, log_variance = self.to_latent(F.silu(self.encoder_norm(x))).chunk(2, dim=1)
        # exp overflows in half precision beyond 11; no useful latent is that wide or that narrow.
        return mean, log_variance.clamp(-10.0, 10.0)

    def _draw(self, mean: Tensor, log_variance: Tensor) -> Tensor:
        if not self.training:
            return mean
        return mean + torch.exp(0.5 * log_variance) * torch.randn_like(mean)

    def _decode(self, latent: Tensor, condition: Condition) -> Tensor:
        mask = condition.mask(latent.shape[-1])
        x = self.from_latent(keep(latent, mask))
        for block in self.decoder:
            x = block(x, mask, condition)
        return self.leave(F.silu(self.modulation(self.decoder_norm(x), condition)))
