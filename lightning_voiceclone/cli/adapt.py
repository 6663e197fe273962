"""``lvc adapt``."""

import argparse
import sys
from pathlib import Path

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.utils.terminal import printable


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser(
        "lvc adapt",
        description="Fine-tune a model on recordings of one speaker, at least 5 seconds together (half a minute is"
        " good, more than some minutes adds little), and write a folder that stores this speaker: lvc clone"
        " --checkpoint MODEL --source a.wav --output c.wav then needs no reference.",
    )
    made.add_argument(
        "--data",
        required=True,
        metavar="FOLDER",
        help="recordings of one speaker (WAV, FLAC, OGG, MP3, …), at any depth",
    )
    made.add_argument("--output", required=True, metavar="MODEL", help="folder to write; a model there is replaced")
    made.add_argument(
        "--checkpoint",
        default="default",
        metavar="PATH",
        help="model to start from: a .ckpt of lvc fit or a model folder (default: the bundled model)",
    )
    made.add_argument("--steps", type=int, default=300, help="training steps of 8 crops each (default: 300)")
    made.add_argument("--learning-rate", type=float, default=1e-4, metavar="RATE",
                      help="learning rate of AdamW (default: 1e-4)")  # fmt: skip
    made.add_argument("--strength", type=float, default=0.6, metavar="SHARE",
                      help="interpolation from the original (0) to the fine-tuned weights (1), above 0; more is closer"
                      " to the speaker (default: 0.6)")  # fmt: skip
    made.add_argument("--seed", type=int, default=0,
                      help="random seed of crops and of the noise on the speaker embedding (default: 0)")  # fmt: skip
    made.add_argument("--denoise", default="auto", metavar="WHEN", help="auto, on or off, as for lvc clone")
    made.add_argument("--bits", type=int, default=16, choices=(32, 16, 8), help="bits of a stored weight (default: 16)")
    return made


def run(argv: list[str]) -> int:
    """Adapt a model."""
    options = parser().parse_args(argv)
    from lightning_voiceclone.checkpoints.voice_folder import check_place, load_voice, save_voice
    from lightning_voiceclone.inference.screening import check_denoise
    from lightning_voiceclone.utils.files import check_no_input

    check_denoise(options.denoise)
    output = Path(options.output)
    check_place(output)  # an error before minutes of training, not after
    from lightning_voiceclone.training.adaptation import adapt, check_settings, recordings_in

    check_settings(options.steps, options.learning_rate, options.strength, options.seed)

    def note(line: str) -> None:
        print(f"note: {printable(line)}", file=sys.stderr)

    recordings = recordings_in(Path(options.data), note)
    check_no_input(output, [options.data, options.checkpoint, *recordings])
    voice = adapt(
        load_voice(options.checkpoint), recordings, steps=options.steps, learning_rate=options.learning_rate,
        strength=options.strength, seed=options.seed, denoise=options.denoise,
        note=note,
    )  # fmt: skip
    save_voice(voice, output, bits=options.bits)
    named = printable(output)
    print(f"{named}: adapted to {len(recordings)} recording(s); hear it with\n"
          f"  lvc clone --checkpoint {named} --source a.wav --output c.wav")  # fmt: skip
    return 0
