"""Deprecated names: a class or an argument works for one more version with a warning, and is then refused.

Each is declared once, beside the code, by plugin packages too::

    @deprecated(since="0.2", removed_in="0.3", renamed="NewGenerator")
    class OldGenerator(NewGenerator):
        '''The old name of NewGenerator.'''

    @deprecated_argument("channels", since="0.2", removed_in="0.3", renamed="width")
    class ConvGenerator(Generator): ...

Recipes, models that are stored, the command line and Python then know the old name. The warning is logged once
for each process. From ``removed_in`` on the old name is an error. The declaration may stay for that when the code is
removed.
"""

import functools
import importlib.metadata
import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, TypeVar

from packaging.version import Version

from lightning_voiceclone import __version__
from lightning_voiceclone.errors import ConfigurationError

OWN = "lightning-voiceclone"
Class = TypeVar("Class", bound=type[Any])
logger = logging.getLogger("lightning_voiceclone")


@dataclass(frozen=True)
class Deprecation:
    """One deprecated name.

    Args:
        since: the first version in which it is deprecated.
        removed_in: the first version that refuses it.
        renamed: the new name; empty where nothing takes its place.
        instead: what to do instead, in words, where there is no new name.
        package: whose versions those are.
        argument: of a class's constructor; empty for a class.
        default: of an argument without a new name. Models that are stored hold every argument: with this value it has
            no effect, and is left out without a warning.
    """

    since: str
    removed_in: str
    renamed: str = ""
    instead: str = ""
    package: str = OWN
    argument: str = ""
    default: Any = None

    def __post_init__(self) -> None:
        if bool(self.renamed) == bool(self.instead):
            raise TypeError("a deprecation needs either renamed, the new name, or instead, what to do in words")
        if Version(self.since) >= Version(self.removed_in):
            raise TypeError(f"removed_in is {self.removed_in}, which must be later than since, {self.since}")

    def line(self, owner: str) -> str:
        """What is deprecated, since when, until when, and what to use; once it is gone, the refusal.

        Args:
            owner: name of the class.
        """
        if self.is_over():
            return str(self.refusal(owner))
        return (
            f"{self._what(owner)} is deprecated since {self.package} {self.since} and works until {self.removed_in};"
            f" {self._remedy}"
        )

    def refusal(self, owner: str) -> ConfigurationError:
        """The error for what is gone."""
        return ConfigurationError(
            f"{self._what(owner)} is gone since {self.package} {self.removed_in}; {self._remedy}, or"
            f" pip install '{self.package}<{self.removed_in}'"
        )

    def report(self, owner: str) -> None:
        """Log a warning, once for each process.

        Raises:
            ConfigurationError: if the installed version of the package has it no more.
        """
        if self.is_over():
            raise self.refusal(owner)
        for lines in _collectors:
            lines.setdefault(self.line(owner))
        _log_once(self.line(owner))

    def _what(self, owner: str) -> str:
        return f"{owner}: the argument {self.argument}" if self.argument else owner

    @property
    def _remedy(self) -> str:
        return f"use {self.renamed}" if self.renamed else self.instead

    def is_over(self) -> bool:
        """Whether the installed version of the package has it no more."""
        version = installed_version(self.package)
        return version is not None and Version(Version(version).base_version) >= Version(self.removed_in)


def installed_version(package: str) -> str | None:
    """The version of a package; None for one that is imported from its sources alone."""
    try:
        return __version__ if package == OWN else importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None


_collectors: list[dict[str, None]] = []


@functools.cache
def _log_once(line: str) -> None:
    logger.warning("%s", line)


@contextmanager
def noted() -> Iterator[dict[str, None]]:
    """The warnings on what is used inside, as keys, whether or not they were logged before."""
    lines: dict[str, None] = {}
    _collectors.append(lines)
    try:
        yield lines
    finally:
        _collectors.remove(lines)


# Declarations --------------------------------------------------------------------------------------------------------


def deprecated(
    *, since: str, removed_in: str, renamed: str = "", instead: str = "", package: str = OWN
) -> Callable[[Class], Class]:
    """Decorator of a deprecated class.

    Args:
        since: the first version in which it is deprecated.
        removed_in: the first version that refuses it.
        renamed: name of the class that it is called now. The old class is then an empty subclass of that one, under
            which models are stored from now on.
        instead: what to do instead, in words, where no class takes its place.
        package: that has the class.

    Raises:
        TypeError: if the declaration is incomplete, or the class is not what it says.
    """
    declared = Deprecation(since, removed_in, renamed, instead, package)

    def decorate(cls: Class) -> Class:
        _check_package(cls, package)
        base, constructor = cls.__base__, cls.__init__
        if renamed and (base is None or base.__name__ != renamed or {"__init__", "forward"} & set(vars(cls))):
            raise TypeError(f"{cls.__name__} is renamed to {renamed}: make it an empty subclass of that class")

        @functools.wraps(constructor)
        def report(self: Any, *args: Any, **kwargs: Any) -> None:
            declared.report(cls.__name__)
            constructor(self, *args, **kwargs)

        cls.__init__ = report
        cls.deprecation = declared
        cls.__deprecated__ = declared.line(cls.__name__)  # of PEP 702, which other tools read
        return cls

    return decorate


