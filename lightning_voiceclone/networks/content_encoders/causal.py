"""A content encoder for live use: Whisper's first blocks, attending only to the past."""

import math
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.checkpoints.external_weights import all_weights
from lightning_voiceclone.checkpoints.part_folder import load_pretrained
from lightning_voiceclone.core.interfaces import ContentEncoder
from lightning_voiceclone.core.masking import cut, keep, pad_to_multiple, reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context, State
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.content_encoders.transformer import (
    TO_WHISPER_SCALE,
    TO_WHISPER_SHIFT,
    TransformerContentEncoder,
)
from lightning_voiceclone.networks.content_encoders.whisper import HEAD_WIDTH, WhisperBlock
from lightning_voiceclone.networks.layers.past import convolved

BEFORE, AHEAD = 4, 2  # frames of the convolutions' context, of the later and of the earlier of a step's two
QUERIES = 256  # steps that attend at once, so that memory does not grow with length times length


class CausalBlock(WhisperBlock):
    """A block of Whisper's that attends to the ``past`` steps before each and to the step itself.

    Instead of positions, the scores of a head have a bias for each distance, which begins as ALiBi's (Press et al.
    2022) and is trained.

    Args:
        width: channels; a multiple of 64, the width of a head.
        hidden: channels between the two dense layers.
        past: steps before.
    """

    def __init__(self, width: int, hidden: int, past: int):
        super().__init__(width, hidden)
        self.past = past
        slopes = 2.0 ** (-8 * torch.arange(1, self.heads + 1) / self.heads)
        self.bias = nn.Parameter(-slopes[:, None] * torch.arange(past + 1))  # by head and distance

    def attend(self, x: Tensor, keys: Tensor, values: Tensor, known: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Attend from x to itself and to what was before.

        Args:
            x: (B, S, C).
            keys: (B, heads, past, C / heads) of the steps before.
            values: likewise.
            known: (B, past + S), whether each step, of those before and of x, is real.

        Returns:
            x with attention and dense layers (B, S, C), and the keys and values of all steps (B, heads, past + S,
            C / heads).
        """
        joint = self.joint(self.attention_norm(x)).chunk(3, 2)
        query, key, value = (part.unflatten(2, (self.heads, -1)).transpose(1, 2) for part in joint)
        keys, values = torch.cat([keys, key], 2), torch.cat([values, value], 2)
        x = x + self.out(self._found(query, keys, values, known))
        return x + self.contract(F.gelu(self.expand(self.dense_norm(x)))), keys, values

    def _found(self, query: Tensor, keys: Tensor, values: Tensor, known: Tensor) -> Tensor:
        """(B, S, C) of queries at the last S steps: of some at a time, but in an export, at an open length, of all."""
        if torch.compiler.is_exporting():
            return self._some(query, keys, values, known)
        parts = []
        for start in range(0, query.shape[2], QUERIES):
            end = start + QUERIES
            key, value = (whole[:, :, start : end + self.past] for whole in (keys, values))
            parts.append(self._some(query[:, :, start:end], key, value, known[:, start : end + self.past]))
        return torch.cat(parts, 1)

    def _some(self, query: Tensor, key: Tensor, value: Tensor, known: Tensor) -> Tensor:
        """(B, S, C) of queries (B, heads, S, C / heads) at the last S of the keys' steps."""
        here = torch.arange(query.shape[2], device=query.device) + self.past
        distance = here[:, None] - torch.arange(key.shape[2], device=query.device)
        within = (distance >= 0) & (distance <= self.past)
        # A step that is only padding sees itself, so that it gives finite numbers.
        seen = (within & known[:, None]) | (distance == 0)
        away = distance.clamp(0, self.past)
        if not torch.compiler.is_exporting():
            bias = self.bias[:, away].masked_fill(~seen[:, None], -math.inf)
            return F.scaled_dot_product_attention(query, key, value, bias).transpose(1, 2).flatten(2)
        # The same in fewer operations, and without scaling the keys.
        bias = self.bias.index_select(1, away.flatten()).unflatten(1, away.shape).masked_fill(~seen[:, None], -math.inf)
        weights = ((query / math.sqrt(query.shape[3])) @ key.transpose(2, 3) + bias).softmax(3)
        return (weights @ value).transpose(1, 2).flatten(2)


class CausalContentEncoder(ContentEncoder):
    """Content at half the features' rate, two frames of which are looked ahead: 20 ms at 100 frames a second.

    Meant for live use: trained to give the content of a :class:`TransformerContentEncoder` that sees the future
    (``recipes/content_live.yaml``), so that one generator serves both. It begins with that encoder's weights, or
    Whisper's. A chunk costs no more than its own steps, since the keys and values of those before are its state.

    The input is features in the extractor's own units: mel bands of natural logarithms.

    Args:
        dims: widths; ``dims.features`` is F.
        channels: C, the width of the output.
        width: channels inside; a multiple of 64, the width of a head.
        hidden: channels between the two dense layers of a block.
        layers: blocks.
        past: steps of 2 frames before each that a block attends to.
        repeat: give each step's content twice, at the features' rate. Otherwise content at their rate is interpolated
            between two steps, and waits for the later one. It changes no weights.
        start: weights to begin from, of a TransformerContentEncoder of the same sizes, as its ``pretrained``; null for
            fresh ones.
        pretrained: folder or checkpoint of a trained one, or none for fresh weights; frozen, unless ``finetune``.
        finetune: train the pretrained weights further.

    Raises:
        ConfigurationError: if a number is out of range, or the weights have other settings.
    """

    capabilities = frozenset({"exportable", "streamable"})
    normalized = False

    def __init__(
        self,
        dims: Dims,
        *,
        channels: int = 192,
        width: int = 384,
        hidden: int = 1536,
        layers: int = 4,
        past: int = 96,
        repeat: bool = False,
        start: str | None = None,
        pretrained: str | None = None,
        finetune: bool = False,
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, channels=channels, width=width, hidden=hidden, layers=layers, past=past)
        if width % HEAD_WIDTH:
            raise ConfigurationError(f"{name}: width is {width}; it must be a multiple of {HEAD_WIDTH}")
        self.channels, self.width, self.past, self.repeat = channels, width, past, repeat
        self.frame_rate = dims.frame_rate if repeat else dims.frame_rate / 2
        self.context = Context(2 * layers * past + BEFORE, AHEAD, 2)
        self.first = nn.Conv1d(dims.features, width, 3)
        self.second = nn.Conv1d(width, width, 4, stride=2, padding=1)
        self.blocks = nn.ModuleList(CausalBlock(width, hidden, past) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, channels)
        if start is not None and pretrained in (None, "none"):
            self._begin_with(TransformerContentEncoder(
                dims, channels=channels, width=width, hidden=hidden, layers=layers, pretrained=start))  # fmt: skip
        load_pretrained(self, pretrained, trainable=finetune)

    def forward(self, x: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Content (B, C, ceil(T / 2)), or (B, C, T), of features (B, F, T); 0 in the padding, L2 norm sqrt(C)."""
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[2], device=x.device)
        mask = reach_mask(lengths, x.shape[2])
        frames = x.shape[2]
        x = F.gelu(self.first(F.pad(keep(self._scaled(x), mask), (2, 0))))
        x = F.gelu(self.second(pad_to_multiple(keep(x, mask), 2))).transpose(1, 2)
        real = reach_mask((lengths + 1) // 2, x.shape[1])[:, 0]
        nothing = self._nothing(x)
        known = torch.cat([torch.zeros_like(nothing[:, 0, :, 0], dtype=torch.bool), real], 1)
        for block in self.blocks:
            x, _, _ = cast(CausalBlock, block).attend(x, nothing, nothing, known)
        return self._at_rate(keep(self._left(x), real[:, None]), frames)

    def init_state(self, batch: int) -> State:
        """Nothing before: the last frames of both convolutions' inputs, and keys and values of each block."""
        weight = self.first.weight
        nothing = self._nothing(weight.new_zeros(batch))
        state = {
            "features": weight.new_zeros(batch, weight.shape[1], 2),
            "middle": weight.new_zeros(batch, self.width, 1),
            "known": weight.new_zeros(batch, self.past, dtype=torch.bool),
        }
        for index in range(len(self.blocks)):
            state |= {f"keys.{index}": nothing.clone(), f"values.{index}": nothing.clone()}
        return state

    def forward_chunk(self, x: Tensor, state: State, ahead: int = 0) -> tuple[Tensor, State]:
        """Content, as of :meth:`forward`, of the next T features, without the ``ahead`` after them, and the next state.

        T is even, but for a recording's last chunk.
        """
        frames, there = x.shape[2] - ahead, x.shape[2]
        x = torch.cat([state["features"], self._scaled(x)], 2)
        following = {"features": x[..., frames : frames + 2]}
        # The first convolution's output for the chunk and the frame after it; beyond the recording's end it is 0.
        middle = F.gelu(self.first(x))[..., : frames + 1]
        middle = F.pad(middle, (0, max(frames + 1 - there, 0)))
        following["middle"] = middle[..., frames - 1 : frames]
        whole = F.pad(torch.cat([state["middle"], middle], 2), (0, frames % 2))
        steps = F.gelu(convolved(self.second, whole)).transpose(1, 2)
        known = torch.cat([state["known"], torch.ones_like(steps[..., 0], dtype=torch.bool)], 1)
        following["known"] = known[:, -self.past :]
        for index, block in enumerate(self.blocks):
            cached = state[f"keys.{index}"], state[f"values.{index}"]
            steps, keys, values = cast(CausalBlock, block).attend(steps, *cached, known)
            following |= {f"keys.{index}": keys[:, :, -self.past :], f"values.{index}": values[:, :, -self.past :]}
        kept = {name: value.clone() for name, value in following.items()}  # views would keep the whole chunk in memory
        return self._at_rate(self._left(steps), frames), kept

    def _nothing(self, x: Tensor) -> Tensor:
        """Keys or values (B, heads, past, width of a head) before a recording, for as many rows as x has."""
        return x.new_zeros(len(x), self.width // HEAD_WIDTH, self.past, HEAD_WIDTH)

    def _at_rate(self, content: Tensor, frames: int) -> Tensor:
        return cut(content.repeat_interleave(2, 2), frames) if self.repeat else content

    def _scaled(self, x: Tensor) -> Tensor:
        return TO_WHISPER_SCALE * x + TO_WHISPER_SHIFT

    def _left(self, x: Tensor) -> Tensor:
        """Content (B, C, S) of the blocks' output (B, S, width)."""
        return F.layer_norm(self.leave(self.norm(x)), (self.channels,)).transpose(1, 2)

    def _begin_with(self, other: TransformerContentEncoder) -> None:
        """Copy the weights of one that sees the future, all but its positions."""
        own = self.state_dict()
        self.load_state_dict({name: value for name, value in all_weights(other).items() if name in own}, strict=False)
