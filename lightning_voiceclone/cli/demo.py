"""``lvc demo``."""

import argparse
from pathlib import Path

from lightning_voiceclone.cli.options import CommandParser


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser(
        "lvc demo",
        description="Clone a recording with the model that ships and with a small GAN, which is trained for a few"
        " minutes on synthetic speech, and write a page that shows and plays both. Needs no network.",
    )
    made.add_argument("--output", default="demo", type=Path, metavar="FOLDER", help="where to write (default: demo)")
    made.add_argument("--minutes", default=4.0, type=float, help="of training (default: 4)")
    made.add_argument("--speakers", default=12, type=int, help="of the corpus, 2 to 20 (default: 12)")
    made.add_argument("--sentences", default=40, type=int, help="of each speaker (default: 40)")
    made.add_argument("--seed", default=0, type=int, help="of the corpus and of the training (default: 0)")
    made.add_argument("--source", metavar="FILE",
                      help="recording that both models convert, with --reference (WAV, FLAC, OGG, MP3; default: a"
                      " synthetic one)")  # fmt: skip
    made.add_argument("--reference", metavar="FILE", help="recording of the target speaker, with --source")
    return made


def run(argv: list[str]) -> int:
    """Run the demonstration."""
    options = parser().parse_args(argv)
    from lightning_voiceclone.demo.run import run_demo

    run_demo(
        options.output,
        minutes=options.minutes,
        speakers=options.speakers,
        sentences=options.sentences,
        seed=options.seed,
        source=options.source,
        reference=options.reference,
    )
    return 0
