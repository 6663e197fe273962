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
        description="Train a voice a little further on recordings of one speaker, of 5 seconds together or more (half a"
        " minute is good, more than some minutes adds little), and write it as a folder that speaks as that one:"
        " lvc clone --checkpoint VOICE --source a.wav --output c.wav needs no reference then.",
    )
    made.add_argument(
        "--data",
        required=True,
        metavar="FOLDER",
        help="recordings of one speaker (WAV, FLAC, OGG, MP3, …), at any depth",
    )
    made.add_argument("--output", required=True, metavar="VOICE", help="folder to write; a voice there is replaced")
    made.add_argument(
        "--checkpoint",
        default="default",
        metavar="PATH",
        help="voice to begin from: a .ckpt of lvc fit or a voice folder (default: the one that ships)",
    )
    made.add_argument("--steps", type=int, default=300, help="of training, 8 crops each (default: 300)")
    made.add_argument("--learning-rate", type=float, default=1e-4, metavar="RATE", help="of AdamW (default: 1e-4)")
    made.add_argument("--strength", type=float, default=0.6, metavar="SHARE",
                      help="of the way from the given voice to the trained one, above 0 to 1: more is nearer to the"
                      " speaker (default: 0.6)")  # fmt: skip
    made.add_argument("--seed", type=int, default=0,
                      help="of the crops and of the noise on the speaker's embedding (default: 0)")  # fmt: skip
    made.add_argument("--denoise", default="auto", metavar="WHEN", help="auto, on or off, as of lvc clone")
    made.add_argument("--bits", type=int, default=16, choices=(32, 16, 8), help="of a stored weight (default: 16)")
    return made


def run(argv: list[str]) -> int:
    """Adapt a voice."""
    options = parser().parse_args(argv)
    from lightning_voiceclone.checkpoints.voice_folder import check_place, load_voice, save_voice
    from lightning_voiceclone.inference.screening import check_denoise
    from lightning_voiceclone.utils.files import check_no_input

    check_denoise(options.denoise)
    output = Path(options.output)
    check_place(output)  # told before minutes of training, not after
    from lightning_voiceclone.training.adaptation import adapt, check_settings, recordings_in

    check_settings(options.steps, options.learning_rate, options.strength, options.seed)

    def tell(note: str) -> None:
        print(f"note: {printable(note)}", file=sys.stderr)

    recordings = recordings_in(Path(options.data), tell)
    check_no_input(output, [options.data, options.checkpoint, *recordings])
    voice = adapt(
        load_voice(options.checkpoint), recordings, steps=options.steps, learning_rate=options.learning_rate,
        strength=options.strength, seed=options.seed, denoise=options.denoise,
        tell=tell,
    )  # fmt: skip
    save_voice(voice, output, bits=options.bits)
    named = printable(output)
    print(f"{named}: adapted to {len(recordings)} recording(s); hear it with\n"
          f"  lvc clone --checkpoint {named} --source a.wav --output c.wav")  # fmt: skip
    return 0
