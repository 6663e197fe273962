"""The front end of speech from text: ``FrontEnd().pronounce(text) -> Pronounced``. It needs no torch."""

import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, NoReturn

from lightning_voiceclone.text import dictionary, homographs, inventory, letter_to_sound, markup, numbers
from lightning_voiceclone.text.inflection import inflected, plural_sound
from lightning_voiceclone.text.letter_names import LETTER_NAMES
from lightning_voiceclone.text.normalization import NoWordError, TextError, check_length, normalize
from lightning_voiceclone.text.pronounced import Origin, Pause, Pronounced, Skipped, Word
from lightning_voiceclone.text.scanning import Item, plain_word

LONGEST_WORD = 60  # letters; a longer one is no word, and is spelled
ENGLISH = "en-us"
WHOLE = re.compile(r"[\d,]+(?:st|nd|rd|th)?", re.ASCII)  # what is said as a cardinal or an ordinal
MOST_NAMED = 5  # characters in a message

if TYPE_CHECKING:
    from lightning_voiceclone.text.foreign import Foreign

Scan = Callable[[str], list[Item]]


class FrontEnd:
    """English text to words with phonemes.

    A word's phonemes are those of the markup, else of the lexicon, else of the dictionary in the sense that the words
    around it suggest, else of a form of a word of the dictionary, else of a model of letters to sounds.

    Args:
        lexicon: pronunciations by word in small letters (``lexicon.read_lexicon``).
        language: another than English is pronounced by espeak-ng (the extra espeak), with the nearest phonemes that
            English has; such as de.

    Raises:
        LVCError: if espeak-ng is needed and not installed.
    """

    def __init__(self, lexicon: Mapping[str, Sequence[str]] | None = None, *, language: str = ENGLISH):
        self.lexicon = {word: tuple(said) for word, said in (lexicon or {}).items()}
        self._foreign = _foreign(language)
        self._found: dict[tuple[str, str], tuple[tuple[str, ...], Origin]] = {}

    def pronounce(self, text: str) -> Pronounced:
        """Words, pauses and tokens of a text, with or without markup.

        Signs and emoji without a name here are listed in ``skipped``.

        Raises:
            TextError: if there is no word, if there are letters of another script, or for markup that is wrong; names
                the characters and the place.
        """
        check_length(text)
        items, skipped = self.read(text)
        if not any(isinstance(item, Word) for item in items):
            no_words(text, skipped)
        return Pronounced(text, tuple(items), tuple(skipped))

    def read(self, text: str, offset: int = 0) -> tuple[list[Word | Pause], list[Skipped]]:
        """Words and pauses of a part of a text, and the characters that are not spoken; there may be no word.

        Args:
            text: the part; without markup, unless it is the whole.
            offset: of its first character in the whole, in which all places are.

        Raises:
            TextError: for letters of another script, or markup that is wrong.
        """
        scan = self._foreign.scan if self._foreign else partial(normalize, own=self.lexicon)
        items = _marked(text, scan) if markup.is_markup(text) else scan(text)
        if offset:
            items = [replace(item, start=item.start + offset, end=item.end + offset) for item in items]
        skipped = [item for item in items if item.kind == "unknown"]
        self._refuse_scripts(skipped)
        kept = [item for item in items if item.kind != "unknown"]
        found = [item if isinstance(item, Pause) else self._item(kept, at) for at, item in enumerate(kept)]
        return _the_before_vowels(_pauses(found)), [Skipped(item.text, item.start) for item in skipped]

    def _item(self, items: Sequence[Item], at: int) -> Word | Pause:
        item = items[at]
        if item.kind == "punctuation":
            return Pause(item.text, item.start, item.end, item.seconds)
        phonemes, origin = self._phonemes(items, at)
        return Word(item.text, item.start, item.end, phonemes, origin, item.rate, item.pitch)

    def _phonemes(self, items: Sequence[Item], at: int) -> tuple[tuple[str, ...], Origin]:
        item = items[at]
        if item.phonemes:
            return item.phonemes, "markup"
        if item.kind == "letter":
            return _letter_name(item.text), "letter"
        if self._foreign and item.text not in self.lexicon:
            return self._foreign.phonemes(item.text), "espeak"
        meant = homographs.sense(items, at) if homographs.has_senses(item.text) else ""
        key = (item.text, meant)
        if key not in self._found:
            self._found[key] = self._look_up(*key)
        return self._found[key]

    def _look_up(self, word: str, meant: str) -> tuple[tuple[str, ...], Origin]:
        if word in self.lexicon:
            return self.lexicon[word], "lexicon"
        if homographs.has_senses(word):
            said = homographs.chosen(word, meant)
            if said:
                return said, "dictionary"
        known = dictionary.english().pronunciations(word)
        if known:
            return known[0], "dictionary"
        formed = inflected(word, self._known)
        if formed:
            return formed, "rule"
        if len(word) > LONGEST_WORD:
            return _spelled(word), "letter"
        guessed = letter_to_sound.english().pronounce(word)
        return (tuple(guessed), "letters") if guessed else (_spelled(word), "letter")

    def _known(self, word: str) -> tuple[str, ...] | None:
        said = dictionary.english().pronunciations(word)
        return self.lexicon.get(word) or (said[0] if said else None)

    def _refuse_scripts(self, skipped: Iterable[Item]) -> None:
        letters = [Skipped(item.text, item.start) for item in skipped
                   if item.text.isalpha() or item.text.isdecimal()]  # fmt: skip
        if letters:
            raise TextError(
                f"{_named(letters)} cannot be read: the front end reads English in Latin letters; write the word in"
                " these, or give its phonemes in a lexicon or by <phoneme>"
            )


