"""``lvc say``."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_voiceclone.cli.options import CommandParser, add_speaker_options
from lightning_voiceclone.cli.texts import add_text_options, front_end_of, text_of
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.reading import excerpt
from lightning_voiceclone.utils.terminal import printable, table

if TYPE_CHECKING:
    from lightning_voiceclone.inference.speech_pieces import Piece
    from lightning_voiceclone.inference.synthesis import Synthesizer
    from lightning_voiceclone.text.frontend import FrontEnd
    from lightning_voiceclone.text.pronounced import Skipped
    from lightning_voiceclone.text.sentences import Sentence

SUBTITLES = ".srt"
JOINED = "all.wav"  # in a folder: all lines, one after another
COLUMNS = ("WRITTEN", "SPOKEN", "ORIGIN", "SECOND", "PHONEMES AND MILLISECONDS")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser("lvc say", description="Speak a text in the voice of reference recordings. A .srt file is"
                         " spoken with each subtitle at its time.")  # fmt: skip
    add_text_options(made)
    add_speaker_options(made)
    made.add_argument("--output", metavar="PATH",
                      help="file to write (.wav or .flac, 16 bits, the model's sample rate), or a folder: then each"
                      f" line of the text is a file of its own, and {JOINED} has all of them")  # fmt: skip
    made.add_argument("--checkpoint", default="default", metavar="PATH",
                      help="a .ckpt of lvc fit, or a model folder of lvc save or lvc adapt, with a text encoder"
                      " (default: the bundled model)")  # fmt: skip
    made.add_argument("--rate", type=float, default=1.0, metavar="FACTOR",
                      help="times as fast as usual, 0.25 to 4 (default: 1)")  # fmt: skip
    made.add_argument("--pitch", type=float, default=0.0, metavar="SEMITONES",
                      help="shift from the speaker's pitch, up or down, at most 24 (default: 0)")  # fmt: skip
    made.add_argument("--style", metavar="STYLE",
                      help="speak in the style of this recording of anyone, or of this label: as the model's text"
                      " encoder takes it (default: no particular style)")  # fmt: skip
    made.add_argument("--explain", action="store_true",
                      help="print each word with its phonemes, where they came from, and how long each is")  # fmt: skip
    made.add_argument("--timestamps", metavar="FILE",
                      help="write when each word and phoneme is spoken: .json, .srt, .vtt or .TextGrid")  # fmt: skip
    return made


def run(argv: list[str]) -> int:
    """Speak a text; the exit status is 1 if subtitles did not fit into their times."""
    options = parser().parse_args(argv)
    if options.text is not None and _names_subtitles(options.text) and options.text_file is None:
        options.text, options.text_file = None, options.text
    if options.text is None and options.text_file is None and len(options.reference) > 1:
        raise ConfigurationError(
            f"there is no text: --reference took {excerpt(options.reference[-1], 60)!r}; give the text before it"
        )
    text = text_of(options)
    _check_output(options)
    front = front_end_of(options)
    name = options.text_file or ""
    lines, skipped = ([], []) if _is_subtitles(name) else _read_lines(front, text, options)
    from lightning_voiceclone.inference.converter import load_model
    from lightning_voiceclone.inference.spoken_file import joined, write_lines, write_speech
    from lightning_voiceclone.inference.synthesis import text_encoder_of

    model = load_model(options.checkpoint, device=options.device, note=lambda line: _print(f"note: {line}"))
    text_encoder_of(model)
    speaker = model.speaker(*options.reference) if options.reference else None
    synthesizer = model.synthesizer(speaker, front=front, style=options.style, rate=options.rate, pitch=options.pitch,
                                    seed=options.seed)  # fmt: skip
    synthesizer.note_skipped(skipped)
    parts, unfit = [list(synthesizer.pieces(line)) for line in lines], list[str]()
    if _is_subtitles(name):
        parts, unfit = _dubbed(synthesizer, text, name)
    pieces = joined(synthesizer, parts)
    _report(synthesizer, pieces, options)
    if options.output:
        samples = (write_lines(synthesizer, parts, Path(options.output), JOINED, progress=True)
                   if _is_folder(options.output) else
                   sum(write_speech(synthesizer, pieces, Path(options.output), progress=True)[-1]))  # fmt: skip
        print(f"{printable(options.output)}: {samples / model.sample_rate:.2f} s at {model.sample_rate} Hz")
    for line in unfit:
        _print(f"error: {line}")
    return 1 if unfit else 0


def _is_subtitles(path: str) -> bool:
    return path.lower().endswith(SUBTITLES)


def _names_subtitles(text: str) -> bool:
    """Whether a text is the name of a file of subtitles: one word, so that a misspelt name is an error, or a file."""
    return _is_subtitles(text) and (not any(map(str.isspace, text)) or os.path.isfile(text))


def _is_folder(output: str | None) -> bool:
    return output is not None and not Path(output).suffix


def _check_output(options: argparse.Namespace) -> None:
    """Refuse outputs that cannot be written, or would replace an input, before anything takes long."""
    from lightning_voiceclone.audio.io import check_writable
    from lightning_voiceclone.inference.timestamps import format_of
    from lightning_voiceclone.utils.files import check_no_input

    if not (options.output or options.explain or options.timestamps):
        raise ConfigurationError("there is no --output; name a .wav or .flac file, or a folder for a file a line")
    style = options.style if os.path.isfile(options.style or "") else None  # else a label, which a folder may share
    files = (style, options.checkpoint, options.lexicon, options.text_file)
    inputs = [*options.reference, *(file or "" for file in files)]
    if options.timestamps:
        format_of(options.timestamps)
        check_no_input(options.timestamps, inputs, "--timestamps")
    if _is_folder(options.output) and _is_subtitles(options.text_file or ""):
        raise ConfigurationError(
            f"--output is {options.output}, but subtitles are one recording; name it .wav or .flac"
        )
    if options.output:
        check_writable(Path(options.output) / JOINED if _is_folder(options.output) else options.output)
        check_no_input(options.output, inputs)
    if options.output and _is_folder(options.output):
        from lightning_voiceclone.inference.spoken_file import check_lines

        check_lines(Path(options.output), JOINED)


def _read_lines(
    front: "FrontEnd", text: str, options: argparse.Namespace
) -> "tuple[list[list[Sentence]], list[Skipped]]":
    """Sentences of the whole text or, for a folder, of each line that is not empty; and what is not spoken."""
    from lightning_voiceclone.text.normalization import TextError
    from lightning_voiceclone.text.sentences import Sentences

    lines = [(number, line) for number, line in enumerate(text.splitlines(), 1) if line.strip()]
    if not _is_folder(options.output) or not lines:
        lines = [(0, text)]
    made, skipped = [], []
    for number, line in lines:
        sentences = Sentences(front, line)
        try:
            made.append(list(sentences))
        except TextError as error:
            raise TextError(f"line {number} of the text: {error}" if number else str(error)) from None
        skipped += sentences.skipped
    return made, skipped


def _dubbed(synthesizer: "Synthesizer", text: str, name: str) -> "tuple[list[list[Piece]], list[str]]":
    from lightning_voiceclone.inference.dubbing import dubbed, read_cues

    pieces, unfit = dubbed(synthesizer, read_cues(synthesizer, text, name), name)
    return [pieces], unfit


def _report(synthesizer: "Synthesizer", pieces: "Sequence[Piece]", options: argparse.Namespace) -> None:
    """Print and write what the options ask for beside the speech."""
    from lightning_voiceclone.inference.timestamps import explained, timed_words, write_timestamps

    if not (options.explain or options.timestamps):
        return
    timeline, seconds = synthesizer.timeline(pieces)
    rate = synthesizer.encoder.frame_rate
    if options.explain:
        rows = explained(timeline, rate)
        print(table([list(COLUMNS), *([printable(cell) for cell in row] for row in rows)]))
        if options.style is not None:
            print(f"style: {printable(options.style)}, by {type(synthesizer.encoder.style_encoder).__name__}")
    if options.timestamps:
        write_timestamps(options.timestamps, list(timed_words(timeline, rate)), seconds)


def _print(line: str) -> None:
    print(printable(line), file=sys.stderr)
