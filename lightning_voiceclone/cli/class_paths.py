"""Check that a configuration names only classes of the kind that an option expects, not any callable."""

import inspect
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any, get_args, get_origin

from jsonargparse import ArgumentParser, Namespace

from lightning_voiceclone.core.registry import clash_of
from lightning_voiceclone.utils.lightning_internals import imported, option_types

ANYTHING = ("builtins", "typing", "collections.abc")  # modules of types that are too general to check against


def classes(hint: Any) -> Iterator[type]:
    """The classes that a value of that type can have; for functions, those of their return value."""
    if inspect.isclass(hint) and not get_args(hint):
        yield hint
        return
    origin = get_origin(hint)
    is_function = inspect.isclass(origin) and issubclass(origin, Callable)  # type: ignore[arg-type]
    for part in get_args(hint)[-1:] if is_function else get_args(hint):
        yield from classes(part)


def refusals(parser: ArgumentParser, config: Namespace) -> Iterator[tuple[str, str]]:
    """Options whose value names a callable of a wrong kind: the option's name, and what is wrong.

    Only the parser's own options are checked. The arguments of a class have a parser of their own.
    """
    for option, hint in option_types(parser).items():
        kinds = tuple(kind for kind in classes(hint) if kind.__module__ not in ANYTHING and not _is_protocol(kind))
        for name, value in _callables(config.get(option)):
            if not _is_of(value, kinds):
                yield option, refusal(name, kinds)
            elif inspect.isclass(value) and (clash := clash_of(getattr(value, "kind", None), value.__name__)):
                yield option, str(clash)


def refusal(name: str, kinds: Iterable[type]) -> str:
    """The message for a class path that is not of the expected kinds."""
    if wanted := " or ".join(kind.__name__ for kind in kinds):
        return f"{name} is no {wanted}, and is not called; name a class of that kind"
    return f"{name} is not called: no class or function can be given here"


def _callables(value: Any) -> Iterator[tuple[str, Any]]:
    """The callables that a value names, with their names; not those in their arguments."""
    if isinstance(value, Mapping | Namespace):
        entries = dict(value.items(nested=False)) if isinstance(value, Namespace) else value
        if "class_path" in entries:
            path = str(entries["class_path"])
            yield path, imported(path) if "." in path else None
        else:
            for entry in entries.values():
                yield from _callables(entry)
    elif isinstance(value, list | tuple | set):
        for entry in value:
            yield from _callables(entry)
    elif callable(value):
        yield getattr(value, "__qualname__", type(value).__qualname__), value


def _is_of(value: Any, kinds: tuple[type, ...]) -> bool:
    return issubclass(value, kinds) if inspect.isclass(value) else isinstance(value, kinds)


def _is_protocol(kind: type) -> bool:
    return bool(getattr(kind, "_is_protocol", False))
