"""Written text to spoken words, each with the characters that it stands for."""

import re
from collections.abc import Container

from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.text import dates, quantities, wording
from lightning_voiceclone.text.scanning import Item, Rule, Scanned, plain_word

MOST_CHARACTERS = 2_000_000
RULES: list[Rule] = [*dates.RULES, *quantities.RULES, *wording.RULES]
_BLANK = re.compile(r"[^\S\n]+")
_WORD = re.compile(r"[^\W\d_]{1,60}(?:['’][^\W\d_]{1,60}){0,3}(?!\w)")
_BREAK = re.compile(r"\n[^\S\n]*(?:\n\s*)?")


class TextError(LVCError):
    """A text that cannot be spoken, with the reason and the place."""


class NoWordError(TextError):
    """A text without any word."""


def normalize(text: str, own: Container[str] = ()) -> list[Item]:
    """Spoken words and punctuation of an American English text, in order.

    An empty line ends a sentence. A character that cannot be spoken is an item of the kind "unknown". The time that it
    takes grows with the length of the text alone.

    Args:
        text: at most ``MOST_CHARACTERS``.
        own: words in small letters that are spoken as one word, however they are written: those of a lexicon.

    Raises:
        TextError: if it is longer.
    """
    check_length(text)
    capitals = re.findall(r"[^\W\d_]{2,}", text[:2000])
    scanned = Scanned(text, [], shouted=len(capitals) > 2 and all(word.isupper() for word in capitals), own=own)
    place = 0
    while place < len(text):
        blank = _BLANK.match(text, place)
        if blank:
            place = blank.end()
            continue
        lines = _BREAK.match(text, place)
        if lines:
            if lines[0].count("\n") > 1 and scanned.items and scanned.items[-1].kind != "punctuation":
                scanned.items.append(Item(".", *lines.span(), kind="punctuation"))
            place = lines.end()
            continue
        place = _step(scanned, place)
    return scanned.items


def check_length(text: str) -> None:
    """Refuse a text that is too long to be read at once.

    Raises:
        TextError: if it has more than ``MOST_CHARACTERS``.
    """
    if len(text) > MOST_CHARACTERS:
        raise TextError(
            f"the text has {len(text):,} characters; at most {MOST_CHARACTERS:,} are read at once: split it into parts"
        )


def _step(scanned: Scanned, place: int) -> int:
    """Append the items of the first rule that applies at a place, and give the place after them."""
    word = _WORD.match(scanned.text, place) if scanned.own else None
    if word and plain_word(word[0]) in scanned.own:
        scanned.items.append(Item(plain_word(word[0]), *word.span()))
        return word.end()
    for pattern, function in RULES:
        match = pattern.match(scanned.text, place)
        if match and match.end() > place:
            items = function(match, scanned)
            if items is not None:
                scanned.items.extend(items)
                return match.end()
    scanned.items.append(Item(scanned.text[place], place, place + 1, "unknown"))
    return place + 1
