"""What the front end makes of a text: words with their places and phonemes, pauses, and tokens for a text encoder."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from lightning_voiceclone.text import inventory

Origin = Literal["markup", "lexicon", "dictionary", "letter", "rule", "letters", "espeak"]


@dataclass(frozen=True)
class Word:
    """One spoken word.

    Args:
        spoken: in small letters.
        start: of the characters of the text that it stands for.
        end: after the last of them.
        phonemes: of ARPAbet, vowels with their stress.
        origin: of the phonemes. "letter" is the name of a letter, "rule" a form of a word of the dictionary, "letters"
            the model of letters to sounds.
        rate: factor of the rate of speaking, from the markup.
        pitch: factor of the pitch, from the markup.
    """

    spoken: str
    start: int
    end: int
    phonemes: tuple[str, ...]
    origin: Origin
    rate: float = 1.0
    pitch: float = 1.0


@dataclass(frozen=True)
class Pause:
    """A mark of punctuation, or a break of the markup.

    Args:
        mark: one of ``inventory.MARKS``, or ``inventory.BREAK``.
        start: of its characters of the text.
        end: after the last of them.
        seconds: of a break; None for punctuation, whose length the text encoder predicts.
    """

    mark: str
    start: int
    end: int
    seconds: float | None = None


@dataclass(frozen=True)
class Skipped:
    """A character that has no sound here, such as an emoji."""

    character: str
    start: int


@dataclass(frozen=True)
class Pronounced:
    """A text as it is to be spoken.

    Args:
        text: as it was given, markup and all: all places are in it.
        items: words and pauses in order; at least one word.
        skipped: characters that are not spoken.
    """

    text: str
    items: tuple[Word | Pause, ...]
    skipped: tuple[Skipped, ...] = ()
    _lists: tuple[list[int], list[int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        tokens, owners = [], []
        for at, item in enumerate(self.items):
            if isinstance(item, Word):
                names: tuple[str, ...] = item.phonemes
                if at and isinstance(self.items[at - 1], Word):
                    names = (inventory.WORD, *names)
            else:
                names = (item.mark,)
            tokens += inventory.numbers(names)
            owners += [at] * len(names)
        object.__setattr__(self, "_lists", (tokens, owners))

    def with_words(self, words: Iterable[Word]) -> "Pronounced":
        """The same text and pauses, with other words in the place of its own; as many, in order."""
        rest = iter(words)
        items = tuple(next(rest) if isinstance(item, Word) else item for item in self.items)
        return Pronounced(self.text, items, self.skipped)

    @property
    def words(self) -> list[Word]:
        """The words alone."""
        return [item for item in self.items if isinstance(item, Word)]

    @property
    def tokens(self) -> list[int]:
        """Numbers of ``inventory.TOKENS``: what ``TextEncoder.forward`` takes, one row of (B, L)."""
        return self._lists[0]

    @property
    def owners(self) -> list[int]:
        """For each token the index of its item; a boundary between words belongs to the later one."""
        return self._lists[1]

    def explained(self) -> list[tuple[str, str, str, str]]:
        """For each item what is written, what is spoken, where the phonemes came from, and the phonemes.

        A text that several words stand for is only at the first of them.
        """
        rows: list[tuple[str, str, str, str]] = []
        last = (-1, -1)
        for item in self.items:
            place = (item.start, item.end)
            written = "" if place == last else self.text[item.start : item.end]
            last = place
            if isinstance(item, Word):
                rows.append((written, item.spoken, item.origin, " ".join(item.phonemes)))
            else:
                rows.append((written, item.mark, "", "" if item.seconds is None else f"{item.seconds:g} s"))
        return rows

    def as_dict(self) -> dict[str, Any]:
        """What ``lvc phonemes --json`` prints."""
        items: list[dict[str, Any]] = []
        for item in self.items:
            place = {"start": item.start, "end": item.end, "written": self.text[item.start : item.end]}
            if isinstance(item, Word):
                items.append({"word": item.spoken, **place, "phonemes": list(item.phonemes), "origin": item.origin,
                              "rate": item.rate, "pitch": item.pitch})  # fmt: skip
            else:
                items.append({"pause": item.mark, **place, "seconds": item.seconds})
        skipped = [{"character": one.character, "start": one.start} for one in self.skipped]
        return {"text": self.text, "items": items, "tokens": self.tokens, "skipped": skipped}
