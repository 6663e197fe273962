"""A long source converted in blocks against the same source converted whole, by judges.

    python benchmarks/blocks.py --speech ../shared/speech_more --corpus LibriSpeech/test-clean --output OUT [--limit 10]

A recording is utterances of one speaker, one after another with 0.3 s between them, until it lasts 75 s; its reference
is an utterance of another speaker, of 5 to 15 s. Each is converted as ``lvc clone`` converts it, in blocks of 20 s with
the statistics of a sample, and once more as a whole. Prints the means of both, and the paired differences with their
intervals (clustered over speakers): words (Whisper), voice (Resemblyzer), DNSMOS. What is in ``--output`` is not made
again. Needs the extra ``judges``.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import soundfile
from cloning import figure

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.evaluation.compare import compare
from lightning_voiceclone.evaluation.pairs import Pair
from lightning_voiceclone.evaluation.run import evaluate
from lightning_voiceclone.evaluation.systems import ClonedBy
from lightning_voiceclone.inference import converter

RATE, SECONDS, PAUSE = 16000, 75.0, 0.3
REFERENCE = (5.0, 15.0)  # seconds
MEASURES = ("similarity_reference", "similarity_source", "wer", "dnsmos_ovrl")


class Whole(ClonedBy):
    """Converts whatever the length at once."""

    def describe(self) -> dict[str, Any]:
        """As of a model, and that it is whole."""
        return super().describe() | {"name": "whole"}

    def convert(self, pair: Pair) -> tuple[np.ndarray, int]:
        """The clone."""
        with mock.patch.object(converter, "LONGEST_SECONDS", np.inf):
            return super().convert(pair)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True, help="folder with index.tsv")
    parser.add_argument("--corpus", required=True, help="of the table; of speakers in no training")
    parser.add_argument("--output", type=Path, required=True, help="folder of recordings and reports")
    parser.add_argument("--voice", default="default", help="checkpoint, voice folder, or default")
    parser.add_argument("--limit", type=int, default=10, help="recordings (default: 10)")
    options = parser.parse_args()
    pairs = options.output / "pairs.tsv"
    if not pairs.is_file():
        write_recordings(options, pairs)
    reports = [evaluate(pairs, system, options.output / name, measures=MEASURES, workers=1)
               for name, system in (("whole", Whole(options.voice)), ("blocks", ClonedBy(options.voice)))]  # fmt: skip
    comparison = compare([report.folder for report in reports])
    print(f"| {len(reports[0].cases)} recordings of {SECONDS:g} s | whole | in blocks | blocks less whole |")
    print("|---|---|---|---|")
    for name, metric in comparison.metrics.items():
        whole, blocks = metric["means"]
        print(f"| {name} | {whole:.3f} | {blocks:.3f} | {figure(metric['differences'][0], metric['ci95'][0], '+')} |")


def speakers(options: argparse.Namespace) -> Iterator[list[dict[str, str]]]:
    """The lines of the table, speaker by speaker."""
    with (options.speech / "index.tsv").open(encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t") if row["corpus"] == options.corpus]
    for speaker in sorted({row["speaker"] for row in rows}):
        yield sorted((row for row in rows if row["speaker"] == speaker), key=lambda row: row["path"])


def write_recordings(options: argparse.Namespace, pairs: Path) -> None:
    """Write long recordings, and the table of pairs: each speaker's with a reference of the next one."""
    found = list(speakers(options))[: options.limit]
    after = [*found[1:], found[0]]
    options.output.mkdir(parents=True, exist_ok=True)
    lines = ["case\tsource\treference\ttranscript"]
    for rows, others in zip(found, after, strict=True):
        audio: list[np.ndarray] = []
        words: list[str] = []
        for row in rows:
            if sum(map(len, audio)) >= SECONDS * RATE:
                break
            audio += [read_audio(options.speech / row["path"], RATE)[0], np.zeros(round(PAUSE * RATE), np.float32)]
            words.append(row["transcript"])
        name = f"{rows[0]['speaker']}.flac"
        soundfile.write(options.output / name, np.concatenate(audio), RATE)
        given = next(row for row in reversed(others) if REFERENCE[0] <= float(row["seconds"]) <= REFERENCE[1])
        reference = (options.speech / given["path"]).resolve()
        lines.append(f"{rows[0]['speaker']}-to-{given['speaker']}\t{name}\t{reference}\t{' '.join(words)}")
    pairs.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
