"""A discriminator of patches of the spectrogram."""

import itertools

from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Discriminator
from lightning_voiceclone.core.masking import keep
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_odd, check_positive
from lightning_voiceclone.networks.discriminators.minibatch import MinibatchDeviation
from lightning_voiceclone.networks.discriminators.projection import SpeakerProjection, WeightNorm, normed


class PatchDiscriminator(Discriminator):
    """Strided 2-D convolutions over bands and frames; one logit for each patch (PatchGAN, Isola et al. 2017).

    Takes any number of bands and frames from 1 upwards: each layer halves both, rounding up.

    Args:
        dims: widths; ``dims.features`` is F.
        width: channels of the first layer; they double at each layer up to eight times this.
        layers: strided convolutions.
        kernel_size: bands and frames of each kernel; odd.
        norm: of the weights: weight, spectral or none; or batch, of what the layers output.
        speaker: condition the logits on ``condition.speaker`` (projection, Miyato & Koyama 2018).
        minibatch: give the logits the standard deviation over the batch too, so that a collapse is noticed (Karras et
            al. 2018); rows then depend on each other.
        dropout: share of the hidden numbers dropped in training.

    Raises:
        ConfigurationError: if a number is out of range, or ``speaker`` is set and dims have none.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        width: int = 32,
        layers: int = 4,
        kernel_size: int = 3,
        norm: WeightNorm = "weight",
        speaker: bool = False,
        minibatch: bool = False,
        dropout: float = 0.0,
    ):
        super().__init__()
        self.per_row = not minibatch and norm != "batch"
        check_positive(type(self).__name__, width=width, layers=layers)
        check_odd(type(self).__name__, kernel_size=kernel_size)
        channels = [1] + [width * min(2**layer, 8) for layer in range(layers)]
        reach = kernel_size // 2
        self.convolutions = nn.ModuleList(
            normed(nn.Conv2d(before, after, kernel_size, stride=2, padding=reach), norm)
            for before, after in itertools.pairwise(channels)
        )
        last = nn.Conv2d(channels[-1] + minibatch, 1, kernel_size, padding=reach)
        self.judge = normed(last, norm)  # the name is a key in checkpoints
        self.before_logits = MinibatchDeviation() if minibatch else nn.Identity()
        self.dropout = nn.Dropout(dropout)
        self.projection = SpeakerProjection(dims, channels[-1]) if speaker else None

    def forward(self, x: Tensor, condition: Condition | None = None) -> list[list[Tensor]]:
        """One list: the maps (B, channels, bands, frames) of x (B, F, T), then its logits (B, 1, bands, frames).

        Padding frames of the condition are set to 0, in real and in fake.
        """
        if condition is not None:
            x = keep(x, condition.mask(x.shape[-1]))
        hidden = x[:, None]
        maps = []
        for convolution in self.convolutions:
            hidden = self.dropout(F.leaky_relu(convolution(hidden), 0.2))
            maps.append(hidden)
        logits = self.judge(self.before_logits(hidden))
        if self.projection is not None:
            logits = self.projection(logits, hidden, condition)
        return [[*maps, logits]]
