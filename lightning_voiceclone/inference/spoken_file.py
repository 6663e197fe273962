"""Speech from text to a file: written as it is made, continued after an interruption, and made anew where it changed.

Of an output of more than a minute, ``.c.wav.lvc-sentences`` beside it lists which of its samples are which sentence, so
that after an edit of the text only the sentences that changed are rendered.
"""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch

from lightning_voiceclone.audio.checks import digest_of
from lightning_voiceclone.audio.io import write_audio
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.inference.speech_pieces import Piece
from lightning_voiceclone.inference.synthesis import Synthesizer
from lightning_voiceclone.inference.unfinished import Unfinished, unfinished
from lightning_voiceclone.text.sentences import PARAGRAPH_SECONDS
from lightning_voiceclone.utils.files import atomic_file
from lightning_voiceclone.utils.journal import key_of
from lightning_voiceclone.utils.locked_output import beside, locked_output
from lightning_voiceclone.utils.progress import progress_bar
from lightning_voiceclone.utils.reading import bounded_bytes, parse_json

LISTED_SECONDS = 60.0  # a shorter output is made anew in a few seconds
SECONDS_A_TOKEN = 0.1  # about, for the estimate of the length
MOST_LIST = 64 << 20  # bytes
LEAST_DIGITS, MOST_DIGITS = 3, 7  # of the name of a line's file

Place = tuple[int, int]  # of a sentence in the output: its first sample, and how many


class Earlier:
    """The sentences of an output as it is, before it is replaced.

    Args:
        output: its path.
        places: of the sentences, by their keys.
    """

    def __init__(self, output: Path, places: dict[str, Place]) -> None:
        self._output, self._places = output, places

    def samples(self, key: str) -> np.ndarray | None:
        """Samples (n,) of a sentence; None if the output does not have it."""
        if key not in self._places:
            return None
        first, count = self._places[key]
        made = read_part(self._output, first, count)
        return made if len(made) == count else None


def write_speech(
    synthesizer: Synthesizer, pieces: Sequence[Piece], output: Path, *, progress: bool = False
) -> list[Place]:
    """Render pieces to a file, one after another, in memory that does not grow with their number.

    Args:
        synthesizer: of the speaker.
        pieces: at least one.
        output: path that ends in .wav or .flac.
        progress: whether to show a bar on a terminal.

    Returns:
        For each piece its first sample after the gap, and how many there are.

    Raises:
        ConfigurationError: if another process writes the output.
        OSError: if writing fails; what is done so far is kept, and the same call goes on from there.
    """
    keys = [synthesizer.key(piece) for piece in pieces]
    text = key_of("", [(key, piece.gap) for key, piece in zip(keys, pieces, strict=True)])
    tokens = sum(len(piece.spoken.tokens) for piece in pieces if piece.spoken is not None)
    rate, note = synthesizer.sample_rate, synthesizer.converter.note
    expected = sum(piece.gap for piece in pieces) + round(tokens * SECONDS_A_TOKEN * rate / synthesizer.options.rate)
    with locked_output(output):
        earlier = _earlier(output)
        with unfinished(output, {"text": text, **synthesizer.identity}, expected, note) as begun:
            if begun.done:
                note(f"{output}: goes on after {begun.samples / rate:.0f} s that an earlier command made")
            with progress_bar("Speaking", len(pieces), begun.done, shown=progress) as advance:
                counts = _counts(begun)
                for index in range(begun.done, len(pieces)):
                    made = _samples(synthesizer, pieces[index], earlier, keys[index])
                    counts.append(len(made))
                    begun.append(made, index + 1, {"counts": torch.tensor(counts)}, pieces[index].gap)
                    advance(1)
            begun.finish(rate)
        places = list(_places(pieces, counts))
        if begun.samples > LISTED_SECONDS * rate:
            _list(output, {key: place for key, place in zip(keys, places, strict=True) if place[1]})
        else:
            beside(output, "sentences").unlink(missing_ok=True)
    return places


def joined(synthesizer: Synthesizer, lines: Sequence[Sequence[Piece]]) -> list[Piece]:
    """Pieces of all lines, with the pause of a paragraph between two."""
    pause = Piece(round(PARAGRAPH_SECONDS / synthesizer.options.rate * synthesizer.sample_rate), None)
    return [piece for line in lines for piece in (pause, *line)][1:]


