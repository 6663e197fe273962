"""Loading of data: reads from shards against FLAC, a manifest of a million utterances, and a step's wait for data.

    python benchmarks/loading.py --speech ../shared/speech/LibriSpeech --config recipes/clone_small.yaml

Prints: random reads of 2 s from shards, each with its checksums, against the same from FLAC, in turns, and their ratio
(goal: at least 10); seconds and memory to open a manifest of a million utterances with the datasets on it, and to
resume within an epoch (goal: 2 s and 500 MB, 2 s); and the share of a recipe's training that waits for the next batch
from shards (goal: below 2%). Where other work shares the processors, the seconds of CPU are the figure to look at.
"""

import argparse
import multiprocessing
import random
import resource
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import lightning.pytorch as pl
import numpy as np
from lightning.pytorch.profilers import SimpleProfiler
from recipe import made

from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.data.audio_store import AudioStore, FileStore
from lightning_voiceclone.data.corpora import LibriSpeech
from lightning_voiceclone.data.manifest import Manifest
from lightning_voiceclone.data.manifest_file import write_rows
from lightning_voiceclone.data.prepare import MANIFEST_NAME, prepare
from lightning_voiceclone.data.sampling import SegmentSampler
from lightning_voiceclone.data.segments import Grid, Recordings, SegmentDataset
from lightning_voiceclone.data.shards import SHARDS_NAME, ShardStore
from lightning_voiceclone.data.utterances import Utterance, Utterances

ROUNDS, READS, SECONDS = 5, 200, 2.0
MILLION, STEPS = 1_000_000, 30
NEXT = "[_TrainingEpochLoop].train_dataloader_next"


def read_all(store: AudioStore, places: list[tuple[Utterance, float]]) -> float:
    """Seconds of CPU a read."""
    begin = time.process_time()
    for row, start in places:
        store.read(row.path, row.rate, start, start + SECONDS)
    return (time.process_time() - begin) / len(places)


def reads(prepared: Path) -> None:
    manifest = Manifest.read(prepared / MANIFEST_NAME)
    shards, files = ShardStore(prepared / SHARDS_NAME), FileStore(manifest.root, manifest.mixdowns)
    rows, rng = [row for row in manifest.utterances if row.seconds > SECONDS], random.Random(0)
    ours, theirs = [], []
    for _ in range(ROUNDS):
        chosen = rng.choices(rows, k=READS)
        places = [(row, rng.uniform(row.start, row.end - SECONDS)) for row in chosen]
        theirs.append(read_all(files, places))
        ours.append(read_all(shards, places))
    ratios = [file / shard for file, shard in zip(theirs, ours, strict=True)]
    print(f"reads of {SECONDS:g} s: {1 / statistics.median(theirs):,.0f} a second of CPU from FLAC,"
          f" {1 / statistics.median(ours):,.0f} from shards, ratio {statistics.median(ratios):.1f}"
          f" (median of {ROUNDS}, from {min(ratios):.1f} to {max(ratios):.1f})", flush=True)  # fmt: skip


@contextmanager
def measured(name: str) -> Iterator[None]:
    wall, cpu, memory = time.perf_counter(), time.process_time(), resident_megabytes()
    yield
    wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
    print(f"a million utterances: {name}: {wall:.2f} s, {cpu:.2f} s of CPU,"
          f" {resident_megabytes() - memory:+.0f} MB", flush=True)  # fmt: skip


def resident_megabytes() -> float:
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * resource.getpagesize() / 1e6


def write_million(path: Path) -> None:
    """A manifest of 5,000 speakers with 200 recordings each."""
    rng, every = np.random.default_rng(0), range(MILLION)
    digits = rng.bytes(32 * MILLION).hex()
    columns = {
        "path": [f"{n // 200}/{n % 200:05}.flac" for n in every], "start": [0.0] * MILLION,
        "end": rng.uniform(2, 15, MILLION).tolist(), "speaker": [f"{n // 200}" for n in every],
        "text": [f"TRANSCRIPT NUMBER {n} OF A CORPUS THAT HAS A MILLION OF THEM" for n in every],
        "rate": [16000] * MILLION, "bandwidth_hz": [8000.0] * MILLION, "snr_db": rng.uniform(10, 50, MILLION).tolist(),
        "hash": [digits[64 * n : 64 * n + 64] for n in every],
        "split": ["train" if n // 200 % 50 else "validation" for n in every], "parallel": [""] * MILLION,
        "channel": [0] * MILLION, "offset": [0.0] * MILLION,
    }  # fmt: skip
    write_rows(path, columns, "/corpus")


def open_million(path: Path) -> None:
    writer = multiprocessing.get_context("fork").Process(target=write_million, args=(path,))
    writer.start()  # in a process of its own, whose memory is no part of the figures
    writer.join()
    few = Utterance(path="a", start=0.0, end=9.0, speaker="a", text="", rate=16000, bandwidth_hz=8000.0, snr_db=60.0,
                    hash="0" * 64, split="train", channel=0)  # fmt: skip
    Manifest(path.parent, [few]).write(path.with_name("few.parquet"))
    Manifest.read(path.with_name("few.parquet"))  # imports what reading needs
    grid = Grid(AudioSpec(kind="mel", channels=80, sample_rate=16000, hop_length=256), 80, 125, 3)
    with measured("manifest and datasets"):
        manifest = Manifest.read(path)
        store = FileStore(manifest.root, manifest.mixdowns, 0)
        rows = Utterances.of(manifest.utterances)
        datasets = {split: SegmentDataset(Recordings(rows.of_split(split), store, 16000, 0), grid)
                    for split in ("train", "validation", "test")}  # fmt: skip
    with measured("resumed within an epoch"):
        found = Utterances.of(datasets["train"].recordings.utterances)
        sampler = SegmentSampler(np.maximum(grid.all_frames(found) // grid.segment, 1), 16, 0)
        sampler.start = len(sampler) // 2
        next(iter(sampler))


def wait(prepared: Path, arguments: list[str]) -> None:
    """Share of a training's time in which it waits for data, without what the first step takes to begin."""
    module, data = made([*arguments, f"--data.manifest={prepared}", "--model.steps.warmup=0"])
    profiler = SimpleProfiler()
    trainer = pl.Trainer(
        accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False, max_steps=STEPS,
        enable_model_summary=False, use_distributed_sampler=False, profiler=profiler, limit_val_batches=0,
    )  # fmt: skip
    trainer.fit(module, datamodule=data)
    waited, steps = profiler.recorded_durations[NEXT][1:], profiler.recorded_durations["run_training_batch"][1:]
    print(f"training step: {1e3 * sum(steps) / len(steps):.0f} ms, and waits {1e3 * sum(waited) / len(waited):.1f} ms"
          f" for data: {100 * sum(waited) / (sum(waited) + sum(steps)):.2f}%", flush=True)  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True, help="folder with the layout of LibriSpeech")
    arguments, rest = parser.parse_known_args()
    with tempfile.TemporaryDirectory() as folder:
        open_million(Path(folder) / "million.parquet")
        prepared = Path(folder) / "prepared"
        prepare(LibriSpeech(arguments.speech), prepared, shards=True, progress=False, workers=1)
        reads(prepared)
        wait(prepared, rest)


if __name__ == "__main__":
    main()
