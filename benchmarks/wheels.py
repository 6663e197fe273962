"""Build the wheels of the core and of every package in plugins/, install them, and run their tests against them.

    python benchmarks/wheels.py --python python3.10 --python python3.13 [--folder FOLDER] [--core tests/core …]

Each Python gets an environment of its own with the wheels, what they depend on, and pytest, by uv where that is
installed and by pip otherwise. Nothing of this checkout is imported there: the tests run in a copy of it without the
packages' sources. A package's row counts its own tests; the core's, those in ``--core`` that are not slow. The last
rows are commands of the installed package. A complete environment (6 GB with CUDA) that is in the folder is used
again, with the new wheels. The exit status is 1 if anything failed. The packages hatchling and build are needed.
"""

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
CORE = ("tests/checkpoints", "tests/core", "tests/features", "tests/losses", "tests/networks", "tests/scaffold",
        "tests/text", "tests/vocoders", "tests/test_metadata.py")  # fmt: skip
TOOLS = ("pytest", "pytest-timeout")
SPEECH = """
import soundfile
from lightning_voiceclone.testing.signals import speech_like
for speaker, name in enumerate(("a.wav", "b.wav")):
    soundfile.write(name, speech_like(3.0, speaker=speaker).audio, 16000)
"""


@dataclass(frozen=True)
class Row:
    """What became of one package, or of one command, on one Python."""

    python: str
    name: str
    outcome: str
    seconds: float
    failed: bool

    def __str__(self) -> str:
        return f"| {self.python} | {self.name} | {self.outcome} | {self.seconds:.0f} |"


def run(command: Sequence[str | Path], folder: Path, log: Path) -> int:
    """Run a command without this checkout on its path, and append what it prints to the log."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    environment |= {"LVC_CACHE": str(folder / ".cache"), "OMP_NUM_THREADS": "1"}
    with log.open("a") as file:
        print("$", *command, file=file, flush=True)
        return subprocess.run(command, cwd=folder, env=environment, stdout=file, stderr=file, check=False).returncode


def projects() -> list[Path]:
    """Folders of the core and of the packages in plugins/."""
    return [ROOT, *sorted(path.parent for path in ROOT.glob("plugins/*/pyproject.toml"))]


def tracked(folder: Path, *, sources: bool) -> None:
    """Copy what git tracks, with or without the modules of the packages."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        path = Path(name)
        module = path.parts[0] == "lightning_voiceclone" or (path.parts[0] == "plugins" and "lvc_" in path.parts[2])
        if (ROOT / path).is_file() and (sources or not module):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, folder / path)


def build(folder: Path, log: Path) -> list[Path]:
    """Wheels of all projects, each built from its source archive."""
    copy = folder / "source"
    tracked(copy, sources=True)
    shutil.rmtree(folder / "dist", ignore_errors=True)
    for project in projects():
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder / "dist"]
        if status := run([*command, copy / project.relative_to(ROOT)], folder, log):
            sys.exit(f"the wheel of {project.name} was not built (status {status}); see {log}")
    shutil.rmtree(copy)
    return sorted((folder / "dist").glob("*.whl"))


def environment(python: str, wheels: Sequence[Path], folder: Path, log: Path) -> tuple[Row, Path]:
    """Install the wheels: its row, and the environment's Python."""
    version = subprocess.run([python, "-c", "import platform; print(platform.python_version())"],
                             capture_output=True, text=True, check=True).stdout.strip()  # fmt: skip
    made, start = folder / f"python-{version}", time.monotonic()
    inner, uv, mark = made / "bin" / "python", shutil.which("uv"), made / "complete"
    there = mark.exists()
    if not there:
        shutil.rmtree(made, ignore_errors=True)  # of a first installation that was cut short
        run([uv, "venv", "--python", python, made] if uv else [python, "-m", "venv", made], folder, log)
    install = [uv, "pip", "install", "--python", inner] if uv else [inner, "-m", "pip", "install"]
    again = ["--force-reinstall", "--no-deps"] if there else TOOLS
    status = run([*install, *again, *wheels], folder, log)
    if not status:
        mark.touch()
    what = f"{len(wheels)} wheels" + ("" if there else " and what they need")
    outcome = "failed" if status else "ok"
    return Row(version, f"install {what}", outcome, time.monotonic() - start, status != 0), inner


def tests(python: Path, version: str, name: str, paths: Sequence[str], tree: Path, log: Path) -> Row:
    """Run tests and count them."""
    report, start = tree / "report.xml", time.monotonic()
    report.unlink(missing_ok=True)
    fast = ["-m", "not slow"] if name == "lightning-voiceclone" else []
    command = [python, "-m", "pytest", "-q", "-p", "no:cacheprovider", f"--junitxml={report}", *fast, *paths]
    status = run(command, tree, log)
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    if report.exists():
        for suite in ET.parse(report).iter("testsuite"):
            counts = {key: counts[key] + int(suite.get(key, 0)) for key in counts}
    failed = counts["failures"] + counts["errors"]
    passed = counts["tests"] - failed - counts["skipped"]
    outcome = f"{passed} passed, {failed} failed, {counts['skipped']} skipped"
    return Row(version, name, outcome, time.monotonic() - start, status != 0)


def commands(python: Path, version: str, folder: Path, log: Path) -> Iterator[Row]:
    """The installed package's own commands, in an empty folder."""
    lvc = python.with_name("lvc")
    clone = ["clone", "--source", "a.wav", "--reference", "b.wav", "--output", "c.wav"]
    run([python, "-c", SPEECH], folder, log)
    for words in (["--version"], ["plugins", "--check"], clone):
        start = time.monotonic()
        status = run([lvc, *words], folder, log)
        outcome = "ok" if status == 0 else f"status {status}"
        yield Row(version, f"lvc {words[0]}", outcome, time.monotonic() - start, status != 0)


def rows(options: argparse.Namespace, folder: Path) -> Iterator[Row]:
    """Everything, in order."""
    log, tree = folder / "log.txt", folder / "tests"
    shutil.rmtree(tree, ignore_errors=True)
    tracked(tree, sources=False)
    wheels = build(folder, log)
    for python in options.python:
        installed, inner = environment(python, wheels, folder, log)
        yield installed
        if installed.failed:
            continue
        yield tests(inner, installed.python, "lightning-voiceclone", options.core, tree, log)
        for project in projects()[1:]:
            yield tests(inner, installed.python, project.name, [f"plugins/{project.name}/tests"], tree, log)
        with tempfile.TemporaryDirectory() as empty:
            yield from commands(inner, installed.python, Path(empty), log)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--python", action="append", help="interpreter; may be given several times")
    parser.add_argument("--folder", type=Path, default=Path("runs/wheels"), help="wheels, environments and log")
    parser.add_argument("--core", nargs="+", default=CORE, help="tests of the core to run")
    options = parser.parse_args()
    options.python = options.python or [sys.executable]
    folder = options.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    print("| Python | what | outcome | seconds |\n|---|---|---|---|", flush=True)
    failed = False
    for row in rows(options, folder):
        print(row, flush=True)
        failed = failed or row.failed
    print(f"\nWhat the commands printed: {folder / 'log.txt'}")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
