"""``lvc clone``."""

import argparse
import sys
from typing import Any

from lightning_voiceclone.cli.options import CommandParser, add_speaker_options, check_for_onnx
from lightning_voiceclone.utils.terminal import printable


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser("lvc clone", description="Convert recordings to the voice of reference recordings.")
    made.add_argument(
        "--checkpoint",
        nargs="+",
        default=["default"],
        metavar="PATH",
        help="a .ckpt of lvc fit, or a model folder of lvc save or lvc adapt (default: the bundled model). Several of"
        " the same features speak together: with the mean of what they generate, and the vocoder of the first",
    )
    made.add_argument("--source", required=True, nargs="+", metavar="PATH",
                      help="recording to convert; its words and melody are kept (WAV, FLAC, OGG, MP3; - for standard"
                      " input). Or several, a folder of them, or a table (.tsv, .csv) with the columns source,"
                      " reference and output")  # fmt: skip
    add_speaker_options(made)
    made.add_argument("--output", required=True, metavar="PATH",
                      help="file to write (.wav or .flac, 16 bits, the model's sample rate); for several sources a"
                      " folder. What is there already, made of the same, is not made again")  # fmt: skip
    made.add_argument("--engine", default="torch", choices=("torch", "onnx"),
                      help="what computes: onnx takes a folder of lvc export as --checkpoint, and starts faster; it"
                      " converts one recording, without denoising (default: torch)")  # fmt: skip
    made.add_argument("--jobs", type=int, default=1, metavar="N",
                      help="processes for several sources, each with a model in memory (default: 1)")  # fmt: skip
    made.add_argument("--vocoder", metavar="WHICH",
                      help="use this one instead of the model's own: default for the separately bundled vocoder, a"
                      " vocoder folder or checkpoint, or one without training (GriffinLim)")  # fmt: skip
    made.add_argument("--denoise", default="auto", metavar="WHEN",
                      help="denoise the input: auto for recordings whose speech is less than 15 dB above the noise, on"
                      " for all, off for none (default: auto)")  # fmt: skip
    made.add_argument("--pitch-shift", type=float, default=0.0, metavar="SEMITONES",
                      help="shift from the reference speaker's pitch, up or down (default: 0)")  # fmt: skip
    made.add_argument("--speed", type=float, default=1.0, metavar="FACTOR",
                      help="tempo relative to the source; 1.25 takes a fifth less time (default: 1)")  # fmt: skip
    made.add_argument("--guidance", type=float, metavar="STRENGTH",
                      help="extrapolate away from the source's speaker, 0 to 2: more sounds less like the source, at"
                      " some cost in words and naturalness (default: the model's own)")  # fmt: skip
    return made


def run(argv: list[str]) -> int:
    """Clone one recording, or many; the exit status is 1 if some of many could not be converted."""
    options = parser().parse_args(argv)
    if options.engine == "onnx":
        return _onnx(options)
    from lightning_voiceclone.inference.batch_jobs import is_many
    from lightning_voiceclone.inference.screening import check_denoise

    check_denoise(options.denoise)
    return _many(options) if is_many(options.source) else _one(options, options.source[0])


def _one(options: argparse.Namespace, source: str) -> int:
    from lightning_voiceclone.audio.io import check_writable
    from lightning_voiceclone.errors import ConfigurationError
    from lightning_voiceclone.inference.converter import load_model
    from lightning_voiceclone.utils.files import check_no_input

    if options.jobs != 1:
        raise ConfigurationError(f"--jobs is {options.jobs}, but there is one source, which one process converts")
    check_writable(options.output)
    check_no_input(options.output, [source, *options.reference, *options.checkpoint, options.vocoder or ""])
    model = load_model(**_model(options), note=lambda line: _print(f"note: {line}"))
    speaker = model.speaker(*options.reference) if options.reference else None
    seconds = model.convert_file(source, speaker, options.output, progress=True, **_rendering(options))
    print(f"{printable(options.output)}: {seconds:.2f} s at {model.sample_rate} Hz")
    return 0


def _onnx(options: argparse.Namespace) -> int:
    from lightning_voiceclone.errors import ConfigurationError
    from lightning_voiceclone.inference.onnx_engine import convert_file

    check_for_onnx(options, checkpoint=1, source=1)
    if options.denoise == "on":
        raise ConfigurationError("--denoise is on, but --engine onnx does not denoise; leave it out, or use torch")
    manner = {"pitch_shift": options.pitch_shift, "speed": options.speed, "guidance": options.guidance}
    seconds, rate = convert_file(options.checkpoint[0], options.source[0], options.reference, options.output,
                                 note=lambda line: _print(f"note: {line}"), **manner)  # fmt: skip
    print(f"{printable(options.output)}: {seconds:.2f} s at {rate} Hz")
    return 0


def _many(options: argparse.Namespace) -> int:
    from lightning_voiceclone.inference.batch import convert_many
    from lightning_voiceclone.inference.batch_jobs import clone_jobs
    from lightning_voiceclone.voice.options import RenderOptions

    RenderOptions(**_rendering(options))
    jobs, line = clone_jobs(options.source, options.reference, options.output)
    if line:
        _print(f"note: {line}")
    summary = convert_many(jobs, options.output, model=_model(options), options=_rendering(options),
                           workers=options.jobs, note=_print, progress=True)  # fmt: skip
    print(f"{printable(options.output)}: {summary}")
    return 1 if summary.failed else 0


def _model(options: argparse.Namespace) -> dict[str, Any]:
    return {"path": options.checkpoint, "vocoder": options.vocoder, "denoise": options.denoise,
            "device": options.device}  # fmt: skip


def _rendering(options: argparse.Namespace) -> dict[str, Any]:
    return {"seed": options.seed, "pitch_shift": options.pitch_shift, "speed": options.speed,
            "guidance": options.guidance}  # fmt: skip


def _print(line: str) -> None:
    print(printable(line), file=sys.stderr)
