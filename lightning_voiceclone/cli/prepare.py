"""``lvc prepare``: from a corpus to a manifest, with checks, optional cleaning and cached features."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.registry import make_part
from lightning_voiceclone.utils.terminal import printable

if TYPE_CHECKING:
    from lightning_voiceclone.data.prepare_summary import PrepareSummary

DESCRIPTION = """\
Check every recording of a corpus and write DIR/manifest.parquet, which training reads, and DIR/rejected.tsv, which
lists the rejected recordings with the reason. After an interruption, the same command continues where it stopped;
later it processes only what is new or changed."""
EPILOG = """\
KIND is one of {corpora}, or a corpus of an installed plugin. KIND, --transform and --features take settings as
NAME:setting=value,setting=value.

examples:
  lvc prepare LibriSpeech ~/corpora/LibriSpeech --output prepared --validation 20
  lvc prepare SpeakerFolders voices --output prepared --transform TrimSilence --transform NormalizeLoudness:target=-20
  lvc prepare Table takes.tsv --output prepared --rate 16000 --features MelSpectrogram
  lvc prepare VCTK:microphone=mic1 ~/corpora/VCTK-Corpus-0.92 --output prepared --split-by utterance --test 100"""


def build_parser() -> argparse.ArgumentParser:
    """The command's arguments."""
    corpora = ", ".join(plugin.name for plugin in registry.installed() if plugin.kind == "corpora")
    parser = CommandParser(
        "lvc prepare",
        description=DESCRIPTION,
        epilog=EPILOG.format(corpora=corpora),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("kind", metavar="KIND", help="layout of the corpus on disk")
    parser.add_argument("root", metavar="ROOT", type=Path, help="its folder, or the file of a Table")
    parser.add_argument("--output", metavar="DIR", type=Path, required=True, help="folder to write to")
    parser.add_argument(
        "--subset",
        metavar="NAME",
        action="extend",
        nargs="+",
        help="subsets to use, such as train-clean-100 (default: all)",
    )
    parser.add_argument("--transform", metavar="NAME", action="append", default=[],
                        help="clean each recording; may be given several times, applied in order")  # fmt: skip
    parser.add_argument(
        "--features", metavar="NAME", help="store the features of every utterance, such as MelSpectrogram"
    )
    parser.add_argument(
        "--feature-type",
        choices=["float32", "float16"],
        default="float32",
        help="type of stored features (default: float32)",
    )
    parser.add_argument("--shards", action="store_true",
                        help="pack the samples into DIR/shards, which training reads without decoding; with --rate, at"
                        " the model's rate")  # fmt: skip
    parser.add_argument("--rate", metavar="HZ", type=int, help="resample the recordings and write copies")
    parser.add_argument(
        "--min-seconds", metavar="S", type=float, default=0.3, help="reject shorter recordings (default: 0.3)"
    )
    parser.add_argument("--split-by", metavar="UNIT",
                        help="speaker or utterance (default: speaker, where there are two or more)")  # fmt: skip
    parser.add_argument("--validation", metavar="N", type=float,
                        help="speakers (or utterances) kept for validation, or a share of them if below 1"
                        " (default: what the corpus declares, else 0.05)")  # fmt: skip
    parser.add_argument(
        "--test", metavar="N", type=float, help="likewise for the test split (default: what the corpus declares)"
    )
    parser.add_argument("--seed", type=int, default=0, help="random seed of the splits (default: 0)")
    parser.add_argument("--workers", metavar="N", type=int, default=0, help="processes (default: one a processor)")
    parser.add_argument("--download", action="store_true", help="fetch the corpus into ROOT first, if it is not there")
    return parser


def run(argv: Sequence[str]) -> int:
    """Prepare, and print a summary; 0, or 130 after Ctrl-C.

    Raises:
        LVCError: for what a user can fix.
    """
    options = build_parser().parse_args(argv)
    kind = registry.find("corpora", options.kind.partition(":")[0])
    from lightning_voiceclone.data.prepare import prepare

    subsets = {"subsets": options.subset} if options.subset else {}
    corpus_class: Any = kind.load()
    if options.download:
        corpus_class.download(options.root.expanduser(), **subsets)
    corpus = make_part("corpora", options.kind, options.root.expanduser(), **subsets)
    try:
        summary = prepare(
            corpus,
            options.output,
            transforms=[make_part("audio_transforms", text) for text in options.transform],
            features=make_part("feature_extractors", options.features) if options.features else None,
            sample_rate=options.rate,
            feature_type=options.feature_type,
            min_seconds=options.min_seconds,
            shards=options.shards,
            split_by=options.split_by,
            validation=options.validation,
            test=options.test,
            seed=options.seed,
            workers=options.workers,
        )
    except KeyboardInterrupt:
        print("lvc: interrupted; the same command continues where it stopped", file=sys.stderr)
        return 130
    print(printable(_as_text(summary), lines=True))
    return 0


def _as_text(summary: "PrepareSummary") -> str:
    from lightning_voiceclone.audio.folders import passed_over

    known = f" ({summary.reused} known from before)" if summary.reused else ""
    lines = [f"{summary.accepted} utterances, {summary.seconds / 3600:.2f} hours{known}"]
    for split in ("train", "validation", "test"):
        if split in summary.utterances:
            lines.append(
                f"  {split:<11} {summary.utterances[split]:>7} utterances of {summary.speakers[split]} speakers"
            )
    if summary.rejected:
        counted = ", ".join(f"{count} {reason}" for reason, count in summary.reasons.items())
        lines.append(f"{summary.rejected} rejected: {counted} ({summary.manifest_path.with_name('rejected.tsv')})")
    if summary.passed_over:
        lines.append(passed_over(summary.passed_over))
    for note, paths in summary.notes.items():
        others = f" and {len(paths) - 1} others" if len(paths) > 1 else ""
        lines.append(f"note: {paths[0]}{others}: {note}")
    lines.append(f"manifest: {summary.manifest_path}")
    return "\n".join(lines)
