"""The network of WaveNet: from earlier samples and features to the distribution of each sample."""

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLASSES = 256  # of the mu-law: 8 bits a sample
SILENCE = 128  # the class of 0, which stands before the first sample
TAPS = 5  # of the convolutions over frames


class Layer(nn.Module):
    """One dilated causal convolution of two taps, gated, with its ways to the next layer and out.

    z = tanh(W_f * x + V_f * y) . sigmoid(W_g * x + V_g * y) (van den Oord et al. 2016, equation 2).

    Args:
        width: channels.
        skip: channels of the way out.
        dilation: samples between the two taps.
        last: whether no layer follows.
    """

    def __init__(self, width: int, skip: int, dilation: int, last: bool):
        super().__init__()
        self.dilation = dilation
        self.dilated = nn.Conv1d(width, 2 * width, 2, dilation=dilation, bias=False)  # the condition has a bias
        self.residual = None if last else nn.Conv1d(width, width, 1)
        self.skip = nn.Conv1d(width, skip, 1)

    def forward(self, x: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """What goes to the next layer (B, width, N) and out (B, skip, N), for x and the condition (B, 2 * width, N)."""
        gate, mask = (self.dilated(F.pad(x, (self.dilation, 0))) + condition).chunk(2, dim=1)
        z = gate.tanh() * mask.sigmoid()
        return x if self.residual is None else x + self.residual(z), self.skip(z)


class Network(nn.Module):
    """Logits of every sample's class, from the classes before it and the features around it.

    The features are seen through two convolutions over frames; what each layer takes from them is computed at the
    frame rate and drawn linearly from the middle of one frame to that of the next.

    Args:
        channels: F, of the features.
        width: channels of a layer.
        skip: channels of the way out.
        condition: channels of the convolutions over frames.
        dilations: of the layers, in order.
    """

    def __init__(self, channels: int, *, width: int, skip: int, condition: int, dilations: list[int]):
        super().__init__()
        self.embed = nn.Embedding(CLASSES, width)
        self.frames = nn.Sequential(
            nn.Conv1d(channels, condition, TAPS, padding=TAPS // 2),
            nn.ReLU(),
            nn.Conv1d(condition, condition, TAPS, padding=TAPS // 2),
            nn.ReLU(),
        )
        self.conditions = nn.Conv1d(condition, len(dilations) * 2 * width, 1)
        self.layers = nn.ModuleList(
            Layer(width, skip, dilation, last=index == len(dilations) - 1) for index, dilation in enumerate(dilations)
        )
        self.mix = nn.Conv1d(skip, skip, 1)
        self.leave = nn.Conv1d(skip, CLASSES, 1)

    @property
    def receptive_field(self) -> int:
        """Samples before a sample that have a part in its distribution."""
        return 1 + sum(layer.dilation for layer in self.layers)  # type: ignore[misc]

    def of_frames(self, features: Tensor) -> Tensor:
        """What the layers take from features (B, F, T), at the frame rate: (B, layers * 2 * width, T)."""
        return self.conditions(self.frames(features))

    def forward(self, classes: Tensor, conditions: Tensor) -> Tensor:
        """Logits (B, CLASSES, N) of each sample, given the class of the sample before it (B, N).

        Args:
            classes: (B, N) of the sample before each.
            conditions: (B, layers * 2 * width, T) at the frame rate, or with T = N at the sample rate.
        """
        x, out = self.embed(classes).transpose(1, 2), torch.zeros((), device=classes.device)
        for layer, condition in zip(self.layers, conditions.chunk(len(self.layers), dim=1), strict=True):
            x, skip = layer(x, to_samples(condition, classes.shape[1]))
            out = out + skip
        return self.leave(self.mix(out.relu()).relu())


def to_samples(condition: Tensor, samples: int) -> Tensor:
    """(B, C, T) at the frame rate to (B, C, samples), linearly between the middles of frames and level at the ends."""
    if condition.shape[-1] == samples:
        return condition
    return F.interpolate(condition, samples, mode="linear", align_corners=False)


def before(classes: Tensor) -> Tensor:
    """The class of the sample before each of (B, N); silence before the first."""
    return F.pad(classes[:, :-1], (1, 0), value=SILENCE)
