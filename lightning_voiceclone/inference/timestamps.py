"""When each word and phoneme is spoken: as JSON, SubRip, WebVTT, or a TextGrid of Praat."""

import json
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.speech_pieces import Planned
from lightning_voiceclone.text import inventory
from lightning_voiceclone.text.pronounced import Word
from lightning_voiceclone.text.subtitles import shown
from lightning_voiceclone.utils.files import atomic_file


class Span(NamedTuple):
    """A phoneme and its time.

    Args:
        name: of ARPAbet, a vowel with its stress.
        start: in seconds.
        end: in seconds.
    """

    name: str
    start: float
    end: float


@dataclass(frozen=True)
class TimedWord:
    """A word and its time.

    Args:
        word: as the front end gives it.
        sentence: number of its sentence, from 0.
        phonemes: one after another, without gaps.
    """

    word: Word
    sentence: int
    phonemes: tuple[Span, ...]

    @property
    def start(self) -> float:
        """In seconds."""
        return self.phonemes[0].start

    @property
    def end(self) -> float:
        """In seconds."""
        return self.phonemes[-1].end


def timed_words(planned: Iterable[tuple[float, Planned]], frame_rate: float) -> Iterator[TimedWord]:
    """Words with their times.

    Args:
        planned: sentences, each with the second at which it begins.
        frame_rate: frames a second.
    """
    for number, (begin, (spoken, durations)) in enumerate(planned):
        frame, spans = 0, dict[int, list[Span]]()
        for token, owner, count in zip(spoken.tokens, spoken.owners, durations, strict=True):
            if isinstance(spoken.items[owner], Word) and inventory.TOKENS[token] != inventory.WORD:
                span = Span(inventory.TOKENS[token], begin + frame / frame_rate, begin + (frame + count) / frame_rate)
                spans.setdefault(owner, []).append(span)
            frame += count
        for owner, phonemes in spans.items():
            word = spoken.items[owner]
            assert isinstance(word, Word)
            yield TimedWord(word, number, tuple(phonemes))


def explained(planned: Iterable[tuple[float, Planned]], frame_rate: float) -> Iterator[tuple[str, ...]]:
    """For each word and pause what is written and spoken, the origin, the second, and tokens with milliseconds.

    Args:
        planned: sentences, each with the second at which it begins.
        frame_rate: frames a second.
    """
    for begin, (spoken, durations) in planned:
        frame, starts, tokens = 0, dict[int, float](), dict[int, list[str]]()
        for token, owner, count in zip(spoken.tokens, spoken.owners, durations, strict=True):
            starts.setdefault(owner, begin + frame / frame_rate)
            if inventory.TOKENS[token] != inventory.WORD or count:
                shown_token = inventory.TOKENS[token].replace(inventory.WORD, "_")
                tokens.setdefault(owner, []).append(f"{shown_token} {1000 * count / frame_rate:.0f}")
            frame += count
        for at, (written, said, origin, _) in enumerate(spoken.explained()):
            yield written, said, origin, f"{starts[at]:.2f}", "  ".join(tokens.get(at, []))


def as_json(words: Sequence[TimedWord], seconds: float) -> str:
    """All that is known; characters are places in the text."""
    listed = [{"word": one.word.spoken, "start": _rounded(one.start), "end": _rounded(one.end),
               "sentence": one.sentence, "characters": [one.word.start, one.word.end], "origin": one.word.origin,
               "phonemes": [{"phoneme": span.name, "start": _rounded(span.start), "end": _rounded(span.end)}
                            for span in one.phonemes]} for one in words]  # fmt: skip
    return json.dumps({"seconds": _rounded(seconds), "words": listed}, indent=1) + "\n"


def as_srt(words: Sequence[TimedWord], seconds: float) -> str:
    """A cue for each word."""
    return "\n".join(f"{number}\n{shown(one.start)} --> {shown(one.end)}\n{one.word.spoken}\n"
                     for number, one in enumerate(words, 1))  # fmt: skip


def as_vtt(words: Sequence[TimedWord], seconds: float) -> str:
    """A cue for each sentence, in which each word but the first has its time."""
    sentences: dict[int, list[TimedWord]] = {}
    for one in words:
        sentences.setdefault(one.sentence, []).append(one)
    cues = []
    for said in sentences.values():
        text = " ".join([said[0].word.spoken, *(f"<{_dotted(one.start)}>{one.word.spoken}" for one in said[1:])])
        cues.append(f"{_dotted(said[0].start)} --> {_dotted(said[-1].end)}\n{text}\n")
    return "\n".join(["WEBVTT\n", *cues])


def as_textgrid(words: Sequence[TimedWord], seconds: float) -> str:
    """Two tiers of intervals, words and phonemes, which Praat opens; silence is an empty interval."""
    tiers = {"words": [Span(one.word.spoken, one.start, one.end) for one in words],
             "phonemes": [span for one in words for span in one.phonemes]}  # fmt: skip
    lines = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_rounded(seconds)}",
             "tiers? <exists>", f"size = {len(tiers)}", "item []:"]  # fmt: skip
    for number, (name, spans) in enumerate(tiers.items(), 1):
        filled = list(_without_gaps(spans, seconds))
        lines += [f"    item [{number}]:", '        class = "IntervalTier"', f'        name = "{name}"',
                  "        xmin = 0", f"        xmax = {_rounded(seconds)}",
                  f"        intervals: size = {len(filled)}"]  # fmt: skip
        for at, span in enumerate(filled, 1):
            lines += [f"        intervals [{at}]:", f"            xmin = {_rounded(span.start)}",
                      f"            xmax = {_rounded(span.end)}", f'            text = "{span.name}"']  # fmt: skip
    return "\n".join(lines) + "\n"


FORMATS: dict[str, Callable[[Sequence[TimedWord], float], str]] = {
    ".json": as_json, ".srt": as_srt, ".vtt": as_vtt, ".textgrid": as_textgrid,
}  # fmt: skip


def format_of(path: str | os.PathLike[str]) -> Callable[[Sequence[TimedWord], float], str]:
    """The writer of a path's suffix.

    Raises:
        ConfigurationError: if it is another one; names those that there are.
    """
    suffix = Path(path).suffix
    if suffix.lower() not in FORMATS:
        raise ConfigurationError(f"--timestamps is {os.fspath(path)!r}, but must end in .json, .srt, .vtt or .TextGrid")
    return FORMATS[suffix.lower()]


def write_timestamps(path: str | os.PathLike[str], words: Sequence[TimedWord], seconds: float) -> None:
    """Write times in the format of the suffix, whole or not at all.

    Args:
        path: ending in .json, .srt, .vtt or .TextGrid.
        words: in order.
        seconds: length of the speech.

    Raises:
        ConfigurationError: if the suffix is another one.
        OSError: if the file cannot be written.
    """
    text = format_of(path)(words, seconds)
    with atomic_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def _without_gaps(spans: Sequence[Span], seconds: float) -> Iterator[Span]:
    place = 0.0
    for span in spans:
        if _rounded(span.start) > _rounded(place):
            yield Span("", place, span.start)
        yield span
        place = span.end
    if _rounded(seconds) > _rounded(place):
        yield Span("", place, seconds)


def _rounded(seconds: float) -> float:
    return round(seconds, 6)


def _dotted(seconds: float) -> str:
    return shown(seconds).replace(",", ".")
