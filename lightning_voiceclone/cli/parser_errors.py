"""Translate errors of the configuration parser into one line that names the option and the remedy."""

import inspect
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from jsonargparse import ArgumentParser
from torch import Tensor

from lightning_voiceclone.cli.class_paths import classes, refusal
from lightning_voiceclone.core import registry
from lightning_voiceclone.errors import ConfigurationError, nearest
from lightning_voiceclone.utils.lightning_internals import (
    ALTERNATIVES,
    BARE,
    FOREIGN,
    GIVEN,
    KEY,
    NESTED,
    NO_CLASS,
    NO_CONFIG,
    NO_MODULE,
    UNKNOWN,
    VALUELESS,
    WANTED,
    option_names,
    option_types,
)

PLAIN = (bool, int, float, str, dict, list, Path, Tensor, type(None))  # types that are not given by a class name
MOST_GIVEN = 60
MOST_CHARACTERS = 500  # of a message that is passed on as it is


class ParsingError(ConfigurationError, ValueError):
    """A value that a parser refuses; a ValueError, so that an outer parser adds the option's prefix.

    Args:
        option: as on the command line, without its dashes; empty if it is not about one option.
        text: what is wrong.
    """

    def __init__(self, option: str, text: str):
        super().__init__(f"--{option}: {text}" if option else text)
        self.option, self.text = option, text


def explain(parser: ArgumentParser, message: str, cause: BaseException | None) -> ParsingError:
    """Translate a parser's error for the user.

    The arguments of a class have a parser of their own, whose errors are nested in those of the outer parser, as one of
    several types that the value could have: the innermost error has the reason, the outer ones have the option's path.

    Args:
        parser: whose error it is.
        message: its text.
        cause: the exception that it was raised for.
    """
    inner = next((error for error in _chain(cause) if isinstance(error, ParsingError)), None)
    key = KEY.search(message)
    nested = NESTED.findall(message)  # on the command line
    within = nested[-1].rstrip("+") if nested else ""
    if inner and inner.option.startswith(within):
        within = inner.option
    option = ".".join(filter(None, (key[1] if key else "", within)))
    return ParsingError(option, inner.text) if inner else _innermost(parser, option, " ".join(message.split()))


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _innermost(parser: ArgumentParser, option: str, message: str) -> ParsingError:
    """Translate a message, in one line, that has no other parser's error nested in it."""
    if found := BARE.search(message):
        way = f"--config {found[1]}" if found[1].endswith((".yaml", ".yml")) else f"--{found[1]}"
        return ParsingError("", f"{found[1]!r} has no option before it; is {way} what you mean?")
    if found := VALUELESS.search(message):  # the parser takes --model.start for one of --model
        return ParsingError("", f"--{found[1]}, or an option that begins with --{found[1]}., has no value after it")
    if found := UNKNOWN.search(message):
        return _no_option(parser, ".".join(filter(None, found.groups())))
    types = list(dict.fromkeys(classes(option_types(parser).get(option.rstrip("+")))))
    bases = [kind for kind in types if kind not in PLAIN]
    if bases and (refused := _class_refused(bases, message)):
        return ParsingError(option, refused)
    text = _must_be(types, bases, message)
    return ParsingError(option, text or shortened(message.removeprefix(f'Parser key "{option}": ')))


def _class_refused(bases: Sequence[type], message: str) -> str | None:
    """What is wrong with the name of a class; None if the message is about something else."""
    if found := FOREIGN.search(message):
        return refusal(next(filter(None, found.groups())), bases)
    if found := NO_MODULE.search(message):
        return (
            f"no module {found[1]} is installed, in which the class would be; install its package, or name another"
            f" {_class_names(bases)}"
        )
    found = NO_CLASS.search(message)
    return _no_class(bases, found[1]) if found else None


def _must_be(types: Sequence[type], bases: Sequence[type], message: str) -> str | None:
    """What the value must be, and what it is; None if the message does not contain it.

    Args:
        types: all that the option takes.
        bases: those of them whose values are given by a class name.
        message: of the parser.
    """
    if found := NO_CONFIG.search(message):
        return f"must be a mapping, or the path of a YAML file that exists, not {found[1]!r}"
    found = GIVEN.search(message)
    given = (found[1] or found[2]) if found else ""
    wanted = [kind for kind in WANTED.findall(message) if not kind.startswith(("path but ", "dot import "))]
    if bases and "<class 'list'>" in wanted:
        return f"must be a list, such as [{given}]"
    if bases and wanted:
        wanted = [f"the name of a {_class_names(bases)}, a mapping with class_path and init_args", *wanted]
    if not wanted and NO_CLASS.search(message):
        wanted = [kind.__name__ for kind in types if kind is not Tensor]
    if not wanted:
        return None
    short = given if len(given) <= MOST_GIVEN else f"{given[:MOST_GIVEN]} …"
    return f"must be {_either(wanted)}{f', not {short!r}' if given else ''}"


def shortened(message: str) -> str:
    """A message of another package in one line; if it lists alternatives, the first one only."""
    text = " ".join(message.split())
    if found := ALTERNATIVES.search(text):
        text = found[1]
    return text if len(text) < MOST_CHARACTERS else text[:MOST_CHARACTERS] + " …"


def _no_option(parser: ArgumentParser, name: str) -> ParsingError:
    """The error for an unknown option; for its first word only, if that is wrong."""
    options = option_names(parser)
    first, firsts = name.partition(".")[0], {option.partition(".")[0] for option in options}
    if first not in firsts:
        return ParsingError(first, f"there is no such option{nearest(first, sorted(firsts))}")
    group, _, last = name.rpartition(".")
    beside = [option.rpartition(".")[2] for option in options if option.rpartition(".")[0] == group]
    return ParsingError(name, f"there is no such option{nearest(last, beside)}")


def _class_names(bases: Sequence[type]) -> str:
    return " or ".join(base.__name__ for base in bases)


def _either(types: Sequence[str]) -> str:
    """Join Python's names of types with commas and "or", in readable form."""
    names = [re.sub(r"<class '(.+)'>", r"\1", kind).replace("typing.Literal[", "one of [") for kind in types]
    names = list(dict.fromkeys("null" if kind == "NoneType" else kind for kind in names))
    return " or ".join(filter(None, (", ".join(names[:-1]), names[-1])))


def _no_class(bases: Sequence[type], name: str) -> str:
    """The error for an unknown class, or for a missing file where the name looks like one."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return f"there is no file {name}; a path in a recipe is relative to the recipe"
    names = sorted(set().union(*(_names(base) or {base.__name__} for base in bases)))
    failures = [str(failure) for failure in registry.load_all()]
    beginnings = (f"plugin {name} ", f"two packages supply {name} ")
    if own := [failure for failure in failures if failure.startswith(beginnings)]:  # installed, and cannot be used
        return "; ".join(own)
    failed = "".join(f"; {failure}" for failure in failures)
    return f"no {_class_names(bases)} is called {name!r}{nearest(name, names)}; installed: {', '.join(names)}{failed}"


def _names(base: type) -> set[str]:
    """Names of the classes of a kind: installed plugins for parts, else all imported subclasses."""
    if kind := getattr(base, "kind", None):
        return {plugin.name for plugin in registry.installed() if plugin.kind == kind}
    children: list[type] = base.__subclasses__()
    found = {child.__name__ for child in children if not inspect.isabstract(child)}
    return {name for name in found if name[0] != "_"}.union(*map(_names, children))
