"""Subtitles as SubRip (.srt): cues with their times."""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lightning_voiceclone.text.normalization import TextError
from lightning_voiceclone.utils.reading import excerpt

TIMES = re.compile(r"(\S+)[^\S\n]*-->[^\S\n]*(\S+)(?:[^\S\n].*)?")  # coordinates may follow
TIME = re.compile(r"(\d{1,3}):([0-5]\d):([0-5]\d)[,.](\d{1,3})")
MOST_SECONDS = 24 * 3600  # to the end of the last cue: the recording is as long
FORMAT = re.compile(r"</?(?:[ibu]|font(?:\s[^<>]*)?)>|\{\\[^{}]*\}", re.IGNORECASE)  # how it looks, not what is said


@dataclass(frozen=True)
class Cue:
    """One subtitle.

    Args:
        line: of the file, counted from 1, with its times.
        start: in seconds.
        end: in seconds, after the start and not after the next cue's.
        text: without formatting; empty for none.
    """

    line: int
    start: float
    end: float
    text: str


def parse_subtitles(text: str, name: str) -> list[Cue]:
    """The cues of a file of subtitles.

    Args:
        text: of the file.
        name: of the file, for errors.

    Raises:
        TextError: names the line whose times are none, negative, not in order, overlapping or after 24 hours; or if
            there is no cue.
    """
    cues: list[Cue] = []
    for cue in _cues(re.split(r"\r\n|\r|\n", text), name):
        place = f"{name}, line {cue.line}"
        if cue.end <= cue.start:
            raise TextError(f"{place}: the cue ends at {shown(cue.end)}, not after its start at {shown(cue.start)}")
        if cue.end > MOST_SECONDS:
            raise TextError(f"{place}: the cue ends at {shown(cue.end)}, but a recording has at most"
                            f" {MOST_SECONDS // 3600} hours; correct it, or split the file into parts")  # fmt: skip
        if cues and cue.start < cues[-1].end:
            raise TextError(f"{place}: the cue starts at {shown(cue.start)}, before the one of line {cues[-1].line}"
                            f" ends at {shown(cues[-1].end)}; give each a time of its own, in order")  # fmt: skip
        cues.append(cue)
    if not cues:
        raise TextError(f"{name} has no cue; it needs lines such as 00:00:01,000 --> 00:00:02,500 with text below")
    return cues


def shown(seconds: float) -> str:
    """A time as SubRip writes it."""
    milliseconds = round(1000 * seconds)
    minutes, milliseconds = divmod(milliseconds, 60_000)
    return f"{minutes // 60:02}:{minutes % 60:02}:{milliseconds // 1000:02},{milliseconds % 1000:03}"


def _cues(lines: list[str], name: str) -> Iterator[Cue]:
    at = 0
    while at < len(lines):
        if not lines[at].strip():
            at += 1
            continue
        if "-->" not in lines[at] and lines[at].strip().isdecimal():  # the cue's number
            at += 1
        line = at + 1
        start, end = _times(lines[at] if at < len(lines) else "", f"{name}, line {line}")
        at += 1
        said = []
        while at < len(lines) and lines[at].strip():
            said.append(lines[at])
            at += 1
        yield Cue(line, start, end, FORMAT.sub("", "\n".join(said)).strip())


def _times(line: str, place: str) -> tuple[float, float]:
    match = TIMES.fullmatch(line.strip())
    if not match:
        raise TextError(f"{place}: {excerpt(line, 60)!r} is not the times of a cue, such as"
                        " 00:00:01,000 --> 00:00:02,500")  # fmt: skip
    return _seconds(match[1], place), _seconds(match[2], place)


def _seconds(time: str, place: str) -> float:
    match = TIME.fullmatch(time)
    if not match:
        reason = "is negative" if time.startswith(("-", "\u2212")) else "is no time"
        raise TextError(f"{place}: {excerpt(time, 30)!r} {reason}; it must be hours:minutes:seconds,milliseconds")
    hours, minutes, seconds = (int(group) for group in match.groups()[:3])
    return 3600 * hours + 60 * minutes + seconds + int(match[4].ljust(3, "0")) / 1000
