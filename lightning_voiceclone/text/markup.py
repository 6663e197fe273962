"""A small subset of SSML, read without entities or external files, as pieces of text with what is done to them."""

import math
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import NoReturn
from xml.parsers import expat

from lightning_voiceclone.text.inventory import NAMES_OF_ALPHABETS, parse_arpabet, parse_ipa
from lightning_voiceclone.text.normalization import TextError

SIGN = re.compile(r"<[A-Za-z/!?]|&(?:amp|lt|gt|quot|apos|#\w{1,8});")
STRENGTHS = {"none": 0.0, "x-weak": 0.1, "weak": 0.2, "medium": 0.4, "strong": 0.8, "x-strong": 1.2}
RATES = {"x-slow": 0.5, "slow": 0.75, "medium": 1.0, "fast": 1.25, "x-fast": 1.75, "default": 1.0}
PITCHES = {"x-low": -6.0, "low": -3.0, "medium": 0.0, "high": 3.0, "x-high": 6.0, "default": 0.0}  # semitones
SAY_AS = ("characters", "spell-out", "cardinal", "ordinal", "digits", "telephone")
ATTRIBUTES = {
    "speak": {"version", "xml:lang", "xmlns"}, "p": set(), "s": set(), "break": {"time", "strength"},
    "prosody": {"rate", "pitch"}, "phoneme": {"alphabet", "ph"}, "sub": {"alias"}, "say-as": {"interpret-as"},
}  # fmt: skip
REQUIRED = {"phoneme": "ph", "sub": "alias", "say-as": "interpret-as"}
MOST_DEPTH, MOST_BREAK, MOST_INSIDE = 32, 60.0, 1000
LEAST_RATE, MOST_RATE, MOST_SEMITONES = 0.25, 4.0, 24.0


@dataclass(frozen=True)
class Piece:
    """Part of a text in markup.

    Args:
        places: of each character of ``text`` in the whole, and the end after the last.
        text: as it is to be normalised.
        rate: factor of the rate of speaking.
        pitch: factor of the pitch.
        phonemes: for all of it; empty where they are to be found.
        alias: text that is spoken instead.
        say_as: how it is spoken; empty for as usual.
        pause: seconds of a break, with no text; None for none.
        ends: whether a sentence or paragraph ends here, with no text.
    """

    places: tuple[int, ...]
    text: str = ""
    rate: float = 1.0
    pitch: float = 1.0
    phonemes: tuple[str, ...] = ()
    alias: str = ""
    say_as: str = ""
    pause: float | None = None
    ends: bool = False


def is_markup(text: str) -> bool:
    """Whether a text has a tag, or a sign that is written as a reference: then all of it is read as markup."""
    return SIGN.search(text) is not None


def parse(text: str) -> list[Piece]:
    """The pieces of a text with markup, in order; the element ``speak`` may be left out.

    Raises:
        TextError: for markup that is unknown, not well formed or out of range: its line and column, counted from 1.
    """
    wrapped = text if re.match(r"\s*(?:<\?xml[^>]*>\s*)?<speak[\s>/]", text) else None
    prefix = "" if wrapped else "<speak>"
    return _Reader(text, prefix, "" if wrapped else "</speak>").pieces


@dataclass
class _State:
    """What holds inside of an element."""

    name: str
    rate: float = 1.0
    pitch: float = 1.0
    piece: Piece | None = field(default=None)  # of an element whose text is replaced, or said in a certain way


