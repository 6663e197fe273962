"""What a clone costs: the part ``speed`` of ``cloning.py``."""

import argparse
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import torch
from cloning_speakers import RATE, samples, utterances
from torch import Tensor

from lightning_voiceclone.audio.io import write_audio
from lightning_voiceclone.checkpoints.part_folder import pretrained_path, ships
from lightning_voiceclone.checkpoints.voice_folder import load_voice, voice_path
from lightning_voiceclone.core.part import Part, describe
from lightning_voiceclone.evaluation.pairs import read_pairs
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.voice.model import VoiceModel

SOURCE_SECONDS, REFERENCE_SECONDS = 10, 8
THREADS, ROUNDS, COMMANDS = 2, 5, 3
# In the new process, whose own peak this is: the one of getrusage begins with its parent's.
PEAK = """
import resource, sys
from pathlib import Path
from lightning_voiceclone.cli.main import main
if main(sys.argv[1:]):
    sys.exit(1)
status = Path("/proc/self/status")
lines = status.read_text().splitlines() if status.is_file() else []
peaks = [int(line.split()[1]) for line in lines if line.startswith("VmHWM")]
unit = 1024 if sys.platform == "darwin" else 1
print("PEAK", peaks[0] if peaks else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // unit)
"""


def print_speed(options: argparse.Namespace) -> None:
    """Times of a loaded voice and of the command, memory, and size."""
    with TemporaryDirectory() as folder:
        source, reference = recordings(options, Path(folder))
        print(f"speed, {SOURCE_SECONDS} s of source, {REFERENCE_SECONDS} s of reference, {THREADS} threads:")
        print_loaded(load_voice(options.voice), source, reference)
        clone = ["clone", "--checkpoint", str(voice_path(options.voice)), "--source", str(source), "--reference",
                 str(reference), "--output", f"{folder}/clone.wav"]  # fmt: skip
        print_commands(clone)
    print_size(options.voice)


def recordings(options: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """A source and a reference of another speaker, of utterances one after another, cut to their lengths."""
    rows = read_pairs(options.pairs).rows
    made = []
    for speaker, seconds in ((rows[0].source_speaker, SOURCE_SECONDS), (rows[0].target_speaker, REFERENCE_SECONDS)):
        audio = torch.cat([samples(path, RATE) for path in utterances(options, speaker)])[: seconds * RATE]
        made.append(folder / f"{speaker}.wav")
        write_audio(made[-1], audio.numpy(), RATE)
    return made[0], made[1]


def print_loaded(voice: VoiceModel, source: Path, reference: Path) -> None:
    """Real-time factors of everything between reading and writing, and whether equal seeds give equal samples."""
    before = torch.get_num_threads()
    torch.set_num_threads(THREADS)
    spec, converter = voice.spec, Converter(voice, note=lambda note: None)
    source_audio, reference_audio = (samples(path, spec.sample_rate) for path in (source, reference))

    def clone(seed: int) -> Tensor:
        speaker = converter.speaker((reference_audio, spec.sample_rate))
        return torch.as_tensor(converter.convert((source_audio, spec.sample_rate), speaker, seed=seed).samples)

    first, seconds, equal = clone(0), [], True
    for _ in range(ROUNDS):
        begun = time.perf_counter()
        again = clone(0)
        seconds.append(time.perf_counter() - begun)
        equal = equal and torch.equal(first, again)
    torch.set_num_threads(before)
    factors = sorted(each * spec.sample_rate / len(source_audio) for each in seconds)
    report("real-time factor of a loaded model, all included", statistics.median(factors), "at most 0.06", 0.06,
         f"median of {ROUNDS}, {factors[0]:.3f} to {factors[-1]:.3f}")  # fmt: skip
    print(f"  equal samples for equal seeds, {ROUNDS + 1} clones: {'reached' if equal else 'not reached'}", flush=True)


def report(name: str, value: float, goal: str, most: float, how: str, places: int = 3) -> None:
    reached = "reached" if value <= most else "not reached"
    print(f"  {name} {value:.{places}f} ({how}); goal {goal}: {reached}", flush=True)


def print_commands(clone: list[str]) -> None:
    """Wall seconds of ``lvc clone``, start-up and all, and the most memory that one held."""
    environment = os.environ | {"OMP_NUM_THREADS": str(THREADS)}
    seconds = []
    for _ in range(COMMANDS):
        begun = time.perf_counter()
        subprocess.run([sys.executable, "-m", "lightning_voiceclone", *clone], env=environment, check=True,
                       stdout=subprocess.DEVNULL)  # fmt: skip
        seconds.append(time.perf_counter() - begun)
    report("seconds of lvc clone from the shell", statistics.median(seconds), "at most 3", 3.0,
         f"median of {COMMANDS}, {min(seconds):.2f} to {max(seconds):.2f}", 2)  # fmt: skip
    done = subprocess.run([sys.executable, "-c", PEAK, *clone], env=environment, check=True, stdout=subprocess.PIPE,
                          text=True)  # fmt: skip
    peak = int(done.stdout.split("PEAK")[1]) * 1024 / 1e9
    report("GB of peak resident memory of lvc clone", peak, "at most 1", 1.0, "one process")


def print_size(name: str) -> None:
    """Megabytes of the weights that cloning loads, of the voice and of the parts to which it refers."""
    path = voice_path(name)
    sizes = {path.name: weights_in(path)}
    for role, part in load_voice(path).named_children():
        pretrained = describe(part)["arguments"].get("pretrained") if isinstance(part, Part) else None
        if pretrained and ships(part, pretrained):
            sizes[role] = weights_in(pretrained_path(part, pretrained))
    how = ", ".join(f"{role} {size:.2f}" for role, size in sizes.items())
    if path.is_file():
        how += "; a checkpoint, which holds what training needs too: lvc save writes a voice folder"
    report("MB of weights", sum(sizes.values()), "at most 30", 30.0, how, 2)


def weights_in(path: Path) -> float:
    files = [path] if path.is_file() else path.glob("*.safetensors")
    return sum(file.stat().st_size for file in files) / 1e6
