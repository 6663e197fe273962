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

    def before(self, x: Tensor, reach: int, again: int | None = None, dim: int = 2) -> Tensor:
        """x with the ``reach`` steps before it on its axis ``dim``; ``again`` where it is another number.

        x is (B, C, S), or (B, S, C) where ``dim`` is 1. The state is (B, reach, C), so that whole steps are copied.
        """
        if self._state is None:
            return F.pad(x, (reach, 0) if dim == 2 else (0, 0, reach, 0))
        name, self._asked = str(self._asked), self._asked + 1
        kept = x.shape[dim] - (self._again if again is None else again)
        x = torch.cat([self._state[name], x if dim == 1 else x.transpose(1, 2)], 1)
        self.following[name] = x[:, kept : kept + reach].clone()  # a view would keep the whole chunk in memory
        return x if dim == 1 else x.transpose(1, 2)

    def count(self, like: Tensor, modulus: int, again: int) -> Tensor:
        """Numbers (B, S) of the steps of a chunk, like (B, S), from 0 at a recording's start, modulo ``modulus``."""
        steps = like.shape[1]
        numbers = torch.arange(steps, device=like.device).expand(len(like), -1)
        if self._state is None:
            return numbers % modulus
        name, self._asked = str(self._asked), self._asked + 1
        begin = self._state[name][:, 0].long()
        self.following[name] = ((begin + steps - again) % modulus)[:, None].to(self._state[name].dtype)
        return (numbers + begin) % modulus


def convolved(conv: nn.Conv1d, x: Tensor) -> Tensor:
    """What a convolution gives of x (B, C, T), without its padding; a stride divides its kernel and T.

    In an export it is a product of matrices: of few steps as fast in ONNX Runtime, and in 8 bits if that is wanted.
    """
    if not torch.compiler.is_exporting():
        bare = conv.padding == (0,)
        return cast(Tensor, conv(x)) if bare else F.conv1d(x, conv.weight, conv.bias, conv.stride, 0, conv.dilation)
    (size,), (distance,), (stride,) = conv.kernel_size, conv.dilation, conv.stride
    x = x.transpose(1, 2)
    if stride > 1:  # a slice with a step cannot be exported at an open length
        x, size = x.unflatten(1, (-1, stride)).flatten(2), size // stride
    rows = x if size == 1 else windows(x, size, distance).flatten(2)
    made = rows @ conv.weight.permute(2, 1, 0).flatten(0, 1)
    return (made if conv.bias is None else made + conv.bias).transpose(1, 2)


def windows(x: Tensor, size: int, distance: int = 1) -> Tensor:
    """The ``size`` rows, ``distance`` apart, that each step of a convolution sees of x (B, T, C): (B, S, size, C).

    For exports: one operation, where a slice for each row would take several.
    """
    steps = x.shape[1] - (size - 1) * distance
    rows = torch.arange(steps, device=x.device)[:, None] + distance * torch.arange(size, device=x.device)
    return x.index_select(1, rows.flatten()).unflatten(1, (-1, size))


def nothing_before(like: Tensor, batch: int, layers: Sequence[tuple[int, int]]) -> State:
    """State before the first chunk, with the type and device of ``like``, for layers of (channels, reach)."""
    return {str(index): like.new_zeros(batch, reach, channels) for index, (channels, reach) in enumerate(layers)}
