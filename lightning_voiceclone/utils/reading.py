"""Reading files that another person may have made: bounded in size and depth, and shown without control characters."""

import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.terminal import printable

MOST_DEPTH = 32  # of JSON; what this package writes has 5
MOST_CONTAINERS = 400_000  # lists and mappings of JSON: empty ones take 30 times their text in memory
SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def bounded_bytes(path: str | os.PathLike[str], most: int, remedy: str) -> bytes:
    """A whole file of at most so many bytes; of a longer one, no more is read.

    Args:
        path: of the file.
        most: bytes.
        remedy: what to do where it is longer.

    Raises:
        ConfigurationError: if it is longer.
        OSError: if it cannot be read.
    """
    with Path(path).open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise ConfigurationError(f"{os.fspath(path)} is larger than {most >> 20} MiB, the most that is read; {remedy}")
    return data


def parse_json(data: bytes | str) -> Any:
    """The value that JSON holds, without NaN and Infinity, which JSON does not have, and without halves of characters.

    Raises:
        ValueError: if it is no JSON, not UTF-8, or nested deeper than ``MOST_DEPTH``.
    """
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        if text.count("[") + text.count("{") > MOST_CONTAINERS:
            raise ValueError(f"it has more than {MOST_CONTAINERS} lists and mappings")
        read = json.loads(text, parse_constant=_refuse_constant)
    except RecursionError:
        raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels") from None
    if SURROGATE.search(text):  # perhaps one of a pair; what has half of one cannot be written again
        json.dumps(read, ensure_ascii=False).encode()
    level = [read]
    for _ in range(MOST_DEPTH):
        level = [inner for value in level for inner in _inside(value)]
        if not level:
            return read
    raise ValueError(f"it is nested deeper than {MOST_DEPTH} levels")


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"it has a number {name}")


def _inside(value: Any) -> list[Any]:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [item for item in inner if isinstance(item, dict | list)]


def excerpt(value: object, most: int = 200) -> str:
    """Text for one line of a terminal, cut to ``most`` characters."""
    text = str(value)
    return printable(text if len(text) <= most else text[:most] + "…")


def is_within(path: object) -> bool:
    """Whether a file's text names something below a folder: relative, without ``..`` and NUL."""
    if not isinstance(path, str) or not path or "\0" in path:
        return False
    parts = Path(path).parts
    return bool(parts) and not Path(path).is_absolute() and ".." not in parts


def are_strings(value: object) -> bool:
    """Whether this is a list of strings."""
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def is_text_mapping(value: object) -> bool:
    """Whether this is a mapping with strings for values."""
    return isinstance(value, Mapping) and all(isinstance(item, str) for item in value.values())
