"""What the parser of a configuration refuses, in one line that names the option and says how to mend it."""

import inspect
import re
from collections.abc import Callable, Iterator
from typing import Any, get_args, get_origin

from jsonargparse import ArgumentParser

from lightning_voiceclone import plugins
from lightning_voiceclone.errors import ConfigurationError, nearest

UNKNOWN = re.compile(r"(?:unrecognized arguments: --?|Option '|Group '([\w.]+)' does not accept option ')([\w.]+)")
MOST_CHARACTERS = 500  # of a message that is passed on as it is


class ParsingError(ConfigurationError, ValueError):
    """A value that a parser refuses; a ValueError, so that a parser around it says where.

    Args:
        option: as on the command line, without its dashes; empty if none is to blame.
        text: what is wrong.
    """

    def __init__(self, option: str, text: str):
        super().__init__(f"--{option}: {text}" if option else text)
        self.option, self.text = option, text


def explain(parser: ArgumentParser, message: str, cause: BaseException | None) -> ParsingError:
    """What a parser says, in the user's terms.

    A class has a parser of its own for its arguments, whose mistakes come back inside of those of the parser around it,
    as one of several types that the value might have had: the innermost says what is wrong, the outer ones say where.

    Args:
        parser: the one that refuses.
        message: what it says.
        cause: what made it.
    """
    key = re.search(r'Parser key "([^"]+)"', message)
    option = key[1] if key else ""
    inner = next((error for error in _chain(cause) if isinstance(error, ParsingError)), None)
    if inner is None:
        return _innermost(parser, option, message)
    nested = re.findall(r"Given value: NestedArg\(key='([^']+)'", message)  # of the command line, known in full
    within = nested[-1].rstrip("+") if nested else inner.option
    return ParsingError(".".join(filter(None, (option, within))), inner.text)


def _chain(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


def _innermost(parser: ArgumentParser, option: str, message: str) -> ParsingError:
    flat = " ".join(message.split())
    if found := UNKNOWN.search(flat):
        name = ".".join(filter(None, found.groups()))
        options = [action.dest for action in parser._actions if not action.dest.endswith("help")]
        return ParsingError(name, f"there is no such option{nearest(name, options)}")
    if found := re.search(r"(?:dot import path string|import path format|Import path expected)[^:]*: (\S+)", flat):
        return ParsingError(option, _no_class(parser, option, found[1]))
    if wanted := re.findall(r"Expected an? (.+?)(?= - |\. Got value| Given value|$)", flat):
        given = re.search(r"(?:Got value|Given value): (.+?)$", flat)
        return ParsingError(option, f"must be {_either(wanted)}{f', not {given[1]!r}' if given else ''}")
    flat = flat.removeprefix(f'Parser key "{option}": ')
    return ParsingError(option, flat if len(flat) < MOST_CHARACTERS else flat[:MOST_CHARACTERS] + " …")


def _either(types: list[str]) -> str:
    """Types as Python writes them, as one would say them."""
    said = [re.sub(r"<class '(.+)'>", r"\1", kind).replace("typing.Literal[", "one of [") for kind in types]
    said = list(dict.fromkeys("null" if kind == "NoneType" else kind for kind in said))
    return " or ".join(filter(None, (", ".join(said[:-1]), said[-1])))


def _no_class(parser: ArgumentParser, option: str, name: str) -> str:
    """That there is no such class, or no such file where that looks like one."""
    if "/" in name or name.endswith((".yaml", ".yml")):
        return f"there is no file {name}; a path in a recipe is relative to the recipe"
    types: list[Any] = [action._typehint for action in parser._actions
                        if action.dest == option.rstrip("+") and hasattr(action, "_typehint")]  # fmt: skip
    bases = list(dict.fromkeys(base for hint in types for base in _classes(hint)))
    names = sorted(set().union(*(_names(base) or {base.__name__} for base in bases)))
    kind = " or ".join(base.__name__ for base in bases) or "class"
    failed = "".join(f"; {failure}" for failure in plugins.load_all())
    return f"no {kind} is called {name!r}{nearest(name, names)}; installed: {', '.join(names) or 'none'}{failed}"


def _classes(hint: Any) -> Iterator[type]:
    """The classes of which a value of that type is made: of functions, those of what they return."""
    if inspect.isclass(hint) and not get_args(hint):
        if hint is not type(None):
            yield hint
        return
    origin = get_origin(hint)
    is_function = inspect.isclass(origin) and issubclass(origin, Callable)  # type: ignore[arg-type]
    for part in get_args(hint)[-1:] if is_function else get_args(hint):
        yield from _classes(part)


def _names(base: type) -> set[str]:
    """Of the classes of that kind."""
    children: list[type] = base.__subclasses__()
    found = {child.__name__ for child in children if not inspect.isabstract(child)}
    return {name for name in found if name[0] != "_"}.union(*map(_names, children))
