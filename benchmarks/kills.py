"""Kill commands at random moments, run them again, and see what was lost and what was left.

    python benchmarks/kills.py [--kills 100] [--seed 0] [--commands fit,prepare,evaluate,adapt,save,clone]
    python benchmarks/kills.py --kills 120 --commands trainings

Small voices and synthetic speech. ``trainings`` are those of kills_trainings.py: fit (a voice), fit-vocoder,
fit-distillation, fit-text, fit-workers (two workers read) and fit-processes (two processes, as torchrun starts them).
Each command runs in a fork of this process, which has imported everything once. It is killed by SIGKILL, its whole
process group: every second time at a random moment of its run, otherwise just before a random one of its operations on
files, since those take little of the time. Then the same command runs to its end, a training from its newest
checkpoint.
Columns: kills that hit the running command (it may have ended before); an output that was there before and is missing
or cannot be loaded after the kill; checkpoints that cannot be loaded after it; results (of trainings, weights) that
differ after the second run from those of a run that nobody killed; trainings that lost more steps than one interval
between checkpoints, and the most steps that one lost; files left after the second run (in the output or in the
temporary folder), and the most that a kill left before it. The exit status is 1 if anything was lost or left.
"""

import argparse
import hashlib
import os
import random
import shutil
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from kills_trainings import INTERVAL, PROCESSES, TRAININGS, arguments_of, in_two_processes, note_steps, write_recipes

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(name, "1")  # a process with several threads is not to be forked

OPERATIONS = {"open", "os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.scandir", "os.truncate", "shutil.rmtree"}


@dataclass
class Row:
    """What became of one command's kills."""

    command: str
    kills: int = 0
    hit: int = 0
    missing: int = 0
    unreadable: int = 0
    different: int = 0
    beyond: int = 0
    most_steps: int = 0
    left: int = 0
    most_bytes: int = 0
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


# Forks ---------------------------------------------------------------------------------------------------------------