def _foreign(language: str) -> "Foreign | None":
    if language == ENGLISH:
        return None
    from lightning_voiceclone.text.foreign import Foreign

    return Foreign(language)


def no_words(text: str, skipped: Sequence[Skipped]) -> NoReturn:
    """Refuse a text without words.

    Raises:
        NoWordError: always; names the first characters that are not spoken.
    """
    if not text.strip():
        raise NoWordError("the text is empty; give it at least one word")
    named = f" ({_named(skipped)} are not spoken)" if skipped else ""
    raise NoWordError(f"the text has no word{named}; give it at least one")


def _named(skipped: Sequence[Skipped]) -> str:
    """The first characters with their Unicode names and places, for a message."""
    first: dict[str, Skipped] = {}
    for one in skipped:
        first.setdefault(one.character, one)
    shown = list(first.values())[:MOST_NAMED]
    more = f" and {len(skipped) - len(shown)} more" if len(skipped) > len(shown) else ""
    return ", ".join(describe(one.character, one.start) for one in shown) + more


def describe(character: str, place: int) -> str:
    """A character for a message: its name in Unicode, and its place, counted from 1."""
    name = unicodedata.name(character, f"U+{ord(character):04X}")
    shown = f"{character} " if character.isprintable() else ""
    return f"{shown}({name}) at character {place + 1}"


def _letter_name(text: str) -> tuple[str, ...]:
    name = LETTER_NAMES[text[0]]
    return (*name, *plural_sound(name)) if text.endswith("'s") else name


def _spelled(word: str) -> tuple[str, ...]:
    return tuple(sound for letter in word if letter in LETTER_NAMES for sound in LETTER_NAMES[letter])


def _pauses(items: Sequence[Word | Pause]) -> list[Word | Pause]:
    """Without marks before the first word, and of several in a row the strongest; breaks stay."""
    weight = {mark: at for at, mark in enumerate(("(", ")", '"', ",", "—", ":", ";", "…", ".", "!", "?"))}
    kept: list[Word | Pause] = []
    for item in items:
        last = kept[-1] if kept else None
        if isinstance(item, Pause) and item.seconds is None:
            if last is None:
                continue
            if isinstance(last, Pause) and last.seconds is None:
                if weight[item.mark] > weight[last.mark]:
                    kept[-1] = item
                continue
        kept.append(item)
    return kept