class _Reader:
    """Reads with expat, which is given UTF-8: its places are bytes, ours are characters."""

    def __init__(self, text: str, prefix: str, suffix: str):
        self.text, self.prefix = text, prefix
        self.pieces: list[Piece] = []
        self.stack: list[_State] = [_State("")]
        try:
            data = (prefix + text + suffix).encode()
        except UnicodeEncodeError as error:
            self._fail("half of a character (a surrogate)", error.start - len(prefix))
        self.characters = _character_places(data)
        self.parser = expat.ParserCreate("utf-8")
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._characters
        self.parser.StartDoctypeDeclHandler = self._refuse
        self.parser.EntityDeclHandler = self._refuse
        self.parser.ProcessingInstructionHandler = self._refuse
        try:
            self.parser.Parse(data, True)
        except expat.ExpatError as error:
            message = expat.errors.messages.get(error.code, "") or expat.ErrorString(error.code)
            self._fail(f"markup that is not well formed ({message}); & and < of the text are written &amp; and &lt;")

    def _place(self) -> int:
        index = self.parser.CurrentByteIndex if self.parser.CurrentByteIndex >= 0 else self.parser.ErrorByteIndex
        index = min(max(0, index), len(self.characters) - 1)
        return min(max(0, self.characters[index] - len(self.prefix)), len(self.text))

    def _fail(self, reason: str, place: int | None = None) -> NoReturn:
        at = self._place() if place is None else place
        line = self.text.count("\n", 0, at) + 1
        column = at - (self.text.rfind("\n", 0, at) + 1) + 1
        raise TextError(f"line {line}, column {column}: {reason}")

    def _refuse(self, *_: object) -> None:
        self._fail("a declaration or an instruction; the markup may have elements alone")

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if name not in ATTRIBUTES:
            self._fail(
                f"<{name[:40]}> is no markup that is known; there are {', '.join(f'<{one}>' for one in ATTRIBUTES)}"
            )
        for attribute in attributes:
            if attribute not in ATTRIBUTES[name]:
                allowed = ", ".join(sorted(ATTRIBUTES[name])) or "none"
                self._fail(f"<{name}> has no attribute {attribute[:40]!r}; it has {allowed}")
        if name in REQUIRED and not attributes.get(REQUIRED[name], "").strip():
            self._fail(f"<{name}> needs the attribute {REQUIRED[name]!r}, with a value")
        if len(self.stack) > MOST_DEPTH:
            self._fail(f"elements are nested deeper than {MOST_DEPTH}")
        if self.stack[-1].piece is not None:
            self._fail(f"<{name}> inside of <{self.stack[-1].name}>, which may hold text alone")
        if self.stack[-1].name == "break":
            self._fail(f"<{name}> inside of <break>, which must be empty")
        state = replace(self.stack[-1], name=name)
        if name == "prosody":
            state.rate *= self._rate(attributes.get("rate", "medium"))
            state.pitch *= 2 ** (self._semitones(attributes.get("pitch", "medium")) / 12)
            if not LEAST_RATE <= state.rate <= MOST_RATE:
                self._fail(f"the rate is {state.rate:g} times; it must be from {LEAST_RATE:g} to {MOST_RATE:g}")
        elif name == "break":
            self.pieces.append(Piece((self._place(),), pause=self._seconds(attributes)))
        elif name in REQUIRED:
            state.piece = self._special(name, attributes, state)
        self.stack.append(state)

    def _special(self, name: str, attributes: dict[str, str], state: _State) -> Piece:
        piece = Piece((), rate=state.rate, pitch=state.pitch)
        if name == "sub":
            return replace(piece, alias=attributes["alias"])
        if name == "say-as":
            kind = attributes["interpret-as"]
            if kind not in SAY_AS:
                self._fail(f"interpret-as is {kind[:40]!r}; it must be one of {', '.join(SAY_AS)}")
            return replace(piece, say_as=kind)
        alphabet = attributes.get("alphabet", "ipa")
        if alphabet not in NAMES_OF_ALPHABETS:
            self._fail(f"alphabet is {alphabet[:40]!r}; it must be {' or '.join(NAMES_OF_ALPHABETS)}")
        reader: Callable[[str], tuple[str, ...]] = parse_ipa if alphabet == "ipa" else parse_arpabet
        try:
            return replace(piece, phonemes=reader(attributes["ph"]))
        except ValueError as error:
            self._fail(f"ph is {attributes['ph'][:80]!r}: {error}")

    def _end(self, name: str) -> None:
        state = self.stack.pop()
        if state.piece is not None:
            if not state.piece.text.strip():
                self._fail(f"<{name}> has no text")
            self.pieces.append(state.piece)
        elif name in ("p", "s"):
            self.pieces.append(Piece((self._place(),), ends=True))

    def _characters(self, data: str) -> None:
        state, start = self.stack[-1], self._place()
        if state.name == "break":
            self._fail("<break> must be empty")
        written = data != "&" and self.text[start : start + len(data)] == data  # else a reference, such as &amp;
        step = 1 if written else 0
        end = start + len(data) if written else self.text.find(";", start) + 1
        places = (*(start + step * at for at in range(len(data))), end)
        if state.piece is not None:
            if len(state.piece.text) + len(data) > MOST_INSIDE:
                self._fail(f"<{state.name}> holds more than {MOST_INSIDE} characters")
            state.piece = replace(state.piece, text=state.piece.text + data, places=(*state.piece.places[:-1], *places))
        else:
            self.pieces.append(Piece(places, data, rate=state.rate, pitch=state.pitch))

    def _rate(self, value: str) -> float:
        if value in RATES:
            return RATES[value]
        match = re.fullmatch(r"(\d{1,4}(?:\.\d{1,4})?)(%?)", value)
        rate = float(match[1]) / (100 if match[2] else 1) if match else 0.0
        if not LEAST_RATE <= rate <= MOST_RATE:
            self._fail(f"rate is {value[:40]!r}; it must be from {LEAST_RATE:g} to {MOST_RATE:g}, such as 120%, or one"
                       f" of {', '.join(RATES)}")  # fmt: skip
        return rate

    def _semitones(self, value: str) -> float:
        if value in PITCHES:
            return PITCHES[value]
        match = re.fullmatch(r"([+-]\d{1,3}(?:\.\d{1,4})?)(st|%)", value)
        number = float(match[1]) if match else math.inf
        if match and match[2] == "%":
            number = 12 * math.log2(1 + number / 100) if number > -100 else math.inf
        if abs(number) > MOST_SEMITONES:
            self._fail(f"pitch is {value[:40]!r}; it must be from -24st to +24st, such as +2st or -10%, or one of"
                       f" {', '.join(PITCHES)}")  # fmt: skip
        return number

    def _seconds(self, attributes: dict[str, str]) -> float:
        if "time" not in attributes:
            strength = attributes.get("strength", "medium")
            if strength not in STRENGTHS:
                self._fail(f"strength is {strength[:40]!r}; it must be one of {', '.join(STRENGTHS)}")
            return STRENGTHS[strength]
        match = re.fullmatch(r"\+?(\d{1,6}(?:\.\d{1,6})?)(ms|s)", attributes["time"])
        seconds = float(match[1]) / (1000 if match[2] == "ms" else 1) if match else -1.0
        if not 0 <= seconds <= MOST_BREAK:
            self._fail(
                f"time is {attributes['time'][:40]!r}; it must be from 0s to {MOST_BREAK:g}s, such as 500ms or 1.5s"
            )
        return seconds


def _character_places(data: bytes) -> Sequence[int]:
    """For each byte of UTF-8, and the end, the number of characters before it."""
    places, count = [], 0
    for byte in data:
        if byte & 0xC0 != 0x80:
            count += 1
        places.append(count - 1)
    return [*places, count]
