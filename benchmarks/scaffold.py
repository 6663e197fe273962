"""From nothing to a clone by a part of one's own, for every kind: what ``lvc plugins new`` writes and prints, run.

    python benchmarks/scaffold.py --speech ../shared/speech [--kinds generator,vocoder] [--steps 4]

For each kind of part, a package with one part is written, installed beside this environment's packages, and checked;
then the commands that ``lvc plugins new`` printed are run, in new processes: a training of so many steps of small
batches, and what turns its last checkpoint into a clone, or ``lvc evaluate`` for parts that measure. The package is
removed again. Lines are those of the part's module that are not blank. Seconds are of the wall, in brackets of CPU; the
last column is minutes from the first command to the clone. The exit status is 1 if a command failed. The packages
hatchling and editables are needed.
"""

import argparse
import csv
import json
import os
import resource
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import soundfile

from lightning_voiceclone.core.kinds import KINDS, Kind
from lightning_voiceclone.scaffold.package import PARTS

COLUMNS = ("new", "install", "check", "fit", "use")
SPEAKERS, TAKES = 4, 2  # of the corpus for a corpus of one's own
NAMES = "abd"  # of the recordings that the commands read: source, reference, style
TEXTS = 16  # recordings with transcripts, of some ten speakers


@dataclass
class Row:
    """What became of one kind.

    Args:
        kind: of the part.
        lines: of its module.
        seconds: of each stage, of the wall and of CPU.
        failed: the command that failed, and what it printed last; empty if none did.
    """

    kind: Kind
    lines: int
    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [0.0, 0.0] for name in COLUMNS})
    failed: str = ""

    def __str__(self) -> str:
        stages = [f"{wall:.0f} ({cpu:.0f})" if wall else "" for wall, cpu in self.seconds.values()]
        minutes = sum(wall for wall, _ in self.seconds.values()) / 60
        return f"| {self.kind.singular} | {self.lines} | {' | '.join(stages)} | {self.failed or f'{minutes:.1f}'} |"


class Workplace:
    """A folder with an environment that sees this one's packages, recordings and a corpus.

    Args:
        folder: to work in.
        speech: with LibriSpeech, index.tsv and eval_pairs.tsv.
        steps: of a training.
    """

    def __init__(self, folder: Path, speech: Path, steps: int):
        self.folder, self.speech, self.steps = folder, speech, steps
        subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder / "venv"], check=True)
        self.python = str(folder / "venv" / "bin" / "python")
        own = Path(sysconfig.get_path("purelib", vars={"base": str(folder / "venv")}))
        below = sysconfig.get_path("purelib")
        (own / "below.pth").write_text(f"import site; site.addsitedir({below!r})\n")  # also what is editable there
        self.environment = os.environ | {"LVC_CACHE": str(folder / "cache"), "OMP_NUM_THREADS": "1"}
        self.environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
        self._recordings()

    def _recordings(self) -> None:
        found = sorted((self.speech / "LibriSpeech").glob("train-clean-100/*/*/*.flac"))
        (self.folder / "corpus").mkdir()
        for number, path in enumerate(found[: SPEAKERS * TAKES]):
            audio, rate = soundfile.read(path, dtype="float32")
            name = f"speaker{number // TAKES}_{number % TAKES}.wav"
            soundfile.write(self.folder / "corpus" / name, audio[: 6 * rate], rate)
            if number < len(NAMES):
                soundfile.write(self.folder / f"{NAMES[number]}.wav", audio[: 6 * rate], rate)
        with (self.speech / "index.tsv").open(encoding="utf-8") as file:
            rows = [row for row in csv.DictReader(file, delimiter="\t") if row["transcript"]]
        lines = [f"{self.speech / row['path']}\t{row['speaker']}\t{row['transcript']}" for row in rows[: 6 * TEXTS : 6]]
        (self.folder / "texts.tsv").write_text("\n".join(["path\tspeaker\ttext", *lines, ""]), encoding="utf-8")

    def words(self, command: str, kind: Kind) -> list[str]:
        """A printed command with what is to be filled in, and small."""
        program, *words = shlex.split(command)
        if program == "pip":
            quick = ["--disable-pip-version-check", "-q", "--no-build-isolation", "--no-deps"]
            return [self.python, "-m", "pip", *words[:1], *quick, *words[1:]]
        root = self.speech / "LibriSpeech"
        if kind.name == "corpora":
            root = self.folder / "corpus"
        elif "text_small.yaml" in words:
            root = self.folder / "texts.tsv"
        elif "vocoder_vocos.yaml" in words:
            root = self.speech / "index.tsv"
        filled = {"PATH": str(root), "PAIRS.tsv": str(self.speech / "eval_pairs.tsv")}
        words = [filled.get(word, word) for word in words]
        if words[0] == "fit":
            words += [f"--trainer.max_steps={self.steps}", f"--trainer.val_check_interval={max(self.steps // 2, 1)}",
                      "--trainer.limit_val_batches=1", "--data.batch_size=2", "--data.validation=2",
                      "--trainer.enable_progress_bar=false", "--trainer.enable_model_summary=false"]  # fmt: skip
        if words[0] == "evaluate":
            words += ["--limit", "2", "--draws", "50", "--workers", "1"]
        return [self.python, "-m", "lightning_voiceclone", *words]

    def run(self, words: Sequence[str], into: list[float]) -> subprocess.CompletedProcess[str]:
        """Run a command, and add its seconds."""
        before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
        done = subprocess.run(words, cwd=self.folder, env=self.environment, capture_output=True, text=True, check=False)
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        into[0] += time.monotonic() - start
        into[1] += after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
        return done


