"""Give altered files to the commands and readers that take them, and count what goes wrong.

    python benchmarks/hostile_files.py --rounds 3 [--seed 0]

Recordings to ``lvc clone``, configurations to ``lvc fit``, voices, parts and checkpoints to their loader, and
manifests, tables, reports, journals and stored features to their readers, each in a process of its own. Each round has
other files, some 1,100. Ends with status 1 if code of a file ran, or there was a traceback, an attempt of over 10 s, or
one that took over 1 GB beyond the program's own. Linux only. ``hostile_requests.py`` does the same to ``lvc listen``.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import soundfile

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
from hostile import configurations, harness, recordings, tables, voices

import lightning_voiceclone.cli.training  # noqa: F401 (before the forks, each of which would import it anew)
from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.core import registry
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.utils.progress import progress_bar

Files = Iterator[tuple[str, Callable[[], int]]]


def main() -> int:
    """Run and print; 1 if a file was not refused cleanly."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0, help="of the first round (default: 0)")
    options = parser.parse_args()
    registry.load_all()
    attempts: dict[str, list[harness.Attempt]] = {kind: [] for kind in KINDS}
    for seed in range(options.seed, options.seed + options.rounds):
        for kind, make in KINDS.items():
            with tempfile.TemporaryDirectory() as folder:
                attempts[kind] += tried(kind, make, Path(folder), seed)
    print(harness.report(one for of_one in attempts.values() for one in of_one))
    print(harness.table([*attempts.items(), ("all", [one for of_one in attempts.values() for one in of_one])]))
    return int(any(one.faults for of_one in attempts.values() for one in of_one))


def tried(kind: str, make: Callable[[Path, Path, int], Files], folder: Path, seed: int) -> list[harness.Attempt]:
    """What the files of one kind do."""
    os.environ["LVC_CACHE"] = str(folder / "cache")
    mark, found = folder / voices.RAN, []
    tables.WAS_HERE.unlink(missing_ok=True)
    with progress_bar(f"{kind}, seed {seed}", 500, shown=sys.stderr.isatty()) as advance:
        for name, run in make(folder, mark, seed):
            found.append(harness.attempt(f"{kind} {seed}: {name}", run, folder, mark))
            advance(1)
    if tables.WAS_HERE.exists():
        raise SystemExit(f"{kind}, seed {seed}: code of a file ran")
    return found


def of_recordings(folder: Path, mark: Path, seed: int) -> Files:
    """Recordings, as the source of a clone."""
    save_voice(small_voice(), folder / "voice")
    soundfile.write(folder / "good.wav", speech_like(1.5, speaker=3).audio, 16000)
    for name, path in recordings.altered_recordings(made(folder / "recordings"), seed):
        yield name, harness.command("clone", "--checkpoint", folder / "voice", "--source", path, "--reference",
                                    folder / "good.wav", "--output", "out.wav")  # fmt: skip


def of_configurations(folder: Path, mark: Path, seed: int) -> Files:
    """Configurations, for a training of one step."""
    for speaker in range(4):
        path = made(folder / f"corpus/{speaker}") / "a.wav"
        soundfile.write(path, speech_like(2.0, speaker=speaker).audio, 16000)
    places = made(folder / "configurations"), folder / "corpus", mark
    for name, path in configurations.altered_configurations(*places, seed):
        yield name, harness.command("fit", "--config", path)


def of_voices(folder: Path, mark: Path, seed: int) -> Files:
    """Voice folders, part folders and checkpoints."""
    for name, path in voices.altered_voices(folder, seed):
        yield name, harness.reader(lambda path=path: voices.load_altered(path))


def of_tables(folder: Path, mark: Path, seed: int) -> Files:
    """Manifests, tables of pairs and recordings, reports, journals, stored features and answers."""
    for altered in tables.altered_tables(folder, seed):
        yield altered.name, harness.reader(altered.read)


def made(folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    return folder


KINDS = {"recordings": of_recordings, "configurations": of_configurations, "voices": of_voices, "tables": of_tables}


if __name__ == "__main__":
    sys.exit(main())
