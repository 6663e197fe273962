"""Subtitles as speech: each cue begins at its time and ends within it, or is left out and listed."""

from collections.abc import Sequence
from dataclasses import replace

from lightning_voiceclone.inference.speech_pieces import Piece
from lightning_voiceclone.inference.synthesis import Synthesizer
from lightning_voiceclone.text.normalization import NoWordError, TextError
from lightning_voiceclone.text.pronounced import Skipped
from lightning_voiceclone.text.sentences import Sentence, Sentences
from lightning_voiceclone.text.subtitles import Cue, parse_subtitles, shown

FASTEST = 1.5  # factor of the rate up to which a cue is spoken faster, to fit
TRIES = 8  # at finding that factor: frames are whole


def read_cues(synthesizer: Synthesizer, text: str, name: str) -> list[tuple[Cue, list[Sentence]]]:
    """The cues of a file of subtitles with their sentences; none, with a note, for a cue without words.

    Raises:
        TextError: for times that cannot be kept, or a text that cannot be spoken; names the line.
    """
    found, skipped = [], list[Skipped]()
    for cue in parse_subtitles(text, name):
        sentences = Sentences(synthesizer.front, cue.text)
        try:
            found.append((cue, list(sentences)))
        except NoWordError:
            found.append((cue, []))
            synthesizer.converter.note(f"{name}, line {cue.line}: the cue has no word, and is silent")
        except TextError as error:
            raise TextError(f"{name}, cue of line {cue.line}: {error}") from None
        skipped += sentences.skipped
    synthesizer.note_skipped(skipped)
    return found


def dubbed(
    synthesizer: Synthesizer, cues: Sequence[tuple[Cue, Sequence[Sentence]]], name: str
) -> tuple[list[Piece], list[str]]:
    """Pieces of which each cue begins at its time, to the sample, and a line on each cue that does not fit.

    A cue that is too long at the rate of the options is spoken faster, by as little as needed, up to ``FASTEST``
    times. One that does not fit then is silent. The last piece ends where the last cue does.

    Args:
        synthesizer: of the speaker.
        cues: with their sentences, as of :func:`read_cues`.
        name: of the file, for the lines.
    """
    rate, place = synthesizer.sample_rate, 0
    pieces: list[Piece] = []
    lines: list[str] = []
    for cue, sentences in cues:
        start, end = round(cue.start * rate), round(cue.end * rate)
        made, length = _fitted(synthesizer, sentences, end - start)
        if length > end - start:
            lines.append(f"{name}, line {cue.line}: the cue of {shown(cue.start)} has {(end - start) / rate:.2f} s, but"
                         f" needs {length / rate:.2f} s spoken {FASTEST:g} times as fast; it is left out: shorten its"
                         " text, or give it more time")  # fmt: skip
        elif made:
            first = made[0]
            pieces += [replace(first, gap=start - place + first.gap), *made[1:]]
            place = start + length
    last = round(cues[-1][0].end * rate)
    return [*pieces, Piece(last - place, None)] if last > place else pieces, lines


def _fitted(synthesizer: Synthesizer, sentences: Sequence[Sentence], most: int) -> tuple[list[Piece], int]:
    """Pieces of a cue, as fast as they have to be for ``most`` samples but at most ``FASTEST``, and their length."""
    given = list(synthesizer.pieces(sentences))
    tempo = 1.0
    if not given:
        return [], 0
    for left in reversed(range(TRIES)):
        made = [replace(piece, tempo=tempo, gap=piece.gap if sentence.stated else round(piece.gap / tempo))
                for piece, sentence in zip(given, sentences, strict=True)]  # fmt: skip
        planned = [None if piece.spoken is None else synthesizer.plan(piece.spoken, piece.tempo) for piece in made]
        length = sum(piece.gap for piece in made) + sum(synthesizer.length(one) for one in planned if one is not None)
        if length <= most or tempo == FASTEST:
            break
        fixed = sum(piece.gap for piece, sentence in zip(made, sentences, strict=True) if sentence.stated)
        breaks = sum(one.break_frames for one in planned if one is not None)
        fixed += round(breaks / synthesizer.encoder.frame_rate * synthesizer.sample_rate)
        factor = (length - fixed) / (most - fixed) if most > fixed else FASTEST
        tempo = min(FASTEST, tempo * max(factor, 1.002)) if left > 1 else FASTEST
    return made, length
