"""A content encoder that removes the speaker by instance normalisation over time."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.interfaces import ContentEncoder
from lightning_voiceclone.core.masking import keep, masked_mean_and_deviation, reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.validation import check_odd, check_positive
from lightning_voiceclone.errors import ConfigurationError


def instance_norm(x: Tensor, mask: Tensor) -> Tensor:
    """Each channel of x (B, C, T) with zero mean and unit variance over the real frames; 0 in the padding.

    (x - mean) / deviation, without learned scale (Ulyanov et al. 2016; in AdaIN-VC, Chou et al. 2019, equation 2).
    """
    mean, deviation = masked_mean_and_deviation(x, mask)
    return keep((x - mean[:, :, None]) / deviation[:, :, None], mask)


class InstanceNormContentEncoder(ContentEncoder):
    """Content from features: instance normalisation removes what is constant over time, the speaker's voice.

    After AdaIN-VC (Chou et al. 2019) and AGAIN-VC (Chen et al. 2021): bands and hidden channels are normalised over
    the utterance, without learned scale, and the output is narrow, so that little of the voice passes. Context is
    the whole utterance. The output has ceil(T / stride) frames; each channel has zero mean and unit variance.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: C, the width of the bottleneck.
        width: channels inside.
        layers: convolutions after the first.
        kernel_size: frames that a convolution sees; odd.
        stride: frames of features to one of content.
        guidance: the output is sigmoid(guidance * content), from 0 to 1: AGAIN-VC's activation guidance, there 0.1;
            null for none.

    Raises:
        ConfigurationError: if a number is out of range.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        channels: int = 64,
        width: int = 192,
        layers: int = 4,
        kernel_size: int = 5,
        stride: int = 2,
        guidance: float | None = None,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, channels=channels, width=width, layers=layers, stride=stride)
        check_odd(name, kernel_size=kernel_size)
        if guidance is not None and guidance <= 0:
            raise ConfigurationError(f"{name}: guidance is {guidance}; it must be above 0 (0.1, say), or null for none")
        self.channels = channels
        self.frame_rate = dims.frame_rate / stride
        self.stride = stride
        self.guidance = guidance
        reach = kernel_size // 2
        self.enter = nn.Conv1d(dims.features, width, kernel_size, stride=stride, padding=reach)
        self.hidden = nn.ModuleList(nn.Conv1d(width, width, kernel_size, padding=reach) for _ in range(layers))
        # No bias: the normalisation that follows would remove it.
        self.leave = nn.Conv1d(width, channels, 1, bias=False)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, ceil(T / stride)) of features (B, F, T); 0 in the padding."""
        if lengths is None:
            lengths = torch.full((x.shape[0],), x.shape[-1], device=x.device)
        x = self.enter(instance_norm(x, reach_mask(lengths, x.shape[-1])))
        mask = reach_mask((lengths + self.stride - 1) // self.stride, x.shape[-1])
        for convolution in self.hidden:
            x = x + convolution(F.relu(instance_norm(x, mask)))
        content = instance_norm(self.leave(F.relu(instance_norm(x, mask))), mask)
        if self.guidance is not None:
            content = keep(torch.sigmoid(self.guidance * content), mask)
        return content
