"""Memory and time of lvc clone against the length of the source.

    python benchmarks/long.py --speech ../shared/speech [--minutes 1 60] [--threads 2]
    python benchmarks/long.py --speech ../shared/speech --stream --minutes 180 [--voice small] [--seconds 600]

Each length is converted by a command of its own, in a new process: utterances of LibriSpeech one after another, again
from the beginning where they end. Prints the peak of the process's resident set (VmHWM), wall and CPU time, the
real-time factor (wall time over the source's length), and CPU time over the source's length and the threads, which is
what the factor would be on cores that nothing else uses.

With ``--stream``, the source is pushed through ``model.stream`` in pieces (``--piece``) instead. Prints the resident
set at each tenth, how much more it is at the end than after the first tenth (goal: at most 5%), and how many times as
fast as real time it went, by wall and by CPU time. ``--voice small`` is an untrained model of a few thousand weights
with the same parts in their small sizes, which is faster; ``--seconds`` ends the run after that much wall time, and
prints how far it came.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import soundfile

RATE = 16000
COMMAND = """
import resource, sys, time
from pathlib import Path
import torch
torch.set_num_threads(int(sys.argv[1]))
from lightning_voiceclone.cli.main import main
begin = time.perf_counter()
if main(sys.argv[2:]):
    sys.exit(1)
lines = Path("/proc/self/status").read_text().splitlines()
peak = next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))
used = resource.getrusage(resource.RUSAGE_SELF)
print("FIGURES", peak / 1024, time.perf_counter() - begin, used.ru_utime + used.ru_stime)
"""


def write_source(speech: Path, path: Path, minutes: float) -> None:
    """Write utterances of LibriSpeech one after another, so many minutes of them, in pieces."""
    found = sorted((speech / "LibriSpeech").rglob("*.flac"))
    left = round(minutes * 60 * RATE)
    with soundfile.SoundFile(path, "w", RATE, 1, "PCM_16") as file:
        while left:
            for recording in found:
                audio = soundfile.read(recording, dtype="int16")[0][:left]
                file.write(audio)
                left -= len(audio)
                if not left:
                    break


def command(arguments: argparse.Namespace, minutes: float, folder: Path) -> None:
    """Print the figures of one command."""
    source, reference = folder / "source.wav", folder / "reference.wav"
    write_source(arguments.speech, source, minutes)
    write_source(arguments.speech, reference, 8 / 60)
    argv = [sys.executable, "-c", COMMAND, str(arguments.threads), "clone", "--source", str(source), "--reference",
            str(reference), "--output", str(folder / "clone.wav")]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=True)
    line = next(line for line in done.stdout.splitlines() if line.startswith("FIGURES"))
    peak, wall, cpu = (float(value) for value in line.split()[1:])
    seconds = minutes * 60
    print(f"{minutes:6.1f} min: peak {peak:6.0f} MB, wall {wall:7.1f} s, CPU {cpu:7.1f} s, real-time factor"
          f" {wall / seconds:.4f}, by CPU time {cpu / arguments.threads / seconds:.4f}", flush=True)  # fmt: skip


def stream(arguments: argparse.Namespace, minutes: float, folder: Path) -> None:
    """Print the resident set while a source goes through a stream."""
    import torch

    import lightning_voiceclone as lvc
    from lightning_voiceclone.testing.voices import small_streaming_voice

    torch.set_num_threads(arguments.threads)
    write_source(arguments.speech, folder / "reference.wav", 8 / 60)
    write_source(arguments.speech, folder / "source.wav", min(minutes, 10))
    audio, _ = soundfile.read(folder / "source.wav", dtype="float32")
    model = lvc.Converter(small_streaming_voice()) if arguments.voice == "small" else lvc.load_model(arguments.voice)
    piece, total, end, weighed = round(arguments.piece * RATE), round(minutes * 60 * RATE), 0, [0.0]
    speaker = model.speaker(folder / "reference.wav")
    begun, used = time.perf_counter(), time.process_time()
    with model.stream(speaker) as running:
        while end < total and time.perf_counter() - begun < arguments.seconds:
            place = end % len(audio)
            running.push(np.ascontiguousarray(audio[place : place + piece]))
            end += piece
            if end >= len(weighed) * total / 10:
                weighed.append(resident_megabytes())
    weighed.append(resident_megabytes())
    speeds = [end / RATE / seconds for seconds in (time.perf_counter() - begun, time.process_time() - used)]
    print(f"{end / RATE / 60:6.1f} min of stream, {speeds[0]:.1f} times as fast as real time (by CPU time"
          f" {speeds[1]:.1f}): MB {' '.join(f'{value:.0f}' for value in weighed[1:])}; from the first tenth to the end"
          f" {100 * (weighed[-1] / weighed[1] - 1):+.1f}%", flush=True)  # fmt: skip


def resident_megabytes() -> float:
    """The process's resident set."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--minutes", type=float, nargs="+", default=[1, 60])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stream", action="store_true")
    parser.add_argument("--voice", default="default", help="with --stream: checkpoint, voice folder, default or small")
    parser.add_argument("--piece", type=float, default=0.5, help="with --stream: seconds of a push (default: 0.5)")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="with --stream: most wall time")
    arguments = parser.parse_args()
    for minutes in arguments.minutes:
        with TemporaryDirectory() as folder:
            (stream if arguments.stream else command)(arguments, minutes, Path(folder))


if __name__ == "__main__":
    main()
