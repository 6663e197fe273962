"""Spoken items with their places in the text, and the table of rules that a scanner tries in order."""

import re
import unicodedata
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from typing import Literal

from lightning_voiceclone.text.tables import LETTERS

ItemKind = Literal["word", "letter", "punctuation", "unknown"]
APOSTROPHE = str.maketrans("’ʼ`´", "''''")
# Words before and after an adjective's place: a ten dollar bill, but five dollars of it.
BEFORE_NOUN = set("a an the this that these those my your his her our their its each every another one no some".split())
AFTER_NOT_NOUN = set(
    "a an the in on at to for from of off and or but by per with than more less each every is are was were has had per"
    " when while after before if that which who as about into over under left later ago away apart tall wide long deep"
    " high old thick until till so then today now this last next out up down he she they we you it".split()
)
NOUNS_OF_MONEY = set("bill bills note notes ticket tickets check coin fine fee prize deal".split())


@dataclass(frozen=True)
class Item:
    """One spoken word, or one mark of punctuation.

    Args:
        text: word in small letters, or the mark as :mod:`inventory` names it, or a character that cannot be spoken.
        start: of the characters of the text that it stands for.
        end: after the last of them.
        kind: "letter" is a word that is the name of a letter, perhaps with ``'s``.
        rate: factor of the rate of speaking.
        pitch: factor of the pitch.
        phonemes: given in the markup, with their stress; empty where they are to be found.
        seconds: of a break in the markup; None of all else.
    """

    text: str
    start: int
    end: int
    kind: ItemKind = "word"
    rate: float = 1.0
    pitch: float = 1.0
    phonemes: tuple[str, ...] = ()
    seconds: float | None = None


@dataclass
class Scanned:
    """What a rule may look at: the text, and the items before.

    Args:
        text: all of it.
        items: found so far.
        shouted: whether all words are in capitals, so that these mean nothing.
        own: words in small letters that are spoken as one word, however they are written.
    """

    text: str
    items: list[Item]
    shouted: bool = False
    own: Container[str] = ()

    counted: tuple[int, int] = (0, 0)  # place, and the quotation marks before it

    def quotes_before(self, place: int) -> int:
        """Number of quotation marks before a place, counted on from the last time: places only grow."""
        last, count = self.counted if self.counted[0] <= place else (0, 0)
        self.counted = (place, count + self.text.count('"', last, place))
        return self.counted[1]

    def before(self, place: int) -> str:
        """The word before a place as it is written, with its period; empty after other punctuation."""
        found = re.search(r"([\w'’.&]+),?[ \t]*$", self.text[max(0, place - 60) : place])
        return found[1] if found else ""

    def after(self, place: int) -> str:
        """The word after a place as it is written; empty before punctuation."""
        found = re.match(r"[ \t]*-?([\w'’]+)", self.text[place : place + 60])
        return found[1] if found else ""

    def attributive(self, start: int, end: int) -> bool:
        """Whether a quantity stands before the noun that it describes: a ten dollar bill."""
        if self.text[end : end + 1] == "-" and self.text[end + 1 : end + 2].isalpha():
            return True
        word = self.after(end)
        noun = word.islower() and word.isalpha() and len(word) > 2 and word not in AFTER_NOT_NOUN
        return noun and (self.before(start).lower() in BEFORE_NOUN or word in NOUNS_OF_MONEY)


Rule = tuple[re.Pattern[str], Callable[[re.Match[str], Scanned], Sequence[Item] | None]]


def words(spoken: str | Sequence[str], match: re.Match[str], group: int | str = 0, skip: int = 0) -> list[Item]:
    """Items of words that all stand for a group of the match; single letters among them are letters' names.

    Args:
        spoken: words, or a string of them.
        match: of a rule.
        group: of the match.
        skip: characters of the group at its beginning that the words do not stand for.
    """
    start, end = match.span(group)
    many = spoken.split() if isinstance(spoken, str) else spoken
    return [Item(word, start + skip, end, "letter" if is_letter(word) else "word") for word in many]


def is_letter(word: str) -> bool:
    """Whether a spoken word of a rule is a letter's name: ``a`` too, since no rule gives the article."""
    return re.fullmatch("[a-z](?:'s)?", word) is not None


def plain_word(text: str) -> str:
    """A written word in small letters a to z and apostrophes: without accents, with ligatures resolved."""
    lowered = "".join(LETTERS.get(letter, letter) for letter in text.translate(APOSTROPHE).lower())
    return "".join(c for c in unicodedata.normalize("NFKD", lowered) if not unicodedata.combining(c)).translate(
        APOSTROPHE
    )
