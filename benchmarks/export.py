"""ONNX Runtime against PyTorch: ten seconds with the model loaded, and lvc clone from the shell.

    python benchmarks/export.py --speech ../shared/speech [--export FOLDER] [--threads 2] [--rounds 5] [--commands 3]

Both convert the same ten seconds of LibriSpeech in turn, to the speaker of the same eight, with as many threads;
speakers are analysed before. Prints wall and CPU time (best of the rounds), their ratios, and the greatest difference.
Commands are whole processes. The best of them counts too: other processes can only make one slower.
"""

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import soundfile

RATE, SOURCE_SECONDS, REFERENCE_SECONDS = 16000, 10, 8
TORCH, ONNX = "torch", "onnx"


def recordings(speech: Path, folder: Path) -> tuple[Path, Path]:
    """Write a source of ten seconds and a reference of eight, of two speakers."""
    found: list[tuple[str, np.ndarray]] = []
    for path in sorted((speech / "LibriSpeech").rglob("*.flac")):
        audio, _ = soundfile.read(path, dtype="int16")
        if len(audio) >= SOURCE_SECONDS * RATE and path.name.split("-")[0] not in [name for name, _ in found]:
            found.append((path.name.split("-")[0], audio))
        if len(found) == 2:
            break
    paths = folder / "source.wav", folder / "reference.wav"
    for path, (_, audio), seconds in zip(paths, found, (SOURCE_SECONDS, REFERENCE_SECONDS), strict=True):
        soundfile.write(path, audio[: seconds * RATE], RATE)
    return paths


def timed(function: Callable[[], Any]) -> tuple[float, float]:
    """Wall and CPU time of a call, in seconds."""
    wall, cpu = time.perf_counter(), time.process_time()
    function()
    return time.perf_counter() - wall, time.process_time() - cpu


def best(times: list[tuple[float, float]]) -> tuple[float, float]:
    """The least wall time and the least CPU time."""
    return min(wall for wall, _ in times), min(cpu for _, cpu in times)


def loaded(export: Path, source: Path, reference: Path, threads: int, rounds: int) -> None:
    """Print what ten seconds cost with both, in turn."""
    import lvc_runtime
    import torch
    from lvc_runtime.conversion import Conversion

    import lightning_voiceclone as lvc

    torch.set_num_threads(threads)
    model, runtime = lvc.load_model(note=lambda line: None), lvc_runtime.load(export, threads=threads)
    speakers = model.speaker(reference), runtime.speaker(reference)
    conversion = Conversion(runtime.parts)
    calls: dict[str, Callable[[], Any]] = {
        TORCH: lambda: model.voice.convert(audio, speakers[0].prompt, RATE),
        ONNX: lambda: conversion.push(
            samples, conversion.init_state(), speakers[1], guidance=runtime.parts.guidance, final=True
        )[0]["samples"][0],
    }
    samples = lvc.read(source, RATE).samples.numpy()
    audio = torch.from_numpy(samples)
    difference = np.abs(calls[TORCH]().numpy() - calls[ONNX]()).max()
    times: dict[str, list[tuple[float, float]]] = {name: [] for name in calls}
    for _ in range(rounds):
        for name, call in calls.items():
            times[name].append(timed(call))
    walls, cpus = zip(*(best(times[name]) for name in calls), strict=True)
    for name, wall, cpu in zip(calls, walls, cpus, strict=True):
        print(f"{name}: {wall:.3f} s, CPU {cpu:.3f} s")
    print(f"onnx over torch: wall {walls[1] / walls[0]:.2f}, CPU {cpus[1] / cpus[0]:.2f}; samples differ by"
          f" {difference:.1e}")  # fmt: skip


def commands(export: Path, source: Path, reference: Path, count: int) -> None:
    """Print what a command costs, start-up included."""
    base = [sys.executable, "-m", "lightning_voiceclone", "clone", "--source", str(source), "--reference",
            str(reference), "--output", str(source.with_name("out.wav"))]  # fmt: skip
    for name, more in {ONNX: ["--engine", "onnx", "--checkpoint", str(export)], TORCH: []}.items():
        walls, cpus = [], []
        for _ in range(count):
            before, begin = os.times(), time.perf_counter()
            subprocess.run([*base, *more], check=True, capture_output=True)
            walls.append(time.perf_counter() - begin)
            after = os.times()
            cpus.append(sum(after[2:4]) - sum(before[2:4]))
        print(f"lvc clone by {name}: best {min(walls):.2f} s of {count}, CPU {min(cpus):.2f} s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--export", type=Path, help="an export of the model that ships (default: made here)")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--commands", type=int, default=3)
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        export = arguments.export or folder / "export"
        source, reference = recordings(arguments.speech, folder)
        if arguments.export is None:
            made = [sys.executable, "-m", "lightning_voiceclone", "export", "default", "--output", str(export)]
            subprocess.run(made, check=True)
        print(f"load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        loaded(export, source, reference, arguments.threads, arguments.rounds)
        commands(export, source, reference, arguments.commands)


if __name__ == "__main__":
    main()
