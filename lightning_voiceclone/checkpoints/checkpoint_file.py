"""Read files of ``torch.save`` without ``torch.load``: all sizes are checked before memory is taken, no code is run.

``torch.load(weights_only=True)`` runs no code either, but trusts the sizes that a file states: a storage that is longer
than its entry is read beyond it, checksums are not verified, and some callables that it allows allocate any amount of
memory.
"""

import io
import pickle
import pickletools
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import torch
from torch import Tensor

from lightning_voiceclone.checkpoints.checkpoint_archive import Entry, ForeignError, RefusedError, entries, entry_tensor
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.torch_internals import set_versions

MOST_PICKLE_BYTES = 16 << 20  # of the values beside the tensors' own; 30 kB are usual
MOST_OPCODES = 500_000  # 40 for each tensor
MOST_DEPTH = 64  # of mappings and lists in each other
# What torch.save writes. None of them calls anything but what find_class gave, or takes memory by a number in the file.
OPCODES = frozenset((
    "PROTO", "STOP", "MARK", "NONE", "NEWTRUE", "NEWFALSE", "BININT", "BININT1", "BININT2", "LONG1", "BINFLOAT",
    "BINUNICODE", "EMPTY_TUPLE", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "EMPTY_LIST", "APPEND", "APPENDS",
    "EMPTY_DICT", "SETITEM", "SETITEMS", "GLOBAL", "BINPERSID", "REDUCE", "BUILD", "BINPUT", "LONG_BINPUT", "BINGET",
    "LONG_BINGET",
))  # fmt: skip
STORAGES = {
    "FloatStorage": torch.float32, "DoubleStorage": torch.float64, "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16, "LongStorage": torch.int64, "IntStorage": torch.int32,
    "ShortStorage": torch.int16, "CharStorage": torch.int8, "ByteStorage": torch.uint8, "BoolStorage": torch.bool,
    "ComplexFloatStorage": torch.complex64, "ComplexDoubleStorage": torch.complex128,
}  # fmt: skip


def _refuse_state(state: Any) -> None:
    raise ForeignError("it changes what it has made")


class _Named:
    """Something that a pickle may name. Nothing can be set in it."""

    __slots__ = ("_call",)

    def __init__(self, call: Callable[..., Any]):
        self._call = call

    def __call__(self, *arguments: Any) -> Any:
        return self._call(*arguments)

    def __setstate__(self, state: Any) -> None:
        _refuse_state(state)


class _Ordered(OrderedDict[Any, Any]):
    """An OrderedDict as it is read; a module's state has its versions beside its items."""

    _metadata: Any = None

    def __setstate__(self, state: Any) -> None:
        if not isinstance(state, dict) or set(state) - {"_metadata"}:
            raise ForeignError("it sets attributes")
        self._metadata = state.get("_metadata")


@dataclass(frozen=True)
class _Storage:
    """Numbers that tensors are views of: the entry that holds them, their type and count."""

    key: str
    dtype: torch.dtype
    count: int

    def __setstate__(self, state: Any) -> None:
        _refuse_state(state)


@dataclass(frozen=True)
class StoredTensor:
    """A tensor that has not been read yet.

    Args:
        storage: that it is a view of.
        offset: of its first number in the storage.
        shape: of it.
        stride: numbers of the storage from one index to the next, for each axis.
    """

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]

    def __setstate__(self, state: Any) -> None:
        _refuse_state(state)

    @property
    def dtype(self) -> torch.dtype:
        """Of its numbers."""
        return self.storage.dtype


class CheckpointFile:
    """A file of ``torch.save``: ``values`` are read at once, the tensors in them on demand.

    Args:
        path: of the file.

    Raises:
        ConfigurationError: if it is no such file, is cut short or damaged, contradicts itself, or holds more than
            plain values and tensors.
        OSError: if it cannot be read.
    """

    def __init__(self, path: Path):
        self.path = path
        with path.open("rb") as stream:
            self._entries = self._checked(lambda: entries(stream))
            self.values: Any = self._checked(lambda: self._read_values(stream))

    def tensors(self, wanted: Mapping[str, StoredTensor]) -> dict[str, Tensor]:
        """Those tensors, read, by the same names.

        Raises:
            ConfigurationError: if an entry's bytes do not have its checksum.
        """
        with self.path.open("rb") as stream:
            read: dict[str, Tensor] = {}
            return self._checked(lambda: {name: self._tensor(stream, one, read) for name, one in wanted.items()})

    def everything(self) -> Any:
        """The values with all tensors in their places, as ``torch.load`` gives them.

        Raises:
            ConfigurationError: if an entry's bytes do not have its checksum.
        """
        with self.path.open("rb") as stream:
            read: dict[str, Tensor] = {}
            return self._checked(lambda: _mapped(self.values, lambda one: self._tensor(stream, one, read)))

    def _checked(self, step: Callable[[], Any]) -> Any:
        try:
            return step()
        except ForeignError as error:
            raise ConfigurationError(
                f"{self.path} holds more than weights and plain values ({error}), and is not loaded, since that could"
                " run code"
            ) from error
        except OSError:
            raise
        except Exception as error:  # whatever bytes of others make a parser raise
            reason = str(error) or type(error).__name__
            raise ConfigurationError(f"{self.path} is no checkpoint, or is cut short or damaged: {reason}") from error

    def _read_values(self, stream: BinaryIO) -> Any:
        data = self._entries.get("data.pkl")
        if data is None:
            raise RefusedError("it has no data.pkl")
        if data.size > MOST_PICKLE_BYTES:
            raise RefusedError(f"its data.pkl has {data.size} bytes, and at most {MOST_PICKLE_BYTES} are read")
        if (
            "byteorder" in self._entries
            and entry_tensor(stream, self._entries["byteorder"]).numpy().tobytes() != b"little"
        ):
            raise RefusedError("it was written on a machine of another byte order")
        raw = entry_tensor(stream, data).numpy().tobytes()
        _check_opcodes(raw)
        return _plain(_Reader(raw, self._entries).load())

    def _tensor(self, stream: BinaryIO, claim: StoredTensor, read: dict[str, Tensor]) -> Tensor:
        key = claim.storage.key
        if key not in read:
            read[key] = entry_tensor(stream, self._entries[f"data/{key}"])
        return torch.empty(0, dtype=claim.dtype).set_(
            read[key].untyped_storage(),
            claim.offset,
            claim.shape,
            claim.stride,  # type: ignore[arg-type]
        )


