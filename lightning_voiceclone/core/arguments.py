"""Check that arguments read from a file have the types of a class's signature."""

import inspect
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, Union

from lightning_voiceclone.errors import ConfigurationError


def check_arguments(function: Any, arguments: Mapping[str, Any], name: str) -> None:
    """Refuse arguments of other types than the function's annotations; without a known annotation, any type passes.

    Args:
        function: a class's ``__init__``.
        arguments: by name.
        name: of the class, for the error.

    Raises:
        ConfigurationError: names the argument, its value and the type that it should have.
    """
    hints = _hints(function)
    for argument, value in arguments.items():
        if argument in hints and not _fits(value, hints[argument]):
            wanted = getattr(hints[argument], "__name__", None) or str(hints[argument])
            if typing.get_origin(hints[argument]):
                wanted = str(hints[argument])
            raise ConfigurationError(
                f"{name}: {argument} is {repr(value)[:60]}, of the type {type(value).__name__}; it must be"
                f" {wanted.replace('typing.', '')}"
            )


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function)
    except Exception:  # annotations that cannot be resolved outside their module
        return {}


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is Literal:
        return any(value == one and type(value) is type(one) for one in inner)
    if origin in (Union, types.UnionType):
        return any(_fits(value, one) for one in inner)
    if origin is typing.Annotated:
        return _fits(value, inner[0])
    kind = origin or hint
    return kind is Any or not inspect.isclass(kind) or _is_one(value, kind, inner)


def _is_one(value: Any, kind: type, inner: tuple[Any, ...]) -> bool:
    if kind is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if kind is int:
        return type(value) is int
    if issubclass(kind, list | tuple | set | frozenset) or kind in (Sequence, Iterable):
        return isinstance(value, list | tuple) and _items_fit(value, kind, inner)
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping) and (len(inner) != 2 or all(_fits(one, inner[1]) for one in value.values()))
    return isinstance(value, kind)


def _items_fit(values: Sequence[Any], kind: type, inner: tuple[Any, ...]) -> bool:
    if not inner:
        return True
    if issubclass(kind, tuple) and not (len(inner) == 2 and inner[1] is Ellipsis):
        return len(values) == len(inner) and all(map(_fits, values, inner))
    return all(_fits(value, inner[0]) for value in values)
