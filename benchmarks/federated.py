"""Adapt the bundled model to ten speakers: with all recordings in one place, by clients, and with clients that vanish.

    python benchmarks/federated.py --speech ../shared/speech --output runs/federated

Speakers are the first of LibriSpeech dev-clean, those recordings of theirs that half a minute holds. ``central`` is one
training on all of them, ``federated`` the clients and the averages of plugins/lvc-flower (without its network, which
its tests cover), ``lost`` the same with 30% of the clients gone after half of the rounds. All make as many steps in a
row. Each is a model folder in --output, for a comparison on the speakers' other recordings:

    lvc evaluate --pairs pairs.tsv --checkpoint runs/federated/central --output runs/federated/report-central
    lvc evaluate --pairs pairs.tsv --checkpoint runs/federated/federated --output runs/federated/report-federated
    lvc compare runs/federated/report-central runs/federated/report-federated

It writes pairs.tsv too: each speaker's own left-out recording as the reference, another speaker's as the source. Needs
plugins/lvc-flower installed; Flower itself is not needed (pip install --no-deps plugins/lvc-flower).
"""

import argparse
import copy
import csv
import itertools
import sys
import tempfile
import time
from pathlib import Path

from lvc_flower.local import LocalTraining
from lvc_flower.weights import mean, packed, unpacked

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.training.adaptation import (
    GeneratorState,
    finish,
    interpolate,
    screened,
    train_generator,
    weights_of,
)

CORPUS, SECONDS, STRENGTH = "LibriSpeech/dev-clean (MP3)", 30.0, 0.6


def speakers_of(speech: Path, count: int) -> dict[str, list[dict[str, str]]]:
    """Rows of the table by speaker, of the first speakers."""
    with (speech / "index.tsv").open(encoding="utf-8") as stream:
        rows = [row for row in csv.DictReader(stream, delimiter="\t") if row["corpus"] == CORPUS]
    names = sorted({row["speaker"] for row in rows})[:count]
    return {name: [row for row in rows if row["speaker"] == name] for name in names}


def half_a_minute(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The first rows that hold so many seconds."""
    ends = itertools.accumulate(float(row["seconds"]) for row in rows)
    return [row for row, end in zip(rows, ends, strict=True) if end <= SECONDS]


def write_pairs(speech: Path, found: dict[str, list[dict[str, str]]], path: Path) -> None:
    """Pairs of recordings that no training has."""
    left = {name: rows[len(half_a_minute(rows)) :] for name, rows in found.items()}
    names = list(left)
    with path.open("w", encoding="utf-8", newline="") as stream:
        writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
        writer.writerow(["case", "source", "reference", "transcript"])
        for place, name in enumerate(names):
            for step in (1, 2, 3):
                source = left[names[(place + step) % len(names)]][step]
                reference = left[name][0]
                paths = [str((speech / row["path"]).resolve()) for row in (source, reference)]
                writer.writerow([f"{source['speaker']}-to-{name}", *paths, source["transcript"]])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, default=Path("../shared/speech"))
    parser.add_argument("--output", type=Path, default=Path("runs/federated"))
    parser.add_argument("--checkpoint", default="default")
    parser.add_argument("--speakers", type=int, default=10)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--steps", type=int, default=30)
    parser.add_argument("--learning-rate", type=float, default=1e-4)
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    found = speakers_of(options.speech, options.speakers)
    write_pairs(options.speech, found, options.output / "pairs.tsv")
    start = load_voice(options.checkpoint)
    before = weights_of(start.generator)
    own = {}
    for name, rows in found.items():
        paths = [options.speech / row["path"] for row in half_a_minute(rows)]
        own[name], _ = screened(start, paths, "auto", lambda line: None)

    def keep(name: str, average: dict, begun: float) -> None:
        voice = copy.deepcopy(start)
        interpolate(voice, before, average, STRENGTH)
        finish(voice)
        save_voice(voice, options.output / name, bits=16)
        print(f"{name}: {(time.monotonic() - begun) / 60:.1f} minutes", flush=True)

    begun = time.monotonic()
    pooled = [(name, audio) for name, several in own.items() for audio in several]
    central = train_generator(
        copy.deepcopy(start), [audio for _, audio in pooled], speakers=[name for name, _ in pooled], seed=0,
        steps=options.rounds * options.steps, learning_rate=options.learning_rate, progress=sys.stderr.isatty(),
    )  # fmt: skip
    keep("central", central.average, begun)
    for name, lost in (("federated", 0), ("lost", round(0.3 * len(own)))):
        begun = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            keep(name, federated(start, own, Path(folder), options, lost), begun)


def federated(start, own, folder: Path, options: argparse.Namespace, lost: int):
    """Averaged weights after all rounds; so many clients are gone in the second half of them."""
    clients = []
    for number, (name, recordings) in enumerate(own.items()):
        (folder / name).mkdir()
        clients.append(LocalTraining(start, recordings, folder / name, seed=number))
    arrays = packed(GeneratorState(clients[0].like, clients[0].like))
    for number in range(options.rounds):
        there = clients[lost:] if number >= options.rounds // 2 else clients
        settings = {"model": there[0].model, "steps": options.steps, "learning_rate": options.learning_rate}
        arrays = mean([(client.round(arrays, settings), client.samples) for client in there])
    return unpacked(arrays, clients[0].like).average


if __name__ == "__main__":
    main()
