"""A convolutional generator: residual dilated convolutions over time."""

from typing import cast

from einops import rearrange
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.masking import cut, pad_to_multiple, reach_mask
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.core.streaming import Context, State
from lightning_voiceclone.core.validation import check_odd, check_positive
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.layers.channel_norm import ChannelNorm
from lightning_voiceclone.networks.layers.film import SpeakerModulation
from lightning_voiceclone.networks.layers.frame_inputs import FrameInputs, needed_fields
from lightning_voiceclone.networks.layers.initialization import begin_small
from lightning_voiceclone.networks.layers.past import Past, convolved, nothing_before
from lightning_voiceclone.networks.layers.residual import ResidualBlock, cycle_dilations


def to_steps(x: Tensor, frames_per_step: int) -> Tensor:
    """(B, I, T) to (B, I * frames_per_step, steps), padded with zeros to whole steps."""
    return rearrange(pad_to_multiple(x, frames_per_step), "b c (s f) -> b (f c) s", f=frames_per_step)


class ConvGenerator(Generator):
    """Residual dilated convolutions over time, modulated by the speaker (FiLM, Perez et al. 2018) in each block.

    Runs at ``dims.frame_rate / frames_per_step`` steps a second and emits ``frames_per_step`` frames a step, which
    costs that many times less. The context is finite, with a grid of ``frames_per_step`` frames.

    Args:
        dims: widths of the inputs and of the features.
        width: channels inside.
        layers: residual blocks.
        kernel_size: steps that a convolution sees; odd.
        dilations: distances between those steps, one a block, taken in turn from the first again.
        frames_per_step: frames that a step reads and emits.
        dropout: share of the numbers dropped in training.
        causal: for live use: all convolutions see the past alone, as far back as they see to both sides otherwise; so
            weights of a generator that is not causal can be those that training begins with. A chunk then costs no
            more than its own steps.

    Raises:
        ConfigurationError: if a number is out of range or dims promise no input.
    """

    capabilities = frozenset({"exportable", "streamable"})

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
    ):
        super().__init__()
        name = type(self).__name__
        check_positive(name, width=width, layers=layers, frames_per_step=frames_per_step)
        check_odd(name, kernel_size=kernel_size)
        cycle = cycle_dilations(name, dilations, layers)
        self.needs = needed_fields(dims)
        self.frames_per_step, self.causal = frames_per_step, causal
        self.inputs = FrameInputs(dims)
        reach = kernel_size // 2
        padding = 0 if causal else reach
        self.enter = nn.Conv1d(self.inputs.channels * frames_per_step, width, kernel_size, padding=padding)
        self.blocks = nn.ModuleList(
            ResidualBlock(dims, width, kernel_size=kernel_size, dilation=step, dropout=dropout, causal=causal)
            for step in cycle
        )
        self.depth = layers  # blocks in use
        self.norm = ChannelNorm(width)
        self.modulation = SpeakerModulation(dims, width)
        self.leave = nn.Conv1d(width, dims.features * frames_per_step, 1)
        begin_small(self.leave)
        # The last frame of a step sees the whole of the steps on its left, the first one those on its right.
        frames = reach * (1 + sum(cycle)) * frames_per_step + frames_per_step - 1
        left, right = (2 * frames, 0) if causal else (frames, frames)
        self.context = Context(left, right, frames_per_step)

    def init_state(self, batch: int) -> State | None:
        """Of a causal generator: zeros as the inputs of the convolutions before."""
        if not self.causal:
            return None
        reach = self.enter.kernel_size[0] - 1
        blocks = [cast(ResidualBlock, block) for block in self.blocks[: self.depth]]
        sizes = [(block.dilated.in_channels, 2 * block.reach) for block in blocks]
        return nothing_before(self.enter.weight, batch, [(self.enter.in_channels, reach), *sizes])

    def forward_chunk(self, x: Condition, state: State, ahead: int = 0) -> tuple[Tensor, State]:
        """Features (B, F, T) of the condition's next T frames, and the next state.

        T is a multiple of ``frames_per_step``, but for a recording's last chunk.
        """
        past = Past(state)
        return self._features(x, past, state), past.following

    def forward(self, condition: Condition) -> Tensor:
        """Features (B, F, T)."""
        return self._features(condition, Past(), {})

    def _features(self, condition: Condition, past: Past, encoded: State) -> Tensor:
        x = self.inputs(condition)
        frames = x.shape[-1]
        x = to_steps(x, self.frames_per_step)
        steps = (condition.lengths + self.frames_per_step - 1) // self.frames_per_step
        mask = reach_mask(steps, x.shape[-1])
        x = convolved(self.enter, past.before(x, self.enter.kernel_size[0] - 1)) if self.causal else self.enter(x)
        for index, block in zip(range(self.depth), self.blocks, strict=False):
            x = block(self._before_block(index, x, condition, encoded), mask, condition, past)
        x = F.silu(self.modulation(self.norm(x), condition))
        x = convolved(self.leave, x) if self.causal else self.leave(x)
        return cut(self._to_frames(x), frames)

    def use_depth(self, depth: int, *, fresh: bool = False) -> None:
        """As of all generators; a block that adds nothing yet is skipped, which costs nothing."""
        if not 1 <= depth <= len(self.blocks):
            raise ConfigurationError(
                f"model.depth is {depth}, but {type(self).__name__} has {len(self.blocks)} blocks; give a number from 1"
                f" to {len(self.blocks)}, or set layers"
            )
        self.depth = depth
        for index in range(depth, len(self.blocks)) if fresh else ():
            self._add_nothing(index)

    def _add_nothing(self, index: int) -> None:
        """Let the block of that index, and what is before it, begin as the identity."""
        block = self.blocks[index]
        assert isinstance(block, ResidualBlock)
        block.add_nothing()

    def _before_block(self, index: int, x: Tensor, condition: Condition, encoded: State) -> Tensor:
        """Input of the block of that index, from x (B, width, steps): here x itself."""
        return x

    def _to_frames(self, x: Tensor) -> Tensor:
        """(B, F * frames_per_step, steps) to (B, F, steps * frames_per_step)."""
        return rearrange(x, "b (f c) s -> b c (s f)", f=self.frames_per_step)
