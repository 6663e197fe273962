"""A text of any length as sentences, each as soon as it is read: what follows it need not be looked at yet."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

from lightning_voiceclone.text.frontend import FrontEnd, no_words
from lightning_voiceclone.text.markup import is_markup
from lightning_voiceclone.text.normalization import check_length
from lightning_voiceclone.text.pronounced import Pause, Pronounced, Skipped, Word

ENDS = frozenset(".?!…")
SENTENCE_SECONDS, PARAGRAPH_SECONDS = 0.35, 0.8  # of silence between two; at rate 1
LONGEST = 250  # tokens of a sentence, about 20 s; a longer one is cut at a pause, or between two words
LONGEST_INSIDE = 1.0  # seconds of a break within a sentence; at a longer one it is cut
WINDOW, FIRST_WINDOW = 2000, 500  # characters that are read at once; the first sentence must not wait
UNSURE = 100  # characters at a window's end in which an end of a sentence may be an abbreviation
UNSURE_ITEMS = 30
PARAGRAPH = re.compile(r"\n[^\S\n]*\n|</p>")
BLANK = re.compile(r"\s")

Items = Sequence[Word | Pause]


@dataclass(frozen=True)
class Sentence:
    """A sentence, or a part of a long one.

    Args:
        spoken: its words and pauses, with places in the whole text; None for silence alone, at the text's end.
        pause: seconds of silence before it.
        stated: whether the markup states that pause, so that the rate of speaking does not change it.
    """

    spoken: Pronounced | None
    pause: float = 0.0
    stated: bool = False


@dataclass
class Sentences:
    """The sentences of a text, one after another: iterate over it once.

    Args:
        front: gives the pronunciation.
        text: at most ``normalization.MOST_CHARACTERS``. One with markup is read as a whole, another one 2,000
            characters at a time.

    ``skipped`` has the characters that were not spoken so far.
    """

    front: FrontEnd
    text: str
    skipped: list[Skipped] = field(default_factory=list)
    _kept: list[Word | Pause] = field(default_factory=list)
    _tokens: int = 0
    _last: int = -1  # end of the last word
    _pause: tuple[float, bool] = (0.0, False)

    def __iter__(self) -> Iterator[Sentence]:
        """Yield each sentence.

        Raises:
            TextError: if there is no word, for letters of another script, or for markup that is wrong.
        """
        check_length(self.text)
        for items in self._windows():
            for item in items:
                yield from self._add(item)
        if self._kept:
            yield self._finished()
        if self._last < 0:
            no_words(self.text, self.skipped)
        if self._pause[1] and self._pause[0]:
            yield Sentence(None, *self._pause)

    def _windows(self) -> Iterator[Items]:
        """Items of the text, part by part, each part without what may read otherwise once more is known."""
        place, whole = 0, is_markup(self.text)
        while place < len(self.text):
            end, sure = (len(self.text), True) if whole else self._window(place)
            items, skipped = self.front.read(self.text[place:end], place)
            if not sure:
                kept = _certain(items, end)
                end = end if kept == len(items) else items[kept].start
                items = items[:kept]
            self.skipped += [one for one in skipped if one.start < end]
            yield items
            place = end

    def _window(self, place: int) -> tuple[int, bool]:
        """End of the part that begins at a place, and whether it is the end of a paragraph."""
        end = place + (WINDOW if place else FIRST_WINDOW)
        if end >= len(self.text):
            return len(self.text), True
        paragraphs = list(PARAGRAPH.finditer(self.text, place, end))
        if paragraphs:
            return paragraphs[-1].end(), True
        blank = BLANK.search(self.text, end)
        return (blank.start(), False) if blank else (len(self.text), True)

    def _add(self, item: Word | Pause) -> Iterator[Sentence]:
        if isinstance(item, Pause):
            if item.seconds is not None and (not self._kept or item.seconds > LONGEST_INSIDE):
                yield from self._cut()
                before = self._pause[0] if self._pause[1] else 0.0
                self._pause = before + item.seconds, True
            elif self._kept:
                self._keep(item, 1)
                if item.mark in ENDS:
                    yield self._finished()
            return
        for piece in _pieces(item):
            while self._kept and self._tokens + len(piece.phonemes) >= LONGEST:
                yield from self._cut_long()
            if not self._kept:
                self._begin(piece)
            self._keep(piece, len(piece.phonemes) + 1)
            self._last = item.end

    def _begin(self, word: Word) -> None:
        """Lengthen the pause before a sentence that begins a paragraph."""
        seconds, stated = self._pause
        if seconds and not stated and PARAGRAPH.search(self.text, self._last, word.start):
            self._pause = PARAGRAPH_SECONDS, False

    def _keep(self, item: Word | Pause, tokens: int) -> None:
        self._kept.append(item)
        self._tokens += tokens

    def _finished(self) -> Sentence:
        """The sentence of what is kept, without the breaks at its end, which are the pause before the next."""
        kept, after = self._kept, 0.0
        while isinstance(last := kept[-1], Pause) and last.seconds is not None:
            after += last.seconds
            kept.pop()
        made = Sentence(Pronounced(self.text, tuple(kept)), *self._pause)
        self._pause = (after, True) if after else (SENTENCE_SECONDS, False)
        self._kept, self._tokens = [], 0
        return made

    def _cut(self) -> Iterator[Sentence]:
        """End a sentence that is not at its end, with no pause after it."""
        if self._kept:
            made = self._finished()
            if not self._pause[1]:
                self._pause = 0.0, False
            yield made

    def _cut_long(self) -> Iterator[Sentence]:
        """Cut at the last pause of the second half, else at the end."""
        half = len(self._kept) // 2
        marks = [at for at, item in enumerate(self._kept) if isinstance(item, Pause) and at >= half]
        cut = marks[-1] + 1 if marks else len(self._kept)
        rest = self._kept[cut:]
        self._kept = self._kept[:cut]
        yield from self._cut()
        for item in rest:
            self._keep(item, len(item.phonemes) + 1 if isinstance(item, Word) else 1)


def _certain(items: Items, end: int) -> int:
    """How many items of a part that ends within a paragraph may be taken: up to the last end of a sentence."""
    for at in range(len(items) - 1, -1, -1):
        item = items[at]
        if isinstance(item, Pause) and item.mark in ENDS and item.end < end - UNSURE:
            return at + 1
    cut = len(items) - UNSURE_ITEMS
    while 0 < cut < len(items) and items[cut].start < items[cut - 1].end:
        cut -= 1
    return cut if cut > 0 else len(items)


def _pieces(word: Word) -> list[Word]:
    """A word, or the pieces of one with more phonemes than a sentence may have; nothing of one without any."""
    if 0 < len(word.phonemes) < LONGEST:
        return [word]
    step = LONGEST - 1
    return [replace(word, phonemes=word.phonemes[at : at + step]) for at in range(0, len(word.phonemes), step)]
