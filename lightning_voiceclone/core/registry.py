"""Parts found by entry points, and parts from the command line: ``NAME:setting=value``.

Listing reads metadata alone; loading imports, and reports what fails.
"""

import functools
import importlib
import importlib.metadata
import inspect
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

from lightning_voiceclone.core.kinds import GROUP_PREFIX, KINDS
from lightning_voiceclone.errors import ConfigurationError, PluginError, nearest


@dataclass(frozen=True)
class Plugin:
    """One entry point: ``name`` is the class's name and the name in YAML, ``value`` is ``module:Class``."""

    kind: str
    name: str
    package: str
    version: str
    value: str

    def as_dict(self) -> dict[str, str]:
        """As a plain mapping with the keys kind, name, package, version and value."""
        return asdict(self)

    def load(self) -> type:
        """Import the class.

        Raises:
            PluginError: if that fails; names the plugin, its package and the cause.
        """
        module, _, attribute = self.value.partition(":")
        try:
            loaded = getattr(importlib.import_module(module), attribute)
        except Exception as error:
            raise PluginError(
                f"plugin {self.name} of package {self.package} {self.version} fails to import:"
                f" {type(error).__name__}: {error}"
            ) from error
        if loaded.__name__ != self.name:
            raise PluginError(
                f"plugin {self.name} of package {self.package} is registered for the class {loaded.__name__};"
                " the entry's name must be the class's name, by which configurations and checkpoints call it"
            )
        return loaded


def _entries(distributions: Iterable[importlib.metadata.Distribution]) -> list[Plugin]:
    found = {}  # one distribution may stand twice on the path, as an editable install does
    for distribution in distributions:
        for entry in distribution.entry_points:
            kind = entry.group.removeprefix(GROUP_PREFIX)
            if entry.group.startswith(GROUP_PREFIX) and kind in KINDS:
                name = distribution.metadata["Name"]
                found[kind, entry.name, name] = Plugin(kind, entry.name, name, distribution.version, entry.value)
    return sorted(found.values(), key=lambda plugin: (list(KINDS).index(plugin.kind), plugin.name, plugin.package))


def check_names(plugins: Iterable[Plugin]) -> None:
    """Refuse two plugins of one name.

    Raises:
        PluginError: names both packages.
    """
    by_name: dict[tuple[str, str], Plugin] = {}
    for plugin in plugins:
        other = by_name.setdefault((plugin.kind, plugin.name), plugin)
        if other is not plugin:
            raise PluginError(
                f"two packages supply {plugin.name} of the kind {plugin.kind}: {other.package} and {plugin.package};"
                " uninstall one of them"
            )


@functools.cache
def installed() -> tuple[Plugin, ...]:
    """All plugins, by kind and name, from the metadata of the installed packages.

    Raises:
        PluginError: if two packages supply one name.
    """
    plugins = _entries(importlib.metadata.distributions())
    check_names(plugins)
    return tuple(plugins)


def find(kind: str, name: str) -> Plugin:
    """The plugin of that kind and name.

    Raises:
        PluginError: if there is none; names the nearest match and all that are installed.
    """
    of_kind = {plugin.name: plugin for plugin in installed() if plugin.kind == kind}
    if name not in of_kind:
        raise PluginError(
            f"no {KINDS[kind].singular} is called {name!r}{nearest(name, of_kind)};"
            f" installed: {', '.join(of_kind) or 'none'}"
        )
    return of_kind[name]


@functools.cache
def load_all() -> tuple[PluginError, ...]:
    """Import every plugin, so that class names resolve; returns the errors of those that fail, which are left out.

    Raises:
        PluginError: if two packages supply one name.
    """
    failures = []
    for plugin in installed():
        try:
            plugin.load()
        except PluginError as error:
            failures.append(error)
    return tuple(failures)


def make_part(kind: str, text: str, *positional: Any, **further: Any) -> Any:
    """The part that ``NAME:setting=value,setting=value`` describes.

    Raises:
        PluginError: if no part has that name.
        ConfigurationError: if it has no such setting, or a value cannot be read.
    """
    import yaml

    name, _, settings = text.partition(":")
    cls = find(kind, name).load()
    given = dict(further)
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
    parameters = dict(list(inspect.signature(cls).parameters.items())[len(positional) :])
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
