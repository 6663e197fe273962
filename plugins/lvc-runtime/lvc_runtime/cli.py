"""``lvc-runtime clone``."""

import argparse
import sys
from collections.abc import Sequence

from lvc_runtime.errors import RuntimeFailure


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = argparse.ArgumentParser("lvc-runtime", description="Clone voices with a folder of `lvc export`.")
    commands = made.add_subparsers(dest="command", required=True)
    clone = commands.add_parser("clone", help="convert a recording to the voice of reference recordings")
    clone.add_argument("--model", required=True, metavar="DIR", help="folder of `lvc export`")
    clone.add_argument("--source", required=True, metavar="FILE", help="recording to convert")
    clone.add_argument("--reference", nargs="+", default=[], metavar="FILE",
                       help="target speaker: recordings of one speaker, or one .voice file; adapted models need"
                       " none")  # fmt: skip
    clone.add_argument("--output", required=True, metavar="FILE", help="file to write (.wav or .flac)")
    clone.add_argument("--pitch-shift", type=float, default=0.0, metavar="SEMITONES", help="default: 0")
    clone.add_argument("--speed", type=float, default=1.0, metavar="FACTOR", help="default: 1")
    clone.add_argument("--guidance", type=float, metavar="STRENGTH", help="0 to 2 (default: the model's own)")
    clone.add_argument("--threads", type=int, metavar="N", help="to compute with (default: one for each core)")
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command: 0, or 2 for an error that a user can fix, which is one line."""
    options = parser().parse_args(argv)
    try:
        return _clone(options)
    except RuntimeFailure as error:
        print(f"lvc-runtime: error: {error}", file=sys.stderr)
        return 2


def _clone(options: argparse.Namespace) -> int:
    from lvc_runtime.recordings import check_writable
    from lvc_runtime.runtime import load
    from lvc_runtime.stream import Options

    check_writable(options.output)
    chosen = Options(options.pitch_shift, options.speed, options.guidance)
    model = load(options.model, threads=options.threads, note=lambda line: print(f"note: {line}", file=sys.stderr))
    speaker = model.speaker(options.reference) if options.reference else None
    samples = model.convert(options.source, speaker, chosen)
    model.write(options.output, samples)
    print(f"{options.output}: {len(samples) / model.sample_rate:.2f} s at {model.sample_rate} Hz")
    return 0


if __name__ == "__main__":
    sys.exit(main())
