"""Quantise weights for storage; they are read back in single precision."""

from collections.abc import Mapping
from typing import Literal, get_args

import torch
from torch import Tensor

from lightning_voiceclone.errors import ConfigurationError, NotFiniteError

Bits = Literal[32, 16, 8]
SCALE = ".int8_scale"  # of the tensor whose name stands before it
LEAST = 4096  # numbers of a tensor that is worth 8 bits; what is smaller keeps 16


def quantize_storage(weights: Mapping[str, Tensor], bits: int) -> dict[str, Tensor]:
    """Quantise weights to be written; returned on the CPU.

    Args:
        weights: by name.
        bits: of a floating-point number. 8 are for matrices and kernels, each row of which (what makes one output) is
            divided by its greatest absolute value over 127 and rounded; their errors are at most half of that. All
            other weights are stored in 16.

    Raises:
        ConfigurationError: for another number of bits.
        NotFiniteError: if a weight is not finite.
    """
    if bits not in get_args(Bits):
        raise ConfigurationError(f"weights can be stored in {', '.join(map(str, get_args(Bits)))} bits, not {bits}")
    check_finite(weights)
    packed: dict[str, Tensor] = {}
    for name, tensor in weights.items():
        tensor = tensor.detach().cpu().contiguous().clone()
        if bits == 32 or not tensor.is_floating_point():
            packed[name] = tensor
        elif bits == 8 and tensor.ndim > 1 and tensor.numel() >= LEAST:
            rows = tensor.float().flatten(1)
            scale = (rows.abs().amax(1) / 127).clamp_min(torch.finfo(torch.float32).tiny)
            packed[name] = (rows / scale[:, None]).round().to(torch.int8).reshape(tensor.shape)
            packed[name + SCALE] = scale
        else:
            packed[name] = tensor.half()
    return packed


def dequantize(weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Weights as :func:`quantize_storage` was given them, all floating-point ones in single precision."""
    unpacked = {}
    for name, tensor in weights.items():
        if name.endswith(SCALE):
            continue
        if (scale := weights.get(name + SCALE)) is not None:
            tensor = tensor * scale.reshape(-1, *[1] * (tensor.ndim - 1))
        unpacked[name] = tensor.float() if tensor.dtype == torch.float16 else tensor
    return unpacked


def check_finite(weights: Mapping[str, Tensor]) -> None:
    """Reject weights of which one is not finite, before they are written.

    Raises:
        NotFiniteError: names the first tensor that has such a number.
    """
    for name, tensor in weights.items():
        if not bool(tensor.isfinite().all()):
            raise NotFiniteError(
                f"{name} has numbers that are infinite or none, and is not written; use a checkpoint of before"
            )
