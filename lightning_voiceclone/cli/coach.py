"""``lvc coach``."""

import argparse
import sys
from pathlib import Path

from lightning_voiceclone.cli.options import CommandParser, device
from lightning_voiceclone.cli.texts import add_text_options, front_end_of, text_of
from lightning_voiceclone.utils.terminal import printable, table

JSON, PICTURE, SENTENCE = "report.json", "report.png", "sentence.wav"


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser("lvc coach", description="Compare an attempt at a sentence with how it should be said, phoneme"
                         f" by phoneme: {JSON}, {PICTURE}, and {SENTENCE}, which says it right in the learner's"
                         " voice.")  # fmt: skip
    add_text_options(made, name="--text")
    made.add_argument("--attempt", required=True, metavar="FILE", help="recording of the text, at most a minute")
    made.add_argument("--reference", nargs="+", default=[], metavar="FILE",
                      help="speaker of the sentence said right: recordings of one speaker, or one .voice file"
                      " (default: the attempt)")  # fmt: skip
    made.add_argument("--output", required=True, metavar="FOLDER", help="folder to write the three files to")
    made.add_argument("--checkpoint", default="default", metavar="PATH",
                      help="model that says it right, with a text encoder (default: the bundled one)")  # fmt: skip
    made.add_argument("--device", type=device, default="cpu",
                      help="device of that model: cpu, cuda, cuda:1, mps (default: cpu)")  # fmt: skip
    return made


def run(argv: list[str]) -> int:
    """Assess an attempt, and say the text right."""
    options = parser().parse_args(argv)
    text, front = text_of(options), front_end_of(options)
    folder = Path(options.output)
    _check_output(options, folder)
    from lightning_voiceclone.inference.coach_report import COLUMNS, as_json, draw, flagged_rows
    from lightning_voiceclone.inference.coaching import SAMPLE_RATE, Coach, read_attempt
    from lightning_voiceclone.inference.converter import load_model
    from lightning_voiceclone.inference.recordings import write
    from lightning_voiceclone.inference.synthesis import text_encoder_of
    from lightning_voiceclone.networks.phone_classifier import PhoneScores
    from lightning_voiceclone.text.lexicon import read_variants
    from lightning_voiceclone.utils.files import atomic_file

    front.pronounce(text)  # an error in it comes before a model is loaded
    model = load_model(options.checkpoint, device=options.device, note=_note)
    text_encoder_of(model)
    name, samples = model.read(options.attempt)  # once: it may be a pipe
    recording = samples, model.sample_rate
    attempt = read_attempt(model, recording, name)
    synthesizer = model.synthesizer(model.speaker(*(options.reference or [recording])), front=front)
    coach = Coach(synthesizer, PhoneScores(), read_variants(options.lexicon) if options.lexicon else None)
    made = coach.assess(text, attempt, options.attempt)
    with atomic_file(folder / JSON) as temporary:
        temporary.write_text(as_json(made), encoding="utf-8")
    draw(made, attempt.numpy(), SAMPLE_RATE, folder / PICTURE)
    write(folder / SENTENCE, (synthesizer.say(text), model.sample_rate))
    if rows := list(flagged_rows(made)):
        print(table([list(COLUMNS), *([printable(cell) for cell in row] for row in rows)]))
    print(f"{printable(options.output)}: {len(rows)} of {len(made.phonemes)} phonemes flagged, mean score"
          f" {made.score:.0%}, {made.tempo:.2f} times as fast as the sentence said right")  # fmt: skip
    return 0


def _check_output(options: argparse.Namespace, folder: Path) -> None:
    """Refuse an output that cannot be written, or would replace an input."""
    from lightning_voiceclone.audio.io import check_writable
    from lightning_voiceclone.utils.files import check_no_input

    inputs = [options.attempt, *options.reference, options.checkpoint, options.lexicon or "", options.text_file or ""]
    check_writable(folder / SENTENCE)
    for name in (JSON, PICTURE, SENTENCE):
        check_no_input(folder / name, inputs)


def _note(line: str) -> None:
    print(printable(f"note: {line}"), file=sys.stderr)
