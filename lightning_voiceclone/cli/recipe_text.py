"""Check a recipe's text: that it is a mapping, and its aliases, a few lines of which can expand to terabytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.lightning_internals import wrap_loader

MODES = ("omegaconf+", "yaml")  # of the subcommands' parsers, and of the outer one
MOST_VALUES = 100_000  # a recipe has some hundred


def bound_recipes() -> None:
    """Make the parser check the expanded size of a text before it builds values from it."""
    for mode in MODES:
        wrap_loader(mode, _bounded)


def _bounded(load: Callable[[str], Any]) -> Callable[[str], Any]:
    if getattr(load, "bounded", False):  # by an earlier call
        return load

    def bounded_load(text: str) -> Any:
        check_aliases(text)
        return load(text)

    bounded_load.bounded = True  # type: ignore[attr-defined]
    return bounded_load


def check_mapping(path: Path) -> None:
    """Refuse a file that is no YAML mapping; what is no YAML at all is left to the parser, which names the place.

    Raises:
        ConfigurationError: names the file.
        OSError: if it cannot be read.
    """
    try:
        root = yaml.compose(path.read_bytes(), Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError, ValueError):
        return
    if not isinstance(root, yaml.MappingNode):
        what = "is empty" if root is None else "is no recipe"
        raise ConfigurationError(
            f"--config {path} {what}: a recipe is a YAML mapping with model and data; lvc recipes lists those that ship"
        )


def check_aliases(text: str) -> None:
    """Refuse YAML whose aliases expand to too much.

    Raises:
        ConfigurationError: if they refer to themselves, or all values together are more than ``MOST_VALUES``.
    """
    if "&" not in text or "*" not in text:
        return
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except (yaml.YAMLError, RecursionError):
        return  # the parser reports the error and its place
    if root is not None and _count(root, {}, set()) > MOST_VALUES:
        raise ConfigurationError(
            f"the recipe has aliases (*name) that stand for more than {MOST_VALUES:,} values; write out what they mean"
        )


def _count(node: yaml.Node, known: dict[int, int], open_: set[int]) -> int:
    """Number of values of a node with its aliases expanded; above the limit for a node that contains itself."""
    if id(node) in open_:
        return MOST_VALUES + 1
    if id(node) not in known:
        inner: list[yaml.Node] = []
        if isinstance(node, yaml.SequenceNode):
            inner = node.value
        elif isinstance(node, yaml.MappingNode):
            inner = [part for pair in node.value for part in pair]
        known[id(node)] = 1 + sum(_count(part, known, open_ | {id(node)}) for part in inner)
    return known[id(node)]
