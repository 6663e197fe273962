"""200 files of 5 s by one lvc clone against single commands.

    python benchmarks/many.py --speech ../shared/speech [--files 200] [--single 5] [--jobs 2]

The sources are cut from utterances of LibriSpeech, the reference is one recording of 8 s. Single commands are timed
``--single`` times and scaled to the number of files. Prints wall time, and how many times as fast one command is.
"""

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import soundfile

RATE, SECONDS = 16000, 5


def write_sources(speech: Path, folder: Path, files: int) -> tuple[list[Path], Path]:
    """Write the sources and the reference."""
    made: list[Path] = []
    recordings = iter(sorted((speech / "LibriSpeech").rglob("*.flac")))
    while len(made) < files:
        audio, _ = soundfile.read(next(recordings), dtype="int16")
        for begin in range(0, len(audio) - SECONDS * RATE + 1, SECONDS * RATE):
            made.append(folder / "in" / f"{len(made):03}.wav")
            soundfile.write(made[-1], audio[begin : begin + SECONDS * RATE], RATE)
    reference = folder / "reference.wav"
    while len(audio) < 8 * RATE:
        audio, _ = soundfile.read(next(recordings), dtype="int16")
    soundfile.write(reference, audio[: 8 * RATE], RATE)
    return made[:files], reference


def timed(arguments: list[str]) -> float:
    """Wall time of a command, in seconds."""
    begin = time.perf_counter()
    subprocess.run([sys.executable, "-m", "lightning_voiceclone", "clone", *arguments], check=True, capture_output=True)
    return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--files", type=int, default=200)
    parser.add_argument("--single", type=int, default=5)
    parser.add_argument("--jobs", type=int, default=len(os.sched_getaffinity(0)))
    arguments = parser.parse_args()
    with TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "in").mkdir()
        sources, reference = write_sources(arguments.speech, folder, arguments.files)
        for path in (folder / "in").iterdir():
            if path not in sources:
                path.unlink()
        single = [timed(["--source", str(source), "--reference", str(reference), "--output", str(folder / "one.wav")])
                  for source in sources[: arguments.single]]  # fmt: skip
        many = timed(["--source", str(folder / "in"), "--reference", str(reference), "--output", str(folder / "out"),
                      "--jobs", str(arguments.jobs)])  # fmt: skip
    scaled = len(sources) / len(single) * sum(single)
    print(f"{len(single)} single commands, scaled to {len(sources)}: {scaled:.0f} s")
    print(f"one command, {arguments.jobs} processes: {many:.0f} s; {scaled / many:.1f} times as fast")


if __name__ == "__main__":
    main()
