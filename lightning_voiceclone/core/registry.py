"""Parts found by entry points, and parts from the command line: ``NAME:setting=value``.

Listing reads metadata alone; loading imports, and reports what fails.
"""

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from lightning_voiceclone import __version__
from lightning_voiceclone.core.deprecation import OWN, current_arguments
from lightning_voiceclone.core.kinds import GROUP_PREFIX, KINDS
from lightning_voiceclone.errors import ConfigurationError, PluginError, nearest


@dataclass(frozen=True)
class Plugin:
    """One entry point: ``name`` is the class's name and the name in YAML, ``value`` is ``module:Class``.

    ``requires`` is the range of versions of this package that the supplying one states as its dependency, such as
    ``<0.2,>=0.1``; empty for this package itself.
    """

    kind: str
    name: str
    package: str
    version: str
    value: str
    requires: str = ""

    def as_dict(self) -> dict[str, str]:
        """As a plain mapping with the keys kind, name, package, version, value and requires."""
        return asdict(self)

    def load(self) -> type:
        """Import the class.

        Raises:
            PluginError: if the package is for other versions of this one, the import fails, or what is imported is no
                class of that kind and name; names the plugin, its package and the cause.
        """
        if self.requires and not SpecifierSet(self.requires).contains(__version__, prereleases=True):
            raise PluginError(
                f"{self.whole} works with {OWN} {self.requires}, and this is {__version__}; install a version of"
                f" {self.package} for it"
            )
        contract = KINDS[self.kind].load_contract()
        module, _, attribute = self.value.partition(":")
        try:
            loaded = functools.reduce(getattr, attribute.split("."), self._imported(module))
        except (Exception, SystemExit) as error:
            raise PluginError(f"{self.whole} fails to import: {type(error).__name__}: {error}") from error
        if not inspect.isclass(loaded):
            raise PluginError(f"{self.whole} is no class, but a {type(loaded).__name__}; name a class in {self.value}")
        if loaded.__name__ != self.name:
            raise PluginError(
                f"{self.whole} is registered for the class {loaded.__name__};"
                " the entry's name must be the class's name, by which configurations and checkpoints call it"
            )
        if not issubclass(loaded, contract):
            group = next((f"; it belongs to {kind.group}" for kind in KINDS.values() if kind.name == _kind(loaded)), "")
            raise PluginError(
                f"{self.whole} is registered under {KINDS[self.kind].group}, but is no {contract.__name__}{group}"
            )
        return loaded

    def _imported(self, module: str) -> ModuleType:
        if self.package == OWN:
            return importlib.import_module(module)
        from lightning_voiceclone.core.importing import import_watched

        return import_watched(module, self.whole)

    @property
    def whole(self) -> str:
        """What messages call it."""
        return f"plugin {self.name} of package {self.package} {self.version}"


def _kind(cls: type) -> str | None:
    return getattr(cls, "kind", None)


@functools.cache
def _entries() -> tuple[tuple[Plugin, ...], tuple[PluginError, ...]]:
    """Plugins of the installed packages, and what is wrong with their entries that belong to no kind."""
    found: dict[tuple[str, str, str], Plugin] = {}
    strays: dict[tuple[str, str, str], PluginError] = {}
    for distribution in importlib.metadata.distributions():  # one may stand twice, as an editable install does
        entries = [entry for entry in distribution.entry_points if entry.group.startswith(GROUP_PREFIX)]
        if not entries:
            continue
        metadata, requires = distribution.metadata, _range(distribution)  # read from the file at each access
        package, version = metadata["Name"], metadata["Version"]
        for entry in entries:
            kind = entry.group.removeprefix(GROUP_PREFIX)
            if not package or not version:
                strays[entry.group, entry.name, entry.value] = PluginError(
                    f"plugin {entry.name} ({entry.value}) in {distribution.locate_file('')} belongs to a package"
                    " without name or version in its metadata, and is left out; install that package again"
                )
            elif kind in KINDS:
                made = Plugin(kind, entry.name, package, version, entry.value, requires)
                found.setdefault((kind, entry.name, package), made)  # the first on the path, which Python imports
            else:
                strays[entry.group, entry.name, package] = PluginError(
                    f"plugin {entry.name} of package {package} {version} is registered under"
                    f" {entry.group}, which is no group of a kind{nearest(kind, KINDS)}"
                )
    order = list(KINDS)
    plugins = sorted(found.values(), key=lambda plugin: (order.index(plugin.kind), plugin.name, plugin.package))
    return tuple(plugins), tuple(strays.values())


def _range(distribution: importlib.metadata.Distribution) -> str:
    """The versions of this package that one depends on."""
    for text in distribution.requires or ():
        if text.lower().startswith("lightning"):  # few are parsed: that takes time
            with suppress(InvalidRequirement):
                requirement = Requirement(text)
                of_extra = requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})
                if canonicalize_name(requirement.name) == OWN and not of_extra:
                    return str(requirement.specifier)
    return ""


def _called(kind: str | None, name: str) -> list[Plugin]:
    return [plugin for plugin in installed() if (plugin.kind, plugin.name) == (kind, name)]


