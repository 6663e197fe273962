"""Journal of finished work, so that the next run does only what is missing or changed."""

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from lightning_voiceclone.utils.reading import is_within, parse_json

Entry = dict[str, Any]
MOST_LINE = 1 << 20  # bytes; an entry has some hundreds


class Journal:
    """Lines of JSON, appended as results come in: a key, and a row with the files made, or a reason to reject it.

    A line that was cut by a full disk or a killed process is passed over, and its recording done again; so is one that
    was altered so that it is no result any more, or names files outside the output.

    Args:
        path: of the file; it need not be there.
        fits: whether an entry is one that the caller can use; None takes any mapping.
    """

    def __init__(self, path: Path, fits: Callable[[Entry], bool] | None = None) -> None:
        self.path = path
        self._fits = fits
        self.entries: dict[str, Entry] = {}
        self._owners: dict[str, str] = {}
        self._cut = False
        if path.is_file():
            for line in self._lines():
                self._read(line)

    def _lines(self) -> Iterator[bytes]:
        """Lines without what is beyond ``MOST_LINE`` in one."""
        with self.path.open("rb") as file:
            beginning = True
            while line := file.readline(MOST_LINE):
                self._cut = not line.endswith(b"\n")
                if beginning:
                    yield line
                beginning = not self._cut

    def _read(self, line: bytes) -> None:
        try:
            entry = parse_json(line)
        except ValueError:
            return
        key = entry.pop("key", None) if isinstance(entry, dict) else None
        if isinstance(key, str) and _names_files_within(entry) and (self._fits is None or self._fits(entry)):
            self._add(key, entry)

    def _add(self, key: str, entry: Entry) -> None:
        self.entries[key] = entry
        self._owners.update(dict.fromkeys(entry.get("made", ()), key))

    def made(self) -> dict[str, str]:
        """Files that were made, relative to the output, each with the key of the last result that wrote it."""
        return dict(self._owners)

    def is_done(self, key: str, output: Path) -> bool:
        """Whether the result is known, and the files that belong to it are there and not another result's.

        A file that is empty was not on the disk yet when the power was lost.
        """
        entry = self.entries.get(key)
        if entry is None:
            return False
        return all(self._owners[path] == key and _has_content(output / path) for path in entry.get("made", ()))

    def append(self, results: Sequence[tuple[str, Entry]]) -> None:
        """Add results by their keys.

        Raises:
            OSError: if they cannot be written; those of before are kept.
        """
        lines = "".join(json.dumps({"key": key, **entry}) + "\n" for key, entry in results)
        with self.path.open("a", encoding="utf-8") as file:
            file.write("\n" + lines if self._cut else lines)
        self._cut = False
        for key, entry in results:
            self._add(key, entry)


def _has_content(path: Path) -> bool:
    try:
        return path.is_file() and path.stat().st_size > 0
    except OSError:
        return False


def _names_files_within(entry: Entry) -> bool:
    made = entry.get("made", [])
    return isinstance(made, list) and all(is_within(path) for path in made)


def key_of(settings: str, *parts: object) -> str:
    """A short digest of everything on which a result depends."""
    return hashlib.sha256(json.dumps([settings, *parts]).encode()).hexdigest()[:20]
