"""``lvc checkpoint``."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_voiceclone.checkpoints.privacy_record import in_words
from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.utils.terminal import printable, table

if TYPE_CHECKING:
    from lightning_voiceclone.checkpoints.contents import Contents

HEADING = ["PART", "CLASS", "PACKAGE", "VERSION", "WEIGHTS"]


def run(argv: list[str]) -> int:
    """Show what a checkpoint holds, or compare two."""
    parser = CommandParser("lvc checkpoint", description="Show what a checkpoint of lvc fit, or a folder of lvc save,"
                           " holds; nothing is built or imported from it. With a second checkpoint: whether a training"
                           " would go on from both in the same way, and if not, the first state that differs; the exit"
                           " status is then 1.")  # fmt: skip
    parser.add_argument("checkpoint", metavar="CHECKPOINT",
                        help="a .ckpt, a folder, or default for the model that ships")  # fmt: skip
    parser.add_argument("other", nargs="?", metavar="OTHER", help="a .ckpt to compare it with: weights, averages,"
                        " optimizers, schedulers, step and place in the data, to the bit")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print an object instead of lines")
    options = parser.parse_args(argv)
    from lightning_voiceclone.checkpoints.contents import contents, first_difference

    if options.other is not None:
        found = first_difference(Path(options.checkpoint), Path(options.other))
        if options.json:
            print(json.dumps(None if found is None else asdict(found)))
        elif found is None:
            print("no state differs")
        else:
            print(f"{found.differing} of {found.total} states differ; the first: {printable(found.name)}:"
                  f" {printable(found.what)}")  # fmt: skip
        return 0 if found is None else 1
    made = contents(options.checkpoint)
    print(json.dumps(asdict(made), default=str, indent=1) if options.json else "\n".join(_lines(made)))
    return 0


def _lines(made: "Contents") -> list[str]:
    training = made.training
    lines = [
        f"{printable(made.path)}: {made.holds}, {made.size / 1e6:.2f} MB",
        f"written by lightning-voiceclone {printable(made.version)}"
        + (f", Lightning {printable(training['lightning'])}" if training else "")
        + f"; format {made.format}",
        f"features: {printable(made.features)}",
    ]
    if training:
        rates = ", ".join(f"{rate:.3g}" for rate in training["learning_rates"])
        lines.append(f"step {training['step']}, epoch {training['epoch']}; learning rates {rates}")
    if training.get("best") is not None:
        lines.append(f"{printable(training['monitor'])}: {_figure(training['current'])}, at best {training['best']:.4g}"
                     f" ({printable(training['best_path'])})")  # fmt: skip
    if made.privacy is not None:
        lines.append(f"privacy: {printable(in_words(made.privacy))}")
    rows = [[part.role, part.name, part.package, part.version, _weights(part.weights, part.sha256)]
            for part in made.parts]  # fmt: skip
    return [*lines, "", table([HEADING, *([printable(cell) for cell in row] for row in rows)])]


def _figure(value: float | None) -> str:
    return "not measured since it was resumed" if value is None else f"{value:.4g}"


def _weights(count: int, sha256: str | None) -> str:
    if sha256 is not None:
        return f"of another file, {sha256[:12]}"
    return f"{count / 1e6:.2f} M" if count >= 10_000 else str(count)
