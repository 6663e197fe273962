"""Styles of recordings: a vector of learned tokens, without any label."""

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.core.interfaces import StyleEncoder
from lightning_voiceclone.core.masking import keep, masked_mean_and_deviation, pad_to_multiple, reach_mask
from lightning_voiceclone.core.validation import check_odd, check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.prosody import median_f0
from lightning_voiceclone.networks.layers.convnext import ConvNeXtBlock

# Rough mean and standard deviation in speech of each track: octaves, whether voiced, voicing, energy, change.
USUAL = ((0.0, 0.2), (0.5, 0.5), (0.5, 0.4), (0.0, 1.0), (0.4, 0.3))


class GlobalStyleTokens(StyleEncoder):
    """The style of a recording as a mean of learned tokens (Wang et al. 2018, global style tokens).

    A reference encoder makes a query of the recording's prosody; attention over the tokens makes the style of it:
    for each head, softmax(q k / sqrt(d)) over the keys of the tokens, and the mean of tanh(tokens) by these weights.
    Nothing but the losses of the text encoder says what a token stands for. The few tokens are what keeps words out.
    Other than in the paper, the mean of all tokens is subtracted: equal shares give zeros, and training cannot use the
    tokens for what all recordings have in common, after which attention hardly learns.

    The reference encoder takes, frame by frame, f0 over the recording's own median, whether there is any, voicing,
    energy, and how fast the content changes, by which it knows the tempo. So neither who speaks nor how high the voice
    is decides the style, and a recording of anyone gives it. The paper's takes mel bands, of one speaker.

    Args:
        channels: S, numbers of the style vector; a multiple of ``heads``.
        tokens: that are learned.
        heads: of the attention.
        width: channels of the reference encoder.
        layers: its blocks.
        kernel_size: steps that each convolution sees; odd.
        stride: frames of a step.

    Raises:
        ConfigurationError: if a number is out of range.
    """

    def __init__(
        self,
        *,
        channels: int = 128,
        tokens: int = 10,
        heads: int = 4,
        width: int = 64,
        layers: int = 3,
        kernel_size: int = 5,
        stride: int = 4,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, channels=channels, tokens=tokens, heads=heads, width=width, layers=layers, stride=stride)
        check_odd(name, kernel_size=kernel_size)
        if channels % heads:
            raise ConfigurationError(f"{name}: channels is {channels}; it must be a multiple of heads, {heads}")
        self.channels, self.heads, self.stride = channels, heads, stride
        self.embed = nn.Linear(len(USUAL) * stride, width)
        self.blocks = nn.ModuleList(ConvNeXtBlock(width, 2 * width, kernel_size, 1 / layers) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(2 * width, channels)
        self.tokens = nn.Parameter(torch.randn(tokens, channels))
        self.key = nn.Linear(channels, channels, bias=False)
        for layer in (self.query, self.key):  # with torch's own, all tokens have nearly the same share at first
            nn.init.orthogonal_(layer.weight)

    def forward(self, x: Script) -> Tensor:
        """Style vectors (B, S) of scripts."""
        values = self.tokens.tanh()
        values = (values - values.mean(0)).unflatten(1, (self.heads, -1))
        return torch.einsum("bhk,khd->bhd", self.attention(x), values).flatten(1)

    def attention(self, x: Script) -> Tensor:
        """Share (B, heads, K) of each of the K tokens in the style of scripts."""
        query = self.query(self._pooled(x)).unflatten(1, (self.heads, -1))
        keys = self.key(self.tokens.tanh()).unflatten(1, (self.heads, -1))
        return (torch.einsum("bhd,khd->bhk", query, keys) / query.shape[2] ** 0.5).softmax(2)

    def _pooled(self, script: Script) -> Tensor:
        """Mean and standard deviation (B, 2 * width) over time of what the reference encoder makes of scripts."""
        tracks = pad_to_multiple(_tracks(script), self.stride)
        steps = (script.lengths + self.stride - 1) // self.stride
        x = self.embed(tracks.unflatten(2, (-1, self.stride)).permute(0, 2, 1, 3).flatten(2))
        mask = reach_mask(steps, x.shape[1]).transpose(1, 2).to(x.dtype)
        for block in self.blocks:
            x = block(x, mask)
        return torch.cat(masked_mean_and_deviation(self.norm(x).transpose(1, 2), mask.transpose(1, 2)), 1)


def _tracks(script: Script) -> Tensor:
    """Prosody (B, 5, T), 0 after the real frames: octaves over the median f0, whether there is f0, voicing, energy, and
    the mean absolute change of the content. A track that the script lacks is 0.
    """
    content, real = script.content, reach_mask(script.lengths, script.content.shape[2])
    nothing = content.new_zeros(len(content), content.shape[2])
    f0 = nothing if script.f0 is None else keep(script.f0[:, None], real)[:, 0]
    voiced = f0 > 0
    octaves = torch.where(voiced, f0.clamp_min(1).log2() - median_f0(f0).nan_to_num(1.0).log2()[:, None], 0.0)
    change = nothing
    if content.shape[1] and content.shape[2] > 1:
        steps = (content[..., 1:] - content[..., :-1]).abs().mean(1)
        change = torch.cat([nothing[:, :1], steps], 1)
    beside = [nothing if track is None else track for track in (script.voicing, script.energy)]
    tracks = torch.stack([octaves, voiced.to(content.dtype), *beside, change], 1)
    mean, deviation = torch.tensor(USUAL, dtype=tracks.dtype, device=tracks.device).T[:, :, None]
    return keep((tracks - mean) / deviation, real)
