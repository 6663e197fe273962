"""The pronouncing dictionary that ships: CMUdict (Carnegie Mellon University, BSD-2-Clause), 126,000 English words."""

import functools
import zlib
from collections.abc import Mapping, Sequence
from importlib.resources import files

Pronunciation = tuple[str, ...]


def pack(words: Mapping[str, Sequence[Sequence[str]]]) -> bytes:
    """A dictionary as bytes: one line a word, its pronunciations separated by tabs; compressed."""
    lines = ["\t".join([word, *(" ".join(one) for one in said)]) for word, said in sorted(words.items())]
    return zlib.compress("\n".join(lines).encode(), 9)


class Dictionary:
    """Words, in lower case, with their pronunciations, the usual one first.

    Args:
        data: as :func:`pack` gives it.
    """

    def __init__(self, data: bytes):
        lines = zlib.decompress(data).decode().split("\n")
        self._lines = dict(line.split("\t", 1) for line in lines)

    def __len__(self) -> int:
        return len(self._lines)

    def __contains__(self, word: str) -> bool:
        return word in self._lines

    def pronunciations(self, word: str) -> list[Pronunciation]:
        """All pronunciations of a word in lower case, the usual one first; none if it is not there."""
        line = self._lines.get(word)
        return [tuple(one.split()) for one in line.split("\t")] if line else []


@functools.lru_cache(maxsize=1)
def english() -> Dictionary:
    """The dictionary that ships."""
    return Dictionary((files(__package__) / "data" / "cmudict.bin").read_bytes())
