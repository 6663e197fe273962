"""Texts in other languages than English, by espeak-ng, word by word, so that each word keeps its place."""

import functools
import re

from lightning_voiceclone.text.espeak import Espeak
from lightning_voiceclone.text.inventory import parse_ipa
from lightning_voiceclone.text.normalization import TextError
from lightning_voiceclone.text.scanning import Item
from lightning_voiceclone.text.wording import PUNCTUATION, SILENT

PIECE = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+(?:[\'’\u0300-\u036f\u0900-\u0dff][^\W\d_]*)*|\.{3}|\S")


class Foreign:
    """Words and phonemes of one language.

    Args:
        language: as espeak-ng names it.

    Raises:
        LVCError: if espeak-ng is not installed, or has no such language.
    """

    def __init__(self, language: str):
        self.language = language
        self._espeak = Espeak()
        self._espeak.phonemes("a", language)

    def scan(self, text: str) -> list[Item]:
        """Words as they are written, numbers too, and punctuation."""
        items = []
        for match in PIECE.finditer(text):
            mark = PUNCTUATION.get(match[0][0], "") if len(match[0]) == 1 else "…" if match[0] == "..." else ""
            if mark:
                items.append(Item(mark, *match.span(), kind="punctuation"))
            elif match[0][0].isalnum():
                items.append(Item(match[0].lower(), *match.span()))
            elif match[0] not in SILENT:
                items.append(Item(match[0], *match.span(), kind="unknown"))
        return items

    @functools.lru_cache(maxsize=20_000)  # noqa: B019 - a front end lives as long as the process
    def phonemes(self, word: str) -> tuple[str, ...]:
        """Phonemes of a word.

        Raises:
            TextError: if espeak-ng gives none, or one that has no neighbour in English.
        """
        said = re.sub(r"\([a-z-]+\)", "", self._espeak.phonemes(word, self.language))
        try:
            return parse_ipa(said.replace("\n", " "))
        except ValueError as error:
            raise TextError(f"{word[:40]!r} is {said[:60]!r} by espeak-ng in {self.language}: {error}") from None