def _the_before_vowels(items: Sequence[Word | Pause]) -> list[Word | Pause]:
    """The article "the" is DH IY0 before a vowel."""
    found = list(items)
    for at, item in enumerate(found[:-1]):
        after = found[at + 1]
        if isinstance(item, Word) and isinstance(after, Word) and item.spoken == "the" and item.origin == "dictionary":
            vowel = bool(after.phonemes) and after.phonemes[0][-1].isdigit()
            found[at] = replace(item, phonemes=("DH", "IY0" if vowel else "AH0"))
    return found


def _marked(text: str, scan: Scan) -> list[Item]:
    """Items of a text with markup; runs of text on both sides of a tag are normalised together."""
    items: list[Item] = []
    run: list[markup.Piece] = []
    for piece in markup.parse(text):
        if piece.text and not (piece.phonemes or piece.alias or piece.say_as):
            run.append(piece)
            continue
        if piece.pause is None:
            items += _run(run, scan)
            run = []
            items += _special(piece, scan)
        else:
            run.append(piece)
    return items + _run(run, scan)


def _run(pieces: Sequence[markup.Piece], scan: Scan) -> list[Item]:
    """Items of pieces of plain text and breaks in a row."""
    text = "".join(piece.text for piece in pieces)
    places = [place for piece in pieces for place in piece.places[: len(piece.text)]]
    owners = [at for at, piece in enumerate(pieces) for _ in piece.text]
    ends = [place for piece in pieces for place in piece.places[1 : len(piece.text) + 1]]
    breaks, length = [], 0
    for piece in pieces:
        if piece.pause is not None:
            breaks.append((length, _break(piece)))
        length += len(piece.text)
    items: list[Item] = []
    for item in scan(text):
        while breaks and breaks[0][0] <= item.start:
            items.append(breaks.pop(0)[1])
        owner = pieces[owners[item.start]] if item.start < len(owners) else pieces[-1]
        start = places[item.start] if item.start < len(places) else ends[-1]
        items.append(replace(item, start=start, end=max(start, ends[item.end - 1] if item.end > item.start else start),
                             rate=owner.rate, pitch=owner.pitch))  # fmt: skip
    return items + [one for _, one in breaks]


def _break(piece: markup.Piece) -> Item:
    return Item(inventory.BREAK, piece.places[0], piece.places[0], "punctuation", seconds=piece.pause)


def _special(piece: markup.Piece, scan: Scan) -> list[Item]:
    """Items of an element whose text is replaced or said in a certain way."""
    if piece.ends:
        return [Item(".", piece.places[0], piece.places[0], "punctuation")]
    start, end = piece.places[0], piece.places[-1]
    if piece.phonemes:
        found = [Item(plain_word(piece.text.strip()), start, end, phonemes=piece.phonemes)]
    elif piece.alias:
        found = scan(piece.alias)
    else:
        found = _said_as(piece)
    return [replace(item, start=start, end=end, rate=piece.rate, pitch=piece.pitch) for item in found]


def _said_as(piece: markup.Piece) -> list[Item]:
    text = piece.text.strip()
    if piece.say_as in ("characters", "spell-out"):
        spaced = [_letters(character) if character.isalpha() else normalize(character)
                  for character in text if not character.isspace()]  # fmt: skip
        return [item for some in spaced for item in some if item.kind != "punctuation"]
    digits = "".join(character for character in text if character.isdecimal() and character.isascii())
    if not digits:
        raise TextError(f"character {piece.places[0] + 1}: <say-as interpret-as={piece.say_as!r}> needs a number")
    speak = {"cardinal": numbers.cardinal, "ordinal": numbers.ordinal}.get(piece.say_as, numbers.spelled)
    if speak is not numbers.spelled and not WHOLE.fullmatch(text):
        raise TextError(
            f"character {piece.places[0] + 1}: <say-as interpret-as={piece.say_as!r}> needs a whole number, not"
            f" {text[:40]!r}; without the element it is read as it is written"
        )
    return [Item(word, 0, 0) for word in speak(digits)]


def _letters(character: str) -> list[Item]:
    """The name of a letter, or of those that it is written with in English: two for an ß."""
    letters = plain_word(character)
    if not letters or any(letter not in LETTER_NAMES for letter in letters):
        return [Item(character, 0, 0, "unknown")]
    return [Item(letter, 0, 0, "letter") for letter in letters]
