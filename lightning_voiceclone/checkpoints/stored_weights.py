"""Weights in a file: their names and shapes are compared before any of them is read."""

import math
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from lightning_voiceclone.checkpoints.checkpoint_file import CheckpointFile, StoredTensor
from lightning_voiceclone.checkpoints.external_weights import all_weights
from lightning_voiceclone.checkpoints.storage_bits import SCALE, dequantize
from lightning_voiceclone.errors import ConfigurationError

MOST_HEADER_BYTES = 16 << 20  # of a safetensors file, for about as many weights as a checkpoint may have
TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float32, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
Form = tuple[tuple[int, ...], torch.dtype]  # shape and type of a tensor, as it is read


@dataclass(frozen=True)
class StoredWeights:
    """Weights that have not been read yet.

    Args:
        path: of the file.
        forms: shape and type of each, by name.
        read: reads all of them.
    """

    path: Path
    forms: Mapping[str, Form]
    read: Callable[[], dict[str, Tensor]]

    @property
    def bytes(self) -> int:
        """Memory of all of them when they are read."""
        return sum(math.prod(shape) * max(kind.itemsize, 4) for shape, kind in self.forms.values())

    def without(self, prefix: str) -> "StoredWeights":
        """Those whose names do not begin so."""
        kept = {name: form for name, form in self.forms.items() if not name.startswith(prefix)}

        def read() -> dict[str, Tensor]:
            weights = self.read()
            return {name: weights[name] for name in kept}

        return replace(self, forms=kept, read=read)


def folder_weights(path: Path) -> StoredWeights:
    """Those of a safetensors file, in whose header their shapes are.

    Raises:
        ConfigurationError: if its header is too long or contradicts the file, or weights in fewer bits lack what they
            are to be multiplied by.
    """
    try:
        with path.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
        if length > MOST_HEADER_BYTES:
            raise ConfigurationError(f"{path} is damaged: its header states a length of {length} bytes")
        with safe_open(path, "pt") as opened:  # checks that tensors fill the file, one after the other
            slices = {name: opened.get_slice(name) for name in opened.keys()}  # noqa: SIM118 (no mapping)
            stored = {name: (tuple(one.get_shape()), one.get_dtype()) for name, one in slices.items()}
    except (SafetensorError, ValueError) as error:
        raise ConfigurationError(f"{path} is damaged or cut short: {error}") from error
    if unknown := next((kind for _, kind in stored.values() if kind not in TYPES), None):
        raise ConfigurationError(f"{path} has weights of the type {unknown}; it can be one of {', '.join(TYPES)}")
    return StoredWeights(path, _unpacked(path, stored), lambda: _read_folder(path))


def _unpacked(path: Path, stored: Mapping[str, tuple[tuple[int, ...], str]]) -> dict[str, Form]:
    """Shapes and types of the weights in single precision again (``storage_bits.dequantize``)."""
    forms: dict[str, Form] = {}
    for name, (shape, kind) in stored.items():
        if name.endswith(SCALE):
            base, base_kind = stored.get(name.removesuffix(SCALE), ((), ""))
            if base_kind != "I8" or kind != "F32" or not base or shape != base[:1]:
                raise ConfigurationError(
                    f"{path} is damaged: {name} does not belong to weights of 8 bits; copy it anew"
                )
        else:
            forms[name] = shape, torch.float32 if name + SCALE in stored else TYPES[kind]
    return forms


def _read_folder(path: Path) -> dict[str, Tensor]:
    try:
        return dequantize(safetensors.torch.load_file(path))
    except (SafetensorError, RuntimeError, ValueError) as error:
        raise ConfigurationError(f"{path} is damaged or cut short: {error}") from error


def checkpoint_weights(file: CheckpointFile, wanted: Mapping[str, Any]) -> StoredWeights:
    """Those of a checkpoint, as its pickle describes them.

    Raises:
        ConfigurationError: if one of them is no tensor.
    """
    for name, value in wanted.items():
        if not isinstance(name, str) or not isinstance(value, StoredTensor):
            raise ConfigurationError(f"{file.path} is damaged: {name!r} among its weights is no tensor")
    forms = {name: (value.shape, value.dtype) for name, value in wanted.items()}
    return StoredWeights(file.path, forms, lambda: file.tensors(wanted))


def fill(module: nn.Module, stored: StoredWeights, *, given: Mapping[str, Tensor] | None = None) -> None:
    """Give a module its weights from a file.

    Args:
        module: with fresh weights.
        stored: the file's.
        given: of others that the file need not have.

    Raises:
        ConfigurationError: if the file lacks one, has one too many, or one of another shape or type, which is found
            before it is read; or if one is not finite.
    """
    given = given or {}
    check_forms(module, stored, but=given)
    weights = stored.read()
    check_finite(weights, stored.path, module)
    try:
        module.load_state_dict({**weights, **given})
    except RuntimeError as error:
        raise ConfigurationError(f"the weights in {stored.path} do not fit its description: {error}") from error


def check_forms(module: nn.Module, stored: StoredWeights, *, but: Iterable[str] = ()) -> None:
    """Reject weights of other names, shapes or types than the module's; real numbers of any precision are one type.

    Raises:
        ConfigurationError: names the first that differs.
    """
    ours = {name: value for name, value in module.state_dict().items() if isinstance(value, Tensor)}
    for name in but:
        ours.pop(name, None)
    problem = None
    if missing := sorted(set(ours) - set(stored.forms)):
        problem = f"{missing[0]} is missing"
    elif unexpected := sorted(set(stored.forms) - set(ours)):
        problem = f"{unexpected[0]} belongs to no part"
    else:
        for name, value in ours.items():
            shape, kind = stored.forms[name]
            if shape != tuple(value.shape):
                problem = f"{name} is {shape}, but is described as {tuple(value.shape)}"
            elif kind != value.dtype and not (kind.is_floating_point and value.is_floating_point()):
                problem = f"{name} has the type {kind}, but is described as {value.dtype}"
            if problem:
                break
    if problem:
        raise ConfigurationError(
            f"the weights in {stored.path} do not fit its description: {problem}; copy or write the whole anew"
        )


def check_finite(weights: Mapping[str, Tensor], path: Path, module: nn.Module | None = None) -> None:
    """Reject weights that are not finite numbers.

    Args:
        weights: by name.
        path: of their file.
        module: that they are for; what is not finite in it either, such as a mask, may stay so.

    Raises:
        ConfigurationError: names the first.
    """
    for name, value in weights.items():
        if not value.is_floating_point() or value.sum().isfinite() or value.isfinite().all():
            continue
        if module is None or name not in (own := all_weights(module)) or own[name].isfinite().all():
            raise ConfigurationError(
                f"the weights in {path} are not finite numbers ({name}): its training diverged, or it is damaged;"
                " name an earlier checkpoint"
            )