def _clash(plugins: Sequence[Plugin]) -> PluginError:
    first, second, *_ = plugins
    return PluginError(
        f"two packages supply {first.name} of the kind {first.kind}: {first.package} and {second.package};"
        " uninstall one of them"
    )


def strays() -> tuple[PluginError, ...]:
    """What is wrong with entries under groups of no kind."""
    return _entries()[1]


def installed() -> tuple[Plugin, ...]:
    """All plugins, by kind and name, from the metadata of the installed packages; two may have one name."""
    return _entries()[0]


def find(kind: str, name: str, package: str | None = None) -> Plugin:
    """The plugin of that kind and name.

    Args:
        kind: of the part.
        name: of the class.
        package: that supplies it, where that is known; it decides between two of one name.

    Raises:
        PluginError: if there is none; names the nearest match and all that are installed. Or if two packages supply
            it; names both.
    """
    if kind not in KINDS:
        raise PluginError(f"there is no kind {kind!r}{nearest(kind, KINDS)}; the kinds are {', '.join(KINDS)}")
    of_kind = [plugin for plugin in installed() if plugin.kind == kind]
    found = [plugin for plugin in of_kind if plugin.name == name]
    if len(found) > 1:
        found = [plugin for plugin in found if plugin.package == package] or found
    if len(found) > 1:
        raise _clash(found)
    if not found:
        names = [plugin.name for plugin in of_kind]
        raise PluginError(
            f"no {KINDS[kind].singular} is called {name!r}{nearest(name, names)};"
            f" installed: {', '.join(names) or 'none'}"
        )
    return found[0]


def package_of(cls: type) -> Plugin | None:
    """The plugin that supplies a class, by its kind, its name and its module; None if no package does."""
    found = _called(_kind(cls), cls.__name__)
    if len(found) > 1:
        top = cls.__module__.partition(".")[0]
        found = [plugin for plugin in found if plugin.value.partition(":")[0].partition(".")[0] == top]
    return found[0] if found else None


def clashes(plugins: Sequence[Plugin]) -> list[PluginError]:
    """The errors for those of the plugins' names that two packages supply."""
    names = dict.fromkeys((plugin.kind, plugin.name) for plugin in plugins)
    return [clash for kind, name in names if (clash := clash_of(kind, name))]


def clash_of(kind: str | None, name: str) -> PluginError | None:
    """The error for a name that two packages supply; None for any other."""
    found = _called(kind, name)
    return _clash(found) if len(found) > 1 else None


@functools.cache
def load_all() -> tuple[PluginError, ...]:
    """Import every plugin, so that class names resolve; returns the errors of those that are left out.

    Left out are those that fail, and those whose name another package supplies too, but for this package's own.
    """
    failures = [*strays(), *clashes(installed())]
    for plugin in installed():
        if plugin.package != OWN and clash_of(plugin.kind, plugin.name):
            continue
        try:
            plugin.load()
        except PluginError as error:
            failures.append(error)
    return tuple(failures)


def constructor_parameters(cls: type) -> dict[str, inspect.Parameter]:
    """Parameters of a class's constructor; on Python 3.10 ``inspect.signature(cls)`` gives those of ``__new__``."""
    return dict(list(inspect.signature(cls.__init__).parameters.items())[1:])  # type: ignore[misc]


def parse_part(text: str) -> tuple[str, dict[str, Any]]:
    """The name and the settings of ``NAME:setting=value,setting=value``.

    Raises:
        ConfigurationError: if a setting has no value, or one that cannot be read.
    """
    import yaml

    name, _, settings = text.partition(":")
    given = {}
    for setting in filter(None, settings.split(",")):
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigurationError(f"{text!r}: expected {name}:setting=value,setting=value, found {setting!r}")
        try:
            given[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:  # ValueError: an invalid date
            reason = " ".join(str(getattr(error, "problem", None) or error).split())
            raise ConfigurationError(
                f"{text!r}: the value {value!r} of {key} cannot be read ({reason}); give a number, a word, true, false"
                " or null, with no comma inside"
            ) from error
    return name, given


def make_part(kind: str, text: str, *positional: Any, **further: Any) -> Any:
    """The part that ``NAME:setting=value,setting=value`` describes.

    Raises:
        PluginError: if no part has that name.
        ConfigurationError: if it has no such setting, or a value cannot be read.
    """
    name, settings = parse_part(text)
    cls = find(kind, name).load()
    given = current_arguments(cls, further | settings)
    parameters = dict(list(constructor_parameters(cls).items())[len(positional) :])
    if unknown := [key for key in given if key not in parameters]:
        raise ConfigurationError(
            f"{name} has no setting {unknown[0]!r}{nearest(unknown[0], parameters)};"
            f" it has {', '.join(parameters) or 'none'}"
        )
    lacking = [key for key, parameter in parameters.items()
               if key not in given and parameter.default is inspect.Parameter.empty
               and parameter.kind not in (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)]  # fmt: skip
    if lacking:
        raise ConfigurationError(f"{name} cannot be used by itself here: it needs {', '.join(lacking)}; name another")
    try:
        return cls(*positional, **given)
    except TypeError as error:
        raise ConfigurationError(f"{text!r}: {error}; look at the types of the settings") from error
