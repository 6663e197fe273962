"""``lvc export``."""

import argparse
from pathlib import Path

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.utils.terminal import printable

SECONDS = 5.0  # of the synthetic speech to compare with


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser("lvc export", description="Turn a model into ONNX graphs, for lvc-runtime and for lvc clone"
                         " --engine onnx, which need no torch.")  # fmt: skip
    made.add_argument("checkpoint", metavar="VOICE", help="a .ckpt of lvc fit, or a model folder; default for the one"
                      " that ships")  # fmt: skip
    made.add_argument("--output", required=True, metavar="FOLDER",
                      help="folder to write; an export that is there is replaced")  # fmt: skip
    made.add_argument("--check", metavar="FILE",
                      help="recording of speech on which the export is compared with PyTorch (default: synthetic"
                      " speech)")  # fmt: skip
    made.add_argument("--vocoder", metavar="WHICH", help="export this one instead of the model's own, as lvc clone's")
    return made


def run(argv: list[str]) -> int:
    """Export a model, and print how far it differs from PyTorch."""
    options = parser().parse_args(argv)
    import numpy as np

    from lightning_voiceclone.inference.converter import load_model
    from lightning_voiceclone.inference.export.folder import check_place, export_model
    from lightning_voiceclone.inference.recordings import read
    from lightning_voiceclone.testing.signals import speech_like
    from lightning_voiceclone.utils.files import check_no_input

    folder = Path(options.output)
    check_place(folder)
    check_no_input(folder, [options.checkpoint, *([options.check] if options.check else [])])
    model = load_model(options.checkpoint, vocoder=options.vocoder)
    rate = model.sample_rate
    source = speech_like(SECONDS, sample_rate=rate).audio
    if options.check:
        source = np.asarray(read(options.check, rate).samples)
    reference = speech_like(SECONDS, sample_rate=rate, speaker=1, seed=1).audio
    seconds = len(source) / rate
    export_model(model, folder, source, reference, path=options.checkpoint, report=lambda name, difference: print(
        f"greatest difference from PyTorch over {seconds:.1f} s: {name:<21}  {difference:.1e}"))  # fmt: skip
    size = sum(file.stat().st_size for file in folder.iterdir())
    print(f"{printable(options.output)}: {size / 1e6:.1f} MB")
    return 0
