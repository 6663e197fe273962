"""The LibriSpeech recipe, trained for its 20 minutes, then evaluated on pairs of speakers that are not in its training.

    python benchmarks/librispeech.py --speech ../shared/speech --output OUT [--trained RUN]

Prints the mean validation mel L1 of the last quarter of the evaluations against the first one's (goal: at most 0.7),
and the figures of ``lvc evaluate`` (goals: nearer_reference at least 0.75, wer at most 0.60) beside those of the two
trivial systems, which hand out the source and the reference as they are. ``--trained`` evaluates a run that is there
already. Needs the extra ``judges``.
"""

import argparse
import csv
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.evaluation.pairs import Pair
from lightning_voiceclone.evaluation.run import evaluate
from lightning_voiceclone.evaluation.systems import ClonedBy, GroundTruth, System

RECIPE = Path(__file__).resolve().parents[1] / "recipes/librispeech.yaml"
MEASURES = ("similarity_reference", "similarity_source", "nearer_reference", "wer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True, help="folder with LibriSpeech/ and eval_pairs.tsv")
    parser.add_argument("--output", type=Path, required=True, help="folder for the run and the reports")
    parser.add_argument("--trained", type=Path, help="folder of a run (runs/librispeech/version_N) to evaluate")
    options = parser.parse_args()
    run = options.trained or train(options.speech.resolve(), options.output)
    print_validation(run / "metrics.csv")
    pairs = options.speech / "eval_pairs.tsv"
    print_figures(pairs, ClonedBy(run / "checkpoints/last.ckpt"), options.output / f"report-{run.name}")
    print_figures(pairs, GroundTruth(), options.output / "report-ground-truth")
    print_figures(pairs, CopiedReference(), options.output / "report-reference")


class CopiedReference(System):
    """The reference itself: all of the voice, and none of the words."""

    kind = "reference"

    def describe(self) -> dict[str, Any]:
        return {"kind": self.kind, "name": "the reference recordings themselves", "sha256": None}

    def convert(self, pair: Pair) -> tuple[np.ndarray, int]:
        return read_audio(pair.reference)


def train(speech: Path, output: Path) -> Path:
    """Folder of the newest run, after training it."""
    output.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "lightning_voiceclone", "fit", "--config", str(RECIPE)]
    subprocess.run([*command, "--data.root", str(speech / "LibriSpeech")], cwd=output, check=True)
    runs = sorted((output / "runs/librispeech").glob("version_*"), key=lambda path: path.stat().st_mtime)
    return runs[-1]


def print_figures(pairs: Path, system: System, output: Path) -> None:
    """Judge a system on all pairs, and print voice and words; the folder has the whole report."""
    report = evaluate(pairs, system, output, measures=MEASURES)
    print(f"{system.kind}, {len(report.cases)} pairs, report in {output}:")
    for name, metric in report.metrics.items():
        low, high = metric["ci95"]
        source = metric["judge"]
        print(f"  {name} {metric['mean']:.3f} ({low:.3f} to {high:.3f}) by {source['name']} {source['version']}")


def print_validation(metrics: Path) -> None:
    """The first evaluation against the last quarter."""
    with metrics.open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream) if row["validation/mel_l1"]]
    values = [float(row["validation/mel_l1"]) for row in rows]
    last = statistics.mean(values[-max(len(values) // 4, 1) :])
    print(f"validation mel L1 of {len(values)} evaluations, to step {int(rows[-1]['step']) + 1}: first {values[0]:.3f},"
          f" mean of the last quarter {last:.3f}, ratio {last / values[0]:.3f}")  # fmt: skip


if __name__ == "__main__":
    main()
