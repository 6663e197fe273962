"""Limit the memory and operations that building a part from a file may take, before they are taken."""

import contextlib
import itertools
import math
from collections.abc import Iterator
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.torch_internals import without_function_modes

FREE_BYTES = 512 << 20  # over all of the building: windows, filters, and what is computed on the way to them
TIMES = 16  # what the weights themselves take, for their first values and what those are computed from
FREE_OPERATIONS = 4_000
OPERATIONS_PER_WEIGHT = 30
MAKERS = frozenset(  # of tensors from sizes alone
    getattr(torch, name)
    for name in (
        "arange", "bartlett_window", "blackman_window", "empty", "empty_strided", "eye", "full", "hamming_window",
        "hann_window", "kaiser_window", "linspace", "logspace", "normal", "ones", "rand", "randint", "randn",
        "randperm", "tril_indices", "triu_indices", "zeros",
    )
)  # fmt: skip
FREE = frozenset((  # what takes nothing
    "__get__", "__len__", "__set__", "_set_grad_enabled", "as_strided", "chunk", "copy_", "cpu", "data_ptr", "detach",
    "diagonal", "dim", "expand", "expand_as", "is_floating_point", "item", "movedim", "narrow", "numel", "numpy",
    "permute", "size", "split", "squeeze", "stride", "swapaxes", "t", "tolist", "transpose", "unbind", "unflatten",
    "unfold", "uniform_", "unsqueeze", "untyped_storage", "view", "view_as",
))  # fmt: skip
SIZED = frozenset((  # results of the sizes given, beside or instead of those of the arguments
    "interpolate", "new_empty", "new_full", "new_ones", "new_zeros", "one_hot", "repeat", "repeat_interleave", "tile",
))  # fmt: skip
MULTIPLIED = frozenset(("block_diag", "cartesian_prod", "diag", "diag_embed", "diagflat", "ger", "kron", "outer"))
BYTES = 8  # of a number, at most


class BuildLimitError(ConfigurationError):
    """What a file describes would take far more than the weights in it."""


class _Limits(TorchFunctionMode):
    """Counts what operations take while it is active, and stops at the first that would take too much."""

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.operations = FREE_BYTES, FREE_OPERATIONS

    def allow(self, more_bytes: int, more_operations: int) -> None:
        """Raise the limits by so much."""
        self.bytes += more_bytes
        self.operations += more_operations

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """The operation's result, if it is within the limits."""
        kwargs = kwargs or {}
        self.operations -= 1
        if self.operations < 0:
            raise BuildLimitError("it makes many times as many tensors as there are weights in the file")
        count = _bytes_to_come(func, args, kwargs)
        self.bytes -= count
        if self.bytes < 0:
            raise BuildLimitError(
                f"it takes far more memory than the weights in the file (a tensor of {count / 2**20:.0f} MiB more)"
            )
        return func(*args, **kwargs)


_active: ContextVar[_Limits | None] = ContextVar("limits", default=None)


@contextlib.contextmanager
def limited(weight_bytes: int, weights: int) -> Iterator[None]:
    """Stop building that takes far more memory than the weights in the file, before it is taken.

    Within another such block the outer one's limits are raised.

    Args:
        weight_bytes: size of the weights in memory.
        weights: number of tensors.

    Raises:
        BuildLimitError: at the operation that would take too much.
    """
    more = TIMES * weight_bytes, OPERATIONS_PER_WEIGHT * weights
    if (outer := _active.get()) is not None:
        outer.allow(*more)
        yield
        return
    limits = _Limits()
    limits.allow(*more)
    token = _active.set(limits)
    try:
        with limits:
            yield
    finally:
        _active.reset(token)


def allow_more(weight_bytes: int) -> None:
    """Raise the limits for a part whose constructor reads a file of weights of its own.

    Does nothing where no model or part is being built from a file.

    Args:
        weight_bytes: that its weights have in memory, by the size of that file.
    """
    if (limits := _active.get()) is not None:
        limits.allow(TIMES * weight_bytes, FREE_OPERATIONS)


def unlimited() -> contextlib.AbstractContextManager[Any]:
    """A block without limits: for reading weights whose shapes were compared with the module's before."""
    return without_function_modes()


def _bytes_to_come(func: Any, args: Any, kwargs: Any) -> int:
    """How much memory an operation's result takes at most, by the sizes that it is given."""
    name = func.__name__
    if name in FREE or (name.endswith("_") and not name.endswith("__")):  # the latter write into what is there
        return 0
    values = [*_leaves(args), *_leaves(kwargs)]
    if func in MAKERS:
        return BYTES * _spanned(name, values)
    tensors = [value for value in values if isinstance(value, Tensor)]
    together = sum(tensor.numel() for tensor in tensors)
    if name in MULTIPLIED:
        return BYTES * (math.prod(tensor.numel() for tensor in tensors) if len(tensors) > 1 else together**2)
    if name in SIZED:
        return BYTES * max(together, 1) * _spanned(name, values)
    if name == "pad":
        return BYTES * _padded(*args, **kwargs)
    return BYTES * max(together, _broadcast(tensors))


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = value.values()
    elif not isinstance(value, tuple | list):
        yield value
        return
    for item in value:
        yield from _leaves(item)


def _spanned(name: str, values: list[Any]) -> int:
    """Numbers that sizes among the arguments make."""
    sizes = [abs(value) for value in values if isinstance(value, int | float) and not isinstance(value, bool)]
    if name in ("arange", "linspace", "logspace"):
        least = min((size for size in sizes if 0 < size < 1), default=1)  # the step
        return math.ceil(min(sum(sizes) / least, 2**62))
    if name == "eye" and len(sizes) == 1:
        sizes *= 2
    return math.ceil(min(math.prod(size for size in sizes if size > 1), 2**62))


def _padded(tensor: Tensor, pad: Any, *_: Any, **__: Any) -> int:
    shape = list(tensor.shape)
    for axis, (left, right) in enumerate(zip(pad[::2], pad[1::2], strict=True), 1):
        shape[-axis] += left + right
    return math.prod(shape)


def _broadcast(tensors: list[Tensor]) -> int:
    """Numbers of what arises where axes of one are laid beside those of another."""
    if len(tensors) < 2:
        return 0
    rows = itertools.zip_longest(*(reversed(tensor.shape) for tensor in tensors), fillvalue=1)
    return math.prod(max(row) for row in rows)
