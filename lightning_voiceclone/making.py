"""Parts from the command line: ``NAME:setting=value,setting=value``."""

import inspect
from typing import Any

from lightning_voiceclone import plugins
from lightning_voiceclone.errors import ConfigurationError, nearest


def make_part(kind: str, text: str, *positional: Any, **further: Any) -> Any:
    """The part that ``NAME:setting=value,setting=value`` describes.

    Raises:
        PluginError: if no part has that name.
        ConfigurationError: if it has no such setting, or a value cannot be read.
    """
    import yaml

    name, _, settings = text.partition(":")
    cls = plugins.find(kind, name).load()
    given = dict(further)
    for setting in filter(None, settings.split(",")):
        key, equals, value = setting.partition("=")
        if not equals:
            raise ConfigurationError(f"{text!r}: expected {name}:setting=value,setting=value, found {setting!r}")
        try:
            given[key] = yaml.safe_load(value)
        except (yaml.YAMLError, ValueError) as error:  # ValueError: a date that no calendar has
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
