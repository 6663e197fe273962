"""What the layers of a causal network keep of the steps before a chunk."""

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.streaming import State


class Past:
    """The inputs of causal layers before a chunk, in the order in which the layers ask; zeros before a recording.

    Args:
        state: as :attr:`following` of the chunk before; None for a whole recording.
        again: steps at the end of a chunk that come again with the next one.
    """

    def __init__(self, state: State | None = None, again: int = 0) -> None:
        self._state, self._again, self._asked = state, again, 0
        self.following: State = {}

    def before(self, x: Tensor, reach: int, again: int | None = None) -> Tensor:
        """x (B, C, S) with the ``reach`` steps before it: (B, C, reach + S); ``again`` where it is another number."""
        if self._state is None:
            return F.pad(x, (reach, 0))
        name, self._asked = str(self._asked), self._asked + 1
        kept = x.shape[2] - (self._again if again is None else again)
        x = torch.cat([self._state[name], x], 2)
        self.following[name] = x[..., kept : kept + reach].clone()  # a view would keep the whole chunk in memory
        return x

    def count(self, like: Tensor, modulus: int, again: int) -> Tensor:
        """Numbers (B, S) of the steps of a chunk, like (B, S), from 0 at a recording's start, modulo ``modulus``."""
        steps = like.shape[1]
        numbers = torch.arange(steps, device=like.device).expand(len(like), -1)
        if self._state is None:
            return numbers % modulus
        name, self._asked = str(self._asked), self._asked + 1
        begin = self._state[name][:, 0]
        self.following[name] = ((begin + steps - again) % modulus)[:, None]
        return (numbers + begin.long()) % modulus


def convolved(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """What a convolution without padding gives of x (B, C, T).

    In an export it is a product of matrices: of few steps as fast in ONNX Runtime, and in 8 bits if that is wanted.
    """
    if not torch.compiler.is_exporting():
        return cast(Tensor, conv(x))
    (size,), (distance,) = conv.kernel_size, conv.dilation
    steps = x.shape[2] - (size - 1) * distance
    windows = torch.cat([x.narrow(2, index * distance, steps) for index in range(size)], 1).transpose(1, 2)
    made = windows @ conv.weight.permute(2, 1, 0).flatten(0, 1)
    return (made if conv.bias is None else made + conv.bias).transpose(1, 2)


def nothing_before(like: Tensor, batch: int, layers: Sequence[tuple[int, int]]) -> State:
    """State before the first chunk, with the type and device of ``like``, for layers of (channels, reach)."""
    return {str(index): like.new_zeros(batch, *size) for index, size in enumerate(layers)}
