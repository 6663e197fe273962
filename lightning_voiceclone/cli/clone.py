"""``lvc clone``."""

import argparse
import sys

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.utils.terminal import printable


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser(
        "lvc clone", description="Write the words of a source recording in the voice of reference recordings."
    )
    made.add_argument(
        "--checkpoint",
        default="default",
        metavar="PATH",
        help="a .ckpt of lvc fit, or a voice folder of lvc save or lvc adapt (default: the voice that ships)",
    )
    made.add_argument(
        "--source",
        required=True,
        metavar="FILE",
        help="whose words and melody to say (WAV, FLAC, OGG, MP3; - for standard input)",
    )
    made.add_argument("--reference", nargs="+", default=[], metavar="FILE",
                      help="whose voice to say them in: recordings of one speaker, at least 0.5 s each; several or"
                      " longer ones make it better. Or one .voice file. lvc adapt's models need none")  # fmt: skip
    made.add_argument(
        "--output", required=True, metavar="FILE", help="where to write (.wav or .flac, 16 bits, the voice's rate)"
    )
    made.add_argument("--vocoder", metavar="WHICH",
                      help="speak with this one instead of the voice's own: default for the vocoder that ships by"
                      " itself, a vocoder folder or checkpoint, or one without training (GriffinLim)")  # fmt: skip
    made.add_argument("--denoise", default="auto", metavar="WHEN",
                      help="auto for recordings whose speech is less than 15 dB above the noise, on for all, off for"
                      " none (default: auto)")  # fmt: skip
    made.add_argument("--pitch-shift", type=float, default=0.0, metavar="SEMITONES",
                      help="higher or lower than the reference speaks (default: 0)")  # fmt: skip
    made.add_argument("--speed", type=float, default=1.0, metavar="FACTOR",
                      help="faster or slower than the source; 1.25 takes a fifth less time (default: 1)")  # fmt: skip
    made.add_argument("--guidance", type=float, metavar="STRENGTH",
                      help="how far the clone is led on, away from the source's speaker, 0 to 2: more sounds less like"
                      " the source, at some cost in words and naturalness (default: the voice's own)")  # fmt: skip
    made.add_argument("--seed", type=int, default=0, help="of the noise, where the voice has any (default: 0)")
    made.add_argument("--device", default="cpu", help="where to compute: cpu, cuda, cuda:1, mps (default: cpu)")
    return made


def run(argv: list[str]) -> int:
    """Clone one recording."""
    options = parser().parse_args(argv)
    from lightning_voiceclone.audio.io import check_writable
    from lightning_voiceclone.inference.converter import load_model, write
    from lightning_voiceclone.inference.screening import check_denoise
    from lightning_voiceclone.utils.files import check_no_input

    check_denoise(options.denoise)
    check_writable(options.output)
    check_no_input(options.output, [options.source, *options.reference, options.checkpoint, options.vocoder or ""])
    model = load_model(options.checkpoint, vocoder=options.vocoder, denoise=options.denoise, device=options.device,
                       note=lambda note: print(f"note: {printable(note)}", file=sys.stderr))  # fmt: skip
    speaker = model.speaker(*options.reference) if options.reference else None
    audio = model.convert(options.source, speaker, seed=options.seed, pitch_shift=options.pitch_shift,
                          speed=options.speed, guidance=options.guidance)  # fmt: skip
    write(options.output, audio)
    print(f"{printable(options.output)}: {len(audio.samples) / audio.sample_rate:.2f} s at {audio.sample_rate} Hz")
    return 0
