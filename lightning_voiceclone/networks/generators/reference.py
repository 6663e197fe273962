"""A generator that attends to the frames of the reference."""

import math
from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.masking import keep, pad_to_multiple, reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import State
from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.generators.conv import ConvGenerator, to_steps
from lightning_voiceclone.networks.layers.channel_norm import ChannelNorm
from lightning_voiceclone.networks.layers.frame_inputs import promised
from lightning_voiceclone.networks.layers.initialization import begin_small

SHARPNESS = (4.0, 8.0, 16.0, 32.0)  # initial values of the heads: factors of the cosine of the contents
OWN, SHARED = ("key", "value"), ("content", "mask")  # of what ReferenceAttention.reference gives: by layer, and of all
QUERIES = 512  # steps that are looked up at once, so that memory does not grow with length times length


class ReferenceAttention(nn.Module):
    """Attention to the frames of the reference, by the similarity of their content to the source's.

    The scores of a head are its sharpness times the cosine of the source's and the reference's content, which before
    any training finds the frames that retrieval (kNN-VC, Baas et al. 2023) would find, plus query . key /
    sqrt(head_width) (Vaswani et al. 2017), which can depend on pitch and level. Its values are the reference's frames.
    The output also holds the attention-weighted cosine of the frames found.

    Args:
        dims: widths; ``dims.content`` must not be 0.
        width: channels of the generator.
        frames_per_step: of the generator.
        heads: number of attention heads.
        head_width: channels of a query, a key and a value.
    """

    def __init__(self, dims: Dims, width: int, *, frames_per_step: int, heads: int, head_width: int):
        super().__init__()
        self.dims, self.frames_per_step, self.heads = dims, frames_per_step, heads
        frames = dims.features * frames_per_step
        self.sharpness = nn.Parameter(torch.tensor([math.log(SHARPNESS[h % len(SHARPNESS)]) for h in range(heads)]))
        self.norm = ChannelNorm(width)
        self.query = nn.Linear(width, heads * head_width)
        self.key = nn.Linear(dims.content + frames, heads * head_width)
        self.value = nn.Linear(frames, heads * head_width)
        self.out = nn.Linear(heads * (head_width + 1), width)
        begin_small(self.query)  # at first the cosine of the contents alone decides

    def forward(self, x: Tensor, condition: Condition, reference: Sequence[Tensor] | None = None) -> Tensor:
        """What is found for each step of x (B, width, steps), of the same shape; ``reference`` of :meth:`reference`."""
        said = self._content(promised(condition, "content", 3, self.dims.content), condition.lengths)
        key, value, there, mask = reference or self.reference(condition)
        query = self._heads(self.query(self.norm(x).transpose(1, 2)))
        if torch.compiler.is_exporting():  # at an open length there can be no loop over it
            parts = [slice(None)]
        else:
            parts = [slice(start, start + QUERIES) for start in range(0, x.shape[2], QUERIES)]
        found = [self._look_up(query[:, :, part], said[:, part], key, value, there, mask) for part in parts]
        return self.out(torch.cat(found, 1)).transpose(1, 2)

    def reference(self, condition: Condition) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Keys, values, content and mask of the R steps of the reference: all that does not depend on the source.

        Each as it is multiplied: keys over sqrt(head_width) (B, heads, head_width, R), values (B, heads, R,
        head_width), content (B, C, R), and the mask (B, 1, R).
        """
        lengths = promised(condition, "reference_lengths", 1)
        there = self._content(promised(condition, "reference_content", 3, self.dims.content), lengths)
        frames = promised(condition, "reference_frames", 3).transpose(1, 2)
        frames = keep(frames, reach_mask(lengths, frames.shape[2]))
        frames = to_steps(frames, self.frames_per_step).transpose(1, 2)
        mask = reach_mask((lengths + self.frames_per_step - 1) // self.frames_per_step, frames.shape[1])
        key = self._heads(self.key(torch.cat([there, frames], 2))).transpose(2, 3)
        key = key / key.shape[2] ** 0.5
        made = key, self._heads(self.value(frames)), there.transpose(1, 2)
        return *(value.contiguous() for value in made), mask  # type: ignore[return-value]

    def _look_up(self, query: Tensor, said: Tensor, key: Tensor, value: Tensor, there: Tensor, mask: Tensor) -> Tensor:
        """(B, steps, heads * (head_width + 1)): values and likeness, each weighed."""
        likeness = (said @ there)[:, None]
        scores = likeness * self.sharpness.exp()[:, None, None] + query @ key
        weights = scores.masked_fill(~mask[:, None], -math.inf).softmax(3)
        found = torch.cat([weights @ value, (weights * likeness).sum(3, keepdim=True)], 3)
        return found.transpose(1, 2).flatten(2)

    def _content(self, content: Tensor, lengths: Tensor) -> Tensor:
        """(B, steps, C) of unit length, of content (B, C, T) of which ``lengths`` (B,) frames are real."""
        content = keep(content, reach_mask(lengths, content.shape[2]))
        frames = pad_to_multiple(content, self.frames_per_step)
        return F.normalize(frames.unflatten(2, (-1, self.frames_per_step)).mean(3).transpose(1, 2), dim=2)

    def _heads(self, x: Tensor) -> Tensor:
        return x.unflatten(2, (self.heads, -1)).transpose(1, 2)


class ReferenceGenerator(ConvGenerator):
    """ConvGenerator with attention to reference frames of similar content at each step.

    The reference's frames supply what the speaker embedding cannot hold: each step attends to those whose content is
    nearest to its own. Longer or several references have more to find. The context is the whole reference; in the
    source it is finite, as ConvGenerator's.

    Args:
        dims: widths of the inputs and of the features. Without content there is nothing to attend by, and this is a
            ConvGenerator.
        width: channels inside.
        layers: residual blocks.
        kernel_size: steps that a convolution sees; odd.
        dilations: distances between those steps, one a block, taken in turn from the first again.
        frames_per_step: frames that a step reads and emits.
        dropout: share of the numbers dropped in training.
        heads: number of attention heads, each with its own scores.
        head_width: channels of a head's output.
        causal: as of ConvGenerator.
        look_up: blocks before which attention is computed; the first is 0. An empty list makes a ConvGenerator.

    Raises:
        ConfigurationError: if a number is out of range or dims promise no input.
    """

    def __init__(
        self,
        dims: Dims,
        *,
        width: int = 192,
        layers: int = 6,
        kernel_size: int = 5,
        dilations: tuple[int, ...] = (1, 2, 4),
        frames_per_step: int = 2,
        dropout: float = 0.0,
        causal: bool = False,
        heads: int = 4,
        head_width: int = 64,
        look_up: tuple[int, ...] = (1,),
    ):
        super().__init__(dims, width=width, layers=layers, kernel_size=kernel_size, dilations=dilations,
                         frames_per_step=frames_per_step, dropout=dropout, causal=causal)  # fmt: skip
        check_positive(type(self).__name__, heads=heads, head_width=head_width)
        if bad := [index for index in look_up if not 0 <= index < layers]:
            raise ConfigurationError(
                f"{type(self).__name__}: look_up has {bad[0]}, but there are the blocks 0 to {layers - 1}; name some of"
                " those"
            )
        self.attention = nn.ModuleDict()
        if dims.content and look_up:
            self.needs |= {"reference_frames", "reference_content", "reference_lengths"}
            for index in look_up:
                self.attention[str(index)] = ReferenceAttention(
                    dims, width, frames_per_step=frames_per_step, heads=heads, head_width=head_width
                )

    def _add_nothing(self, index: int) -> None:
        super()._add_nothing(index)
        if str(index) in self.attention:
            attention = self.attention[str(index)]
            assert isinstance(attention, ReferenceAttention)
            nn.init.zeros_(attention.out.weight)
            nn.init.zeros_(attention.out.bias)

    def encode_reference(self, condition: Condition) -> State:
        """Keys and values of the reference for each attention, and its content and mask for all."""
        made: State = {}
        for index, attention in self.attention.items():
            key, value, content, mask = cast(ReferenceAttention, attention).reference(condition)
            made |= {f"{index}.key": key, f"{index}.value": value, "content": content, "mask": mask}
        return made

    def _before_block(self, index: int, x: Tensor, condition: Condition, encoded: State) -> Tensor:
        if str(index) not in self.attention:
            return x
        names = [*(f"{index}.{name}" for name in OWN), *SHARED]
        known = [encoded[name] for name in names if name in encoded]
        return x + self.attention[str(index)](x, condition, known or None)
