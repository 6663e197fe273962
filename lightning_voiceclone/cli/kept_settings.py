"""Settings that a class keeps from the one whose place it takes in a recipe."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from shlex import quote
from typing import Any

import yaml
from jsonargparse import Namespace

from lightning_voiceclone.core.registry import constructor_parameters
from lightning_voiceclone.utils.lightning_internals import ClassChange, imported

WHOLE = "model"  # the option whose class the whole recipe is about: a class in its place is to keep everything


def kept_lines(changes: Sequence[ClassChange], config: Namespace, words: Sequence[str]) -> list[str]:
    """A line for each class in another's place that keeps settings which differ from its own defaults.

    Args:
        changes: in their order.
        config: the configuration that came out.
        words: of the command line; a setting that is an option there is not said to be kept.
    """
    lines: dict[str, None] = {}
    changes = _placed(changes)
    for option, path, settings in _named_classes(config, ""):
        for change in changes:
            if change.new != path or option == WHOLE or change.option not in ("", option.rpartition(".")[2]):
                continue
            defaults = {name: parameter.default for name, parameter in constructor_parameters(imported(path)).items()
                        if parameter.default is not parameter.empty}  # fmt: skip
            kept = {
                name: value
                for name, value in change.kept.items()
                if settings.get(name) == value
                and _plain(value) != _plain(defaults.get(name))
                and not any(word.startswith((f"--{option}.{name}=", f"--{option}.{name}.")) for word in _joined(words))
            }
            if kept:
                lines[_line(option, change, kept, defaults)] = None
    return list(lines)


def _placed(changes: Sequence[ClassChange]) -> list[ClassChange]:
    """The changes; one without an option, which is noted before it is merged, has that of the merge that follows."""
    options: dict[tuple[str, str], str] = {}
    placed = []
    for change in reversed(changes):
        if change.option:
            options[change.old, change.new] = change.option
        placed.append(replace(change, option=options.get((change.old, change.new), "")))
    return placed[::-1]


def _line(option: str, change: ClassChange, kept: Mapping[str, Any], defaults: Mapping[str, Any]) -> str:
    old, new = (path.rpartition(".")[2] for path in (change.old, change.new))
    values = ", ".join(f"{name}={_shown(value)}" for name, value in kept.items())
    reset = " ".join(f"--{option}.{name}={quote(_shown(defaults[name]))}" for name in kept if name in defaults)
    remedy = f"; for its own: {reset}" if reset else ""  # none where the class has no default
    return f"--{option} {new} keeps {values} from the recipe's {old}{remedy}"


def _named_classes(value: Any, option: str) -> Iterator[tuple[str, str, Namespace]]:
    """The classes that a configuration names: option, path and arguments."""
    if not isinstance(value, Namespace):
        return
    if "class_path" in value:
        arguments = value.get("init_args") or Namespace()
        yield option, value["class_path"], arguments
        value = arguments
    for name, inner in value.items(branches=True, nested=False):
        yield from _named_classes(inner, f"{option}.{name}".lstrip("."))


def _joined(words: Sequence[str]) -> Iterator[str]:
    """Options with their values in one word."""
    for word, following in zip(words, [*words[1:], ""], strict=False):
        name, equals, value = word.partition("=")
        yield f"{name.replace('.init_args.', '.')}={value if equals else following}"


def _plain(value: Any) -> Any:
    return list(value) if isinstance(value, tuple) else value


def _shown(value: Any) -> str:
    """A value as the command line takes it."""
    if isinstance(value, Namespace) and "class_path" in value:
        return str(value["class_path"]).rpartition(".")[2]
    try:
        text = yaml.safe_dump(_plain(value), default_flow_style=True, width=1000).partition("\n")[0]
    except yaml.representer.RepresenterError:  # of a type that YAML has not, such as a path
        return str(value)
    return text.replace(", ", ",")