def forked(arguments: list[str], folder: Path, *, at: int | None = None, then: Callable[[], None] | None = None) -> int:
    """Process that runs ``lvc`` in a folder; ``at`` is the operation on files below it before which it kills itself."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        os.setsid()
        (folder / "tmp").mkdir(exist_ok=True)
        os.chdir(folder)
        os.environ |= {"LVC_CACHE": str(folder / "cache"), "TMPDIR": str(folder / "tmp")}
        tempfile.tempdir = None
        log = os.open(folder / "log.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        count_operations(folder, at)
        if arguments[0] == "fit":
            note_steps(folder)
        from lightning_voiceclone.cli.main import main

        train = partial(main, arguments)
        status = in_two_processes(train) if PROCESSES[-1] in arguments and "--trainer.devices" in arguments else train()
        if then is not None:
            then()
    except BaseException:  # of this process there is nobody above
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)
    return 0


_operations = 0


def count_operations(folder: Path, at: int | None) -> None:
    def look(event: str, arguments: tuple[Any, ...]) -> None:
        global _operations  # noqa: PLW0603 - a hook cannot be removed, and its process ends soon
        wanted = event in OPERATIONS and isinstance(arguments[0], str | bytes | os.PathLike)
        path = os.path.abspath(os.fsdecode(arguments[0])) if wanted else ""
        if path.startswith(str(folder)) or (event == "ctypes.dlsym" and arguments[1] == "renameat2"):
            _operations += 1
            if _operations == at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(look)


def waited(child: int) -> int:
    """Exit status, negative for a signal; what it has started and left is killed."""
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    with suppress(ProcessLookupError):
        os.killpg(child, signal.SIGKILL)
    return status


def steps_lost(folder: Path) -> int:
    """Steps that a killed training had done after its newest checkpoint."""
    from lightning_voiceclone.checkpoints.reader import read_checkpoint

    done, found = folder / "steps", checkpoints(folder)
    stored = read_checkpoint(found[-1])["global_step"] if found else 0
    return int(done.read_text() or 0) - stored if done.exists() else 0


# What is compared ----------------------------------------------------------------------------------------------------


def digest(folder: Path) -> str:
    """Of all results in a folder or file; not of the journal, whose order is that of the work."""
    files = [folder] if folder.is_file() else sorted(folder.rglob("*"))
    made = hashlib.sha256()
    for path in files:
        if path.is_file() and path.name not in {"progress.jsonl", ".lock"}:
            made.update(f"{path.relative_to(folder)}\0".encode() + hashlib.sha256(path.read_bytes()).digest())
    return made.hexdigest()


def checkpoints(folder: Path) -> list[Path]:
    """Of trainings in a folder, the newest last."""
    found = (folder / "runs").glob("*/version_*/checkpoints/[!.]*.ckpt")
    return sorted(found, key=lambda path: path.stat().st_mtime_ns)


def trained_digest(folder: Path) -> str:
    """Of the steps and weights of the newest checkpoint: one killed after its last step writes no last.ckpt."""
    from lightning_voiceclone.checkpoints.reader import read_checkpoint

    found = checkpoints(folder)
    if not found:
        return "none"
    made, read = hashlib.sha256(), read_checkpoint(found[-1])
    made.update(str(read["global_step"]).encode())
    for name, tensor in sorted(read["state_dict"].items()):
        made.update(name.encode() + tensor.numpy().tobytes())
    return made.hexdigest()


def loads(path: Path) -> str:
    """Empty if a voice, a checkpoint of any training, or a recording can be loaded; else why not."""
    from lightning_voiceclone.audio.checks import check_recording
    from lightning_voiceclone.checkpoints.reader import read_checkpoint
    from lightning_voiceclone.checkpoints.voice_folder import load_voice

    try:
        if path.suffix == ".wav":
            check_recording(path)
        elif path.suffix != ".ckpt" or "voice" in read_checkpoint(path):
            load_voice(path)
    except Exception as error:
        return f"{path.name}: {error}"
    return ""


def left_in(folder: Path) -> list[Path]:
    """Files that no finished run leaves, but the empty folder of sockets of a killed process with worker processes."""
    hidden = [path for path in folder.rglob(".*") if path.name != ".lock"]
    others = (path for path in (folder / "tmp").iterdir() if not path.name.startswith("pymp-") or any(path.iterdir()))
    return [*hidden, *others]


def size(paths: list[Path]) -> int:
    files = {file for path in paths for file in (path.rglob("*") if path.is_dir() else [path]) if file.is_file()}
    return sum(file.stat().st_size for file in files)


# The commands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Command:
    """One that is killed: its arguments, what it writes, and whether every second trial has an older output there."""

    arguments: list[str]
    output: str
    replaces: bool = False

    def results(self, folder: Path) -> str:
        """Digest of what it wrote."""
        return trained_digest(folder) if self.arguments[0] == "fit" else digest(folder / self.output)

    def again(self, folder: Path) -> list[str]:
        """What a user runs after a kill: the same, and of a training from its newest checkpoint on."""
        found = checkpoints(folder)
        return [*self.arguments, "--ckpt_path", str(found[-1])] if found else self.arguments


def commands(inputs: Path) -> dict[str, Command]:
    voice, pairs = str(inputs / "voice"), str(inputs / "pairs.tsv")
    speech = [str(inputs / "corpus" / f"s{speaker}/0.wav") for speaker in (0, 1)]
    adapt = ["adapt", "--checkpoint", voice, "--data", str(inputs / "corpus/s0"), "--output", "someone", "--steps", "3"]
    evaluate = ["evaluate", "--checkpoint", voice, "--pairs", pairs, "--output", "report", "--workers", "1",
                "--measures", "snr_db,mcd_db", "--draws", "50"]  # fmt: skip
    prepare = ["prepare", "SpeakerFolders", str(inputs / "corpus"), "--output", "prepared", "--rate", "8000",
               "--workers", "1", "--features", "MelSpectrogram"]  # fmt: skip
    return {
        **{name: Command(arguments_of(name, inputs), "runs") for name in TRAININGS},
        "prepare": Command(prepare, "prepared"),
        "evaluate": Command(evaluate, "report"),
        "adapt": Command(adapt, "someone", replaces=True),
        "save": Command(["save", voice, "--output", "saved"], "saved", replaces=True),
        "clone": Command(["clone", "--checkpoint", voice, "--source", speech[0], "--reference", speech[1],
                          "--output", "made/c.wav"], "made/c.wav", replaces=True),
    }  # fmt: skip


def make_inputs(inputs: Path) -> None:
    """In a process of its own: what computes here is not to be forked."""
    import soundfile

    from lightning_voiceclone.checkpoints.voice_folder import save_voice
    from lightning_voiceclone.core.part import Dims
    from lightning_voiceclone.testing.signals import speech_like
    from lightning_voiceclone.testing.voices import small_voice

    for speaker in range(3):
        (inputs / f"corpus/s{speaker}").mkdir(parents=True)
        for take in range(4):
            audio = speech_like(2.0, speaker=speaker, seed=10 * speaker + take).audio
            soundfile.write(inputs / f"corpus/s{speaker}/{take}.wav", audio, 16000)
    for name, seed in (("voice", 0), ("older", 1)):
        save_voice(small_voice(Dims(20, content=4, speaker=8), seed=seed), inputs / name)
    soundfile.write(inputs / "older.wav", speech_like(1.0).audio, 16000)
    rows = [f"{a}-{b}\tcorpus/s{a}/0.wav\tcorpus/s{b}/1.wav\tWORDS" for a, b in ((0, 1), (1, 2), (2, 0))]
    (inputs / "pairs.tsv").write_text("\n".join(["case\tsource\treference\ttranscript", *rows]) + "\n")
    write_recipes(inputs)


def undisturbed(command: Command, folder: Path) -> tuple[str, float, int]:
    """Results, seconds and operations on files of a run that nobody kills; imports what it imported."""

    def then() -> None:
        (folder / "facts.txt").write_text("\n".join([str(_operations), *sorted(sys.modules)]))

    for _ in range(2):  # the second without the time of imports
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        start = time.monotonic()
        if status := waited(forked(command.arguments, folder, then=then)):
            raise SystemExit(f"{command.arguments[0]} ended with {status}:\n{(folder / 'log.txt').read_text()}")
        seconds = time.monotonic() - start
        operations, *modules = (folder / "facts.txt").read_text().split("\n")
        for name in modules:
            if name not in sys.modules and not name.startswith("__"):
                try:
                    __import__(name)
                except Exception:  # modules that are made while a command runs
                    continue
    return command.results(folder), seconds, int(operations)


def trial(
    command: Command, folder: Path, inputs: Path, row: Row, expected: str, *, at: int | None, after: float
) -> None:
    """Kill a command once, run it again, and note what was lost or left."""
    folder.mkdir(parents=True)
    output = folder / command.output
    older = command.replaces and row.kills % 4 < 2
    if older:
        output.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(inputs / "older", output) if output.suffix == "" else shutil.copy(inputs / "older.wav", output)
    row.kills += 1
    child = forked(command.arguments, folder, at=at)
    if at is None:
        time.sleep(after)
        try:
            os.killpg(child, signal.SIGKILL)
        except ProcessLookupError:  # before it was its group's leader
            os.kill(child, signal.SIGKILL)
    row.hit += waited(child) == -signal.SIGKILL
    row.most_bytes = max(row.most_bytes, size(left_in(folder)) if (folder / "tmp").is_dir() else 0)
    if older and (reason := loads(output)):
        row.missing += 1
        row.faults.append(f"after the kill: {reason}")
    for reason in filter(None, map(loads, checkpoints(folder))):
        row.unreadable += 1
        row.faults.append(f"after the kill: {reason}")
    if command.arguments[0] == "fit":
        lost = steps_lost(folder)
        row.most_steps, row.beyond = max(row.most_steps, lost), row.beyond + (lost > INTERVAL)
    status = waited(forked(command.again(folder), folder))
    if status or command.results(folder) != expected:
        row.different += 1
        row.faults.append(f"run again: status {status} {(folder / 'log.txt').read_text()[-500:]}")
    left = left_in(folder)
    row.left += len(left)
    row.faults += [f"left: {path.relative_to(folder)}" for path in left]


def killed(name: str, command: Command, inputs: Path, base: Path, kills: int, seed: int) -> Row:
    """The row of one command."""
    row, chance = Row(name), random.Random(f"{seed} {name}")
    expected, row.seconds, operations = undisturbed(command, base / "undisturbed")
    for number in range(kills):
        folder = base / f"{number:03}"
        at = chance.randint(1, operations) if number % 2 else None
        trial(command, folder, inputs, row, expected, at=at, after=chance.uniform(0.0, row.seconds))
        shutil.rmtree(folder)
    return row


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--kills", type=int, default=100, help="of all commands together (default: 100)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (default: 0)")
    parser.add_argument("--commands", default="fit,prepare,evaluate,adapt,save,clone",
                        help="which, by commas; trainings for those of every stage")  # fmt: skip
    options = parser.parse_args()
    names = options.commands.replace("trainings", ",".join(TRAININGS)).split(",")
    rows = []
    with tempfile.TemporaryDirectory() as place:
        base = Path(place).resolve()
        inputs = base / "inputs"
        child = os.fork()
        if not child:
            make_inputs(inputs)
            os._exit(0)
        if waited(child):
            raise SystemExit("the inputs could not be made")
        known = commands(inputs)
        for place_in_row, name in enumerate(names):
            share = options.kills // len(names) + (place_in_row < options.kills % len(names))
            row = killed(name, known[name], inputs, base / name, share, options.seed)
            print(f"{row.command:<16} {row.seconds:5.1f} s, {row.kills} kills, {row.hit} hit, {row.missing} missing,"
                  f" {row.unreadable} unreadable, {row.different} different, {row.beyond} beyond an interval"
                  f" (at most {row.most_steps} steps), {row.left} left"
                  f" (at most {row.most_bytes / 1e3:.0f} kB after a kill)", flush=True)  # fmt: skip
            for fault in row.faults:
                print(f"  {fault}", flush=True)
            rows.append(row)
    bad = sum(row.missing + row.unreadable + row.different + row.beyond + row.left for row in rows)
    print(f"{sum(row.kills for row in rows)} kills, {sum(row.hit for row in rows)} of a running command: {bad} faults")
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
