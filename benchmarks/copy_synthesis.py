"""Vocoders alone, of speakers not in their training: analysis and resynthesis of the sources of a table of pairs.

    python benchmarks/copy_synthesis.py --pairs ../shared/speech/eval_pairs.tsv --output FOLDER

The distinct sources as they are, and through Vocos (the one that ships, refined and by its network alone, or
--vocoder), Griffin-Lim with 60 iterations and, where lvc-world is installed, WORLD: PESQ, STOI, DNSMOS, mel distance
and corpus word error rate, and the differences from Vocos, paired, with 95% intervals clustered over speakers. Goals:
DNSMOS of Vocos within 0.35 of the recordings' and above Griffin-Lim's, PESQ not below Griffin-Lim's, WER at most 0.02
above the recordings'. Needs the extra ``judges``. An interrupted run is resumed.
"""

import argparse
import csv
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.core import registry
from lightning_voiceclone.evaluation.compare import compare
from lightning_voiceclone.evaluation.report import Report
from lightning_voiceclone.evaluation.run import evaluate
from lightning_voiceclone.evaluation.systems import Copy, GroundTruth, System
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.vocoders.vocos import Vocos

MEASURES = ("pesq_wb", "stoi", "dnsmos_ovrl", "wer")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pairs", type=Path, required=True, help="TSV with case, source, reference, transcript")
    parser.add_argument("--output", type=Path, required=True, help="folder of the reports")
    parser.add_argument("--vocoder", default="default", help="as for lvc clone --vocoder")
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    pairs = options.output / "sources.tsv"
    write_sources(options.pairs, pairs)
    reports = {name: evaluate(pairs, system, options.output / name, measures=MEASURES)
               for name, system in systems(options.vocoder)}  # fmt: skip
    show(reports)


def write_sources(pairs: Path, table: Path) -> None:
    """A table of the distinct sources, each its own reference."""
    with pairs.open(encoding="utf-8", newline="") as stream:
        rows = {row["source"]: row for row in csv.DictReader(stream, delimiter="\t")}
    with table.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t")
        writer.writerow(["case", "source", "reference", "transcript", "source_speaker", "target_speaker"])
        for source, row in sorted(rows.items()):
            path, speaker = (pairs.parent / source).resolve(), row["case"].split("-")[0]
            writer.writerow([path.stem, path, path, row["transcript"], speaker, speaker])


def systems(vocoder: str) -> Iterator[tuple[str, System]]:
    """The vocoder first: the others are compared with it."""
    mel = MelSpectrogram()
    yield "vocos", Copy.named(vocoder=vocoder)
    if vocoder == "default":
        yield "vocos, unrefined", Copy(mel, Vocos(mel.spec, pretrained=vocoder))
    yield "recordings", GroundTruth()
    yield "griffin-lim", Copy(mel, GriffinLim(mel.spec, iterations=60))
    if "World" in {plugin.name for plugin in registry.installed()}:
        features = registry.find("feature_extractors", "WorldFeatures").load()()
        yield "world", Copy(features, registry.find("vocoders", "World").load()(features.spec))


def show(reports: dict[str, Report]) -> None:
    """The table of means, and that of differences."""
    comparison = compare([report.folder for report in reports.values()])
    means, differences = Table(title="copy synthesis"), Table(title="less vocos, paired, with 95% intervals")
    for table in (means, differences):
        for heading in ("system", *MEASURES):
            table.add_column(heading, justify="left" if heading == "system" else "right")
    means.add_column("mel distance", justify="right")
    for place, (name, report) in enumerate(reports.items()):
        figures = [comparison.metrics[measure]["means"][place] for measure in MEASURES]
        means.add_row(name, *(f"{figure:.3f}" for figure in figures), f"{mel_distance(report.folder):.3f}")
        if place:
            rows = [(comparison.metrics[m]["differences"][place - 1], comparison.metrics[m]["ci95"][place - 1])
                    for m in MEASURES]  # fmt: skip
            differences.add_row(name, *(f"{value:+.3f} ({low:+.3f} to {high:+.3f})" for value, (low, high) in rows))
    console = Console(width=130)
    console.print(means)
    console.print(differences)
    for measure in MEASURES:
        print(f"{measure}: {comparison.metrics[measure]['judge']}")


def mel_distance(folder: Path) -> float:
    """Mean absolute difference of natural logarithms of mel bands from the source, over all cases of a report."""
    extract, distances = MelSpectrogram(), []
    for path in sorted((folder / "audio").glob("*.clone.wav")):
        clone, source = (read_audio(name, extract.spec.sample_rate)[0]
                         for name in (path, path.with_name(path.name.replace(".clone.", ".source."))))  # fmt: skip
        frames = min(len(clone), len(source)) // extract.spec.hop_length
        features = [
            extract(torch.from_numpy(audio[: frames * extract.spec.hop_length])[None]) for audio in (clone, source)
        ]
        distances.append((features[0] - features[1]).abs().mean().item())
    return float(np.mean(distances))


if __name__ == "__main__":
    main()