def deprecated_argument(
    argument: str, *, since: str, removed_in: str, renamed: str = "", instead: str = "", package: str = OWN,
    default: Any = None,
) -> Callable[[Class], Class]:  # fmt: skip
    """Decorator of a class with a deprecated argument, which is given by keyword.

    With a new name the constructor takes only that. Without one it takes the argument until ``removed_in``.

    Args:
        argument: its name.
        since: the first version in which it is deprecated.
        removed_in: the first version that refuses it.
        renamed: its new name.
        instead: what to do instead, in words, where it has no new name.
        package: that has the class.
        default: of an argument without a new name.

    Raises:
        TypeError: if the declaration is incomplete, or the class is not what it says.
    """
    declared = Deprecation(since, removed_in, renamed, instead, package, argument, default)

    def decorate(cls: Class) -> Class:
        _check_package(cls, package)
        constructor = cls.__init__
        taken = _taken(constructor)
        if renamed and (argument in taken or renamed not in taken):
            raise TypeError(f"{cls.__name__} must take {renamed}, and {argument} no more")
        if not renamed and argument not in taken and not declared.is_over() and installed_version(package):
            raise TypeError(f"{cls.__name__} must take {argument} until {package} {removed_in}")

        @functools.wraps(constructor)
        def translate(self: Any, *args: Any, **kwargs: Any) -> None:
            owner = type(self) if type(self).__init__ is translate else cls  # a subclass may have such an argument too
            constructor(self, *args, **current_arguments(owner, kwargs, of=translate))

        translate.deprecations = (declared, *getattr(constructor, "deprecations", ()))  # type: ignore[attr-defined]
        cls.__init__ = translate
        return cls

    return decorate


def _check_package(cls: type, package: str) -> None:
    if package == OWN and cls.__module__.partition(".")[0] != OWN.replace("-", "_"):
        raise TypeError(f"{cls.__name__} is of {cls.__module__}: name the package whose versions these are")


def _taken(constructor: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(constructor).parameters


# Use -----------------------------------------------------------------------------------------------------------------


def of_class(cls: type) -> dict[str, Deprecation]:
    """Deprecated ones among a class and those that it derives from, by name."""
    found = {base.__name__: vars(base).get("deprecation") for base in cls.__mro__}
    return {name: declared for name, declared in found.items() if declared is not None}


def current_class(cls: type, *, report: bool = True) -> type:
    """The class that a renamed one is called now; any other as it is.

    Raises:
        ConfigurationError: if the old name is gone and ``report`` is set.
    """
    declared: Deprecation | None = vars(cls).get("deprecation")
    if declared is None or not declared.renamed or cls.__base__ is None:
        return cls
    if report:
        declared.report(cls.__name__)
    return current_class(cls.__base__, report=report)  # it may have been renamed again


def current_arguments(
    cls: type, arguments: Mapping[str, Any], *, of: Any = None, report: bool = True
) -> dict[str, Any]:
    """Arguments by the names that a class's constructor has for them now.

    Args:
        cls: the class.
        arguments: by name.
        of: the constructor; None for the class's own.
        report: log a warning for what is deprecated, and refuse what is gone; otherwise only the names change.

    Raises:
        ConfigurationError: if one is gone, or is given by both names, and ``report`` is set.
    """
    constructor = cls.__init__ if of is None else of  # type: ignore[misc]
    found = dict(arguments)
    for declared in getattr(constructor, "deprecations", ()):
        old, new = declared.argument, declared.renamed
        if old not in found:
            continue
        idle = not new and _plain(found[old]) == _plain(declared.default)
        if report and not idle:
            declared.report(cls.__name__)
            if new in found:
                raise ConfigurationError(f"{cls.__name__} is given {old} and {new}, its new name; leave {old} out")
        if new:
            found = {new if name == old else name: value for name, value in found.items() if name != new}
        elif idle and old not in _taken(constructor):
            del found[old]
    return found


def current_argument(cls: type, name: str) -> str:
    """The name that an argument of a class's constructor has now, by which alone it is given on the command line.

    Raises:
        ConfigurationError: if it is gone.
    """
    for declared in getattr(cls.__init__, "deprecations", ()):  # type: ignore[misc]
        if declared.argument == name and (declared.renamed or name not in _taken(cls.__init__)):  # type: ignore[misc]
            declared.report(cls.__name__)
            return str(declared.renamed)
    return name


def _plain(value: Any) -> Any:
    """Lists for tuples, as files have them."""
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value