def stage_of(words: Sequence[str]) -> str:
    """The column that a command belongs to."""
    if "pip" in words:
        return "install"
    command = words[words.index("lightning_voiceclone") + 1 :]
    return {"plugins": "check", "fit": "fit"}.get(command[0], "use")


def of_kind(place: Workplace, kind: Kind) -> Row:
    """Everything for one kind."""
    source = (PARTS / f"{kind.name}.py").read_text(encoding="utf-8")
    row = Row(kind, sum(bool(line.strip()) for line in source.splitlines()))
    package, name = f"lvc-try-{kind.word.replace('_', '-')}", f"Tried{kind.singular.title().replace(' ', '')}"
    new = [place.python, "-m", "lightning_voiceclone", "plugins", "new", package, "--part", f"{kind.word}:{name}"]
    done = place.run(new, row.seconds["new"])
    printed = [line.strip() for line in done.stdout.partition("Next:")[2].splitlines() if line.strip()]
    commands = [place.words(line, kind) for line in printed if not line.startswith("pytest ")]
    for path in [*place.folder.glob("runs"), *place.folder.glob("voice"), *place.folder.glob("report"),
                 *place.folder.glob("c.wav")]:  # fmt: skip
        shutil.rmtree(path) if path.is_dir() else path.unlink()
    for words in commands:
        done = place.run(words, row.seconds[stage_of(words)])
        if done.returncode:
            last = (done.stderr.strip() or done.stdout.strip() or "nothing").splitlines()[-1]
            row.failed = f"{shlex.join(words[2:6])} … status {done.returncode}: {last}"
            break
    if not row.failed:
        row.failed = missing(place.folder) if commands else f"lvc plugins new: {done.stderr.strip()}"
    place.run([place.python, "-m", "pip", "uninstall", "-q", "--yes", package], [0.0, 0.0])
    return row


def missing(folder: Path) -> str:
    """What is wrong with what the last command wrote; empty if nothing is."""
    report = folder / "report" / "metrics.json"
    if report.exists():
        return "" if json.loads(report.read_text())["metrics"] else "no metric in the report"
    clone = folder / "c.wav"
    if not clone.exists():
        return "no clone"
    audio = soundfile.read(clone, dtype="float32")[0]
    return "" if np.isfinite(audio).all() and np.abs(audio).max() > 0 else "a clone without sound"


def rows(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """A row a kind."""
    place = Workplace(folder, options.speech.resolve(), options.steps)
    listing = [place.python, "-m", "lightning_voiceclone", "plugins", "--json"]
    before = place.run(listing, [0.0, 0.0]).stdout
    words = options.kinds.split(",") if options.kinds else [kind.word for kind in KINDS.values()]
    for kind in KINDS.values():
        if kind.word in words:
            yield of_kind(place, kind)
    same = place.run(listing, [0.0, 0.0]).stdout == before
    print(f"\nAfter the last package was removed, the parts are {'those of before' if same else 'OTHERS'}.")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--speech", type=Path, required=True, help="folder with LibriSpeech and eval_pairs.tsv")
    parser.add_argument("--kinds", help="only these, as in --part of lvc plugins new")
    parser.add_argument("--steps", type=int, default=4, help="of a training")
    options = parser.parse_args()
    print(f"| kind | lines | {' | '.join(COLUMNS)} | minutes |\n|{'---|' * (len(COLUMNS) + 3)}", flush=True)
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        for row in rows(options, Path(folder)):
            print(row, flush=True)
            failed = failed or bool(row.failed)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