def _check_opcodes(raw: bytes) -> None:
    """Reject opcodes that torch.save would not write, before anything is built."""
    for count, (opcode, argument, _) in enumerate(pickletools.genops(raw)):
        if opcode.name not in OPCODES:
            raise ForeignError(f"the pickle's opcode {opcode.name}")
        if count >= MOST_OPCODES:
            raise RefusedError(f"its data.pkl has more than {MOST_OPCODES} instructions")
        if opcode.name == "LONG_BINPUT" and int(argument or 0) > count:  # the unpickler allocates that many places
            raise RefusedError("its pickle keeps values under numbers that are too high")


class _Reader(pickle.Unpickler):
    """Build mappings, lists and descriptions of tensors; nothing that a file names is imported."""

    def __init__(self, raw: bytes, entries: Mapping[str, Entry]):
        super().__init__(io.BytesIO(raw))
        self._sizes = {name: entry.size for name, entry in entries.items()}
        self._names = {
            "collections.OrderedDict": _Named(_ordered),
            "torch._utils._rebuild_tensor_v2": _Named(_claim),
            "torch.Size": _Named(tuple),
        } | {f"torch.{name}": dtype for name, dtype in STORAGES.items()}

    def find_class(self, module: str, name: str) -> Any:
        """What stands for the few names that torch.save writes."""
        if (known := self._names.get(f"{module}.{name}")) is None:
            raise ForeignError(f"{module}.{name}")
        return known

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage of that description, which must match the file's entry."""
        kind, dtype, key, _, count = pid
        if (
            kind != "storage"
            or not isinstance(dtype, torch.dtype)
            or not isinstance(key, str)
            or type(count) is not int
        ):
            raise ForeignError("a reference outside of it")
        size = self._sizes.get(f"data/{key}")
        if size is None or not 0 <= count * dtype.itemsize <= size:
            raise RefusedError(f"a tensor states {count} numbers in data/{key}, which has {size or 0} bytes")
        return _Storage(key, dtype, count)


def _ordered() -> _Ordered:
    return _Ordered()


def _claim(
    storage: Any, offset: Any, shape: Any, stride: Any, requires_grad: Any, hooks: Any, metadata: Any = None
) -> StoredTensor:
    """A pickle's description of a tensor, checked to lie within its storage."""
    if not isinstance(storage, _Storage) or hooks or metadata:
        raise ForeignError("a tensor with more than numbers")
    axes = (offset, *shape, *stride)
    if len(shape) != len(stride) or len(shape) > MOST_DEPTH or any(type(n) is not int or n < 0 for n in axes):
        raise RefusedError("a tensor has no such shape or stride")
    numbers, last = 1, offset
    for size, step in zip(shape, stride, strict=True):
        numbers, last = numbers * size, last + (size - 1) * step
    if numbers > storage.count or (numbers and last >= storage.count):
        raise RefusedError(f"a tensor of the shape {tuple(shape)} points outside of its {storage.count} numbers")
    return StoredTensor(storage, offset, tuple(shape), tuple(stride))


def _plain(read: Any) -> Any:
    """Values as they were saved, of which each mapping and list is made once, however often it is referred to."""
    return _mapped(read, lambda one: one)


def _mapped(value: Any, tensor: Callable[[StoredTensor], Any]) -> Any:
    made: dict[int, Any] = {}

    def convert(one: Any, depth: int) -> Any:
        if one is None or isinstance(one, bool | int | float | str):
            return one
        if isinstance(one, StoredTensor):
            if id(one) not in made:
                made[id(one)] = tensor(one)
            return made[id(one)]
        if depth > MOST_DEPTH:
            raise RefusedError(f"its values are nested more than {MOST_DEPTH} deep")
        if id(one) not in made:
            made[id(one)] = rebuilt(one, depth + 1)
        return made[id(one)]

    def rebuilt(one: Any, depth: int) -> Any:
        if isinstance(one, dict):
            pairs = _pairs(one, lambda item: convert(item, depth))
            if not isinstance(one, OrderedDict):
                return dict(pairs)
            kept = OrderedDict(pairs)
            if (metadata := getattr(one, "_metadata", None)) is not None:
                set_versions(kept, convert(metadata, depth))
            return kept
        if isinstance(one, list):
            return [convert(item, depth) for item in one]
        if isinstance(one, tuple):
            return tuple(convert(item, depth) for item in one)
        raise ForeignError(f"a {type(one).__name__}")

    return convert(value, 0)


def _pairs(mapping: Mapping[Any, Any], convert: Callable[[Any], Any]) -> Iterable[tuple[Any, Any]]:
    for key, value in mapping.items():
        if not isinstance(key, str | int):
            raise ForeignError(f"a key that is a {type(key).__name__}")
        yield key, convert(value)