def write_lines(
    synthesizer: Synthesizer, lines: Sequence[Sequence[Piece]], folder: Path, name: str, *, progress: bool = False
) -> int:
    """Render lines to a folder: all of them to one file, and from that each to a file named by its number.

    Files of an earlier text with more lines are removed.

    Args:
        synthesizer: of the speaker.
        lines: pieces of each; at least one.
        folder: made if it is not there.
        name: of the file of all.
        progress: whether to show a bar on a terminal.

    Returns:
        Samples of the file of all.

    Raises:
        ConfigurationError: as :func:`check_lines` and :func:`write_speech`.
        OSError: as :func:`write_speech`.
    """
    check_lines(folder, name)
    places = write_speech(synthesizer, joined(synthesizer, lines), folder / name, progress=progress)
    width, at = max(len(str(len(lines))), LEAST_DIGITS), 0
    for number, line in enumerate(lines, 1):
        first, last = places[at][0] - line[0].gap, sum(places[at + len(line) - 1])
        samples = read_part(folder / name, first, last - first)
        write_audio(folder / f"{number:0{width}}.wav", samples, synthesizer.sample_rate, durable=False)
        at += len(line) + 1
    _remove_others(folder, width, len(lines))
    return sum(places[-1])


def check_lines(folder: Path, name: str) -> None:
    """Refuse a folder whose numbered files are not those of lines that were written before.

    Args:
        folder: for :func:`write_lines`.
        name: of the file of all lines, which is there if they were.

    Raises:
        ConfigurationError: names one of the files that would be replaced.
    """
    found = sorted(path for path in folder.glob("*.wav") if re.fullmatch(r"[0-9]{3,}", path.stem))
    if found and not (folder / name).exists():
        raise ConfigurationError(
            f"{folder} has {found[0].name} but no {name}, so that it may be another recording; name another folder"
        )


def read_part(path: Path, first: int, count: int) -> np.ndarray:
    """Samples (n,) in [-1, 1] of a file from ``first`` on; fewer than ``count`` where it ends."""
    with soundfile.SoundFile(path) as file:
        file.seek(min(first, file.frames))
        return file.read(count, dtype="int16").astype(np.float32) / 32768


def _samples(synthesizer: Synthesizer, piece: Piece, earlier: Earlier, key: str) -> np.ndarray:
    if piece.spoken is None:
        return np.zeros(0, np.float32)
    found = earlier.samples(key)
    return synthesizer.render(synthesizer.plan(piece.spoken, piece.tempo)).numpy() if found is None else found


def _remove_others(folder: Path, width: int, count: int) -> None:
    """Remove the numbered files of another number of lines, up to the first number that is not there."""
    for digits in range(LEAST_DIGITS, MOST_DIGITS + 1):
        for number in range(count + 1 if digits == width else 1, 10**digits):
            path = folder / f"{number:0{digits}}.wav"
            if not path.is_file():
                break
            path.unlink()


def _counts(begun: Unfinished) -> list[int]:
    """Samples of the sentences that are done."""
    return [] if begun.state is None else begun.state["counts"].tolist()


def _places(pieces: Sequence[Piece], counts: Sequence[int]) -> Iterator[Place]:
    place = 0
    for piece, count in zip(pieces, counts, strict=True):
        place += piece.gap
        yield place, count
        place += count


def _list(output: Path, places: dict[str, Place]) -> None:
    with atomic_file(beside(output, "sentences"), durable=False) as temporary:
        temporary.write_text(json.dumps({"sha256": _sha256(output), "sentences": places}), encoding="utf-8")


def _earlier(output: Path) -> Earlier:
    """What the list beside an output names, if the output is still what the list was written for."""
    try:
        listed = parse_json(bounded_bytes(beside(output, "sentences"), MOST_LIST, "remove it"))
        places = {str(key): _place(place) for key, place in listed["sentences"].items()}
        return Earlier(output, places if listed["sha256"] == _sha256(output) else {})
    except (OSError, LVCError, ValueError, TypeError, KeyError, AttributeError):
        return Earlier(output, {})


def _place(place: Any) -> Place:
    first, count = place
    if not (isinstance(first, int) and isinstance(count, int) and first >= 0 and count > 0):
        raise ValueError(f"{place} is no place")
    return first, count


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return digest_of(file.fileno())
