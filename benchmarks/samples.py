"""The sound samples and the picture of docs/samples: clones by the model that ships, of speakers not in its training.

    python benchmarks/samples.py --speech ../shared/speech [--model default] [--output docs/samples]

The first pair of the table for each combination of genders, not chosen by quality. Only the clones are written, as OGG;
README.md beside them names source and reference by corpus and utterance. The picture shows the first pair.
"""

import argparse
import csv
from pathlib import Path

import matplotlib
import numpy as np
import soundfile
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from PIL import Image

import lightning_voiceclone as lvc
from lightning_voiceclone.evaluation.pairs import Pair, read_pairs
from lightning_voiceclone.utils.html.spectrogram import COLOUR_MAP, DYNAMIC_RANGE, bare_decibels

MOST_BYTES = 300_000  # of all clones together
LONGEST_SECONDS = 8.0


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True, help="folder with eval_pairs.tsv and LibriSpeech")
    parser.add_argument("--model", default="default", help="as for lvc clone --checkpoint")
    parser.add_argument("--output", type=Path, default=Path("docs/samples"))
    options = parser.parse_args()
    options.output.mkdir(parents=True, exist_ok=True)
    model = lvc.load_model(options.model)
    rows = chosen(read_pairs(options.speech / "eval_pairs.tsv").rows, genders(options.speech))
    lines = []
    for number, (kind, row) in enumerate(rows.items()):
        clone = model.convert(row.source, model.speaker(row.reference))
        path = options.output / f"{row.case}.ogg"
        soundfile.write(path, np.asarray(clone.samples), clone.sample_rate, subtype="VORBIS", format="OGG")
        lines.append(f"| [{path.name}]({path.name}) | {kind} | {row.source.stem} | {row.reference.stem} |")
        if number == 0:
            shown = {"source": lvc.read(row.source), "reference": lvc.read(row.reference), "clone": clone}
            draw(shown, options.output / "spectrograms.png")
    size = sum(path.stat().st_size for path in options.output.glob("*.ogg"))
    print("\n".join(lines))
    print(f"{len(lines)} clones, {size / 1000:.0f} kB; at most {MOST_BYTES / 1000:.0f}")


def genders(speech: Path) -> dict[str, str]:
    """M or F of each speaker of LibriSpeech."""
    with (speech / "LibriSpeech/SPEAKERS.TXT").open(encoding="utf-8") as file:
        rows = csv.reader((line for line in file if not line.startswith(";")), delimiter="|", quoting=csv.QUOTE_NONE)
        return {row[0].strip(): row[1].strip() for row in rows}


def chosen(rows: list[Pair], gender: dict[str, str]) -> dict[str, Pair]:
    """The first pair of each combination of genders whose source is short, by "man to woman"."""
    words = {"M": "man", "F": "woman"}
    found: dict[str, Pair] = {}
    for row in rows:
        kind = " to ".join(words[gender[speaker]] for speaker in (row.source_speaker, row.target_speaker))
        if soundfile.info(row.source).duration <= LONGEST_SECONDS:
            found.setdefault(kind, row)
    return found


def draw(recordings: dict[str, lvc.Audio], path: Path) -> None:
    """Spectrograms below each other, as long as the source."""
    levels = {name: bare_decibels(np.asarray(audio.samples), audio.sample_rate) for name, audio in recordings.items()}
    longest = levels["source"].shape[1]  # the reference is cut to it
    with matplotlib.rc_context({"font.size": 11}):
        figure = Figure(figsize=(9, 6.2), layout="constrained")
        FigureCanvasAgg(figure)
        for axes, (name, level) in zip(figure.subplots(len(levels), 1, sharex=True), levels.items(), strict=True):
            top = float(level.max())
            axes.imshow(level, origin="lower", aspect="auto", cmap=COLOUR_MAP, vmin=top - DYNAMIC_RANGE, vmax=top,
                        extent=(0, level.shape[1] / 100, 0, 8))  # fmt: skip
            axes.set(xlim=(0, longest / 100), ylabel="kHz", title=name)
            axes.title.set_horizontalalignment("left")
            axes.title.set_position((0, 1))
        axes.set_xlabel("seconds")
        figure.savefig(path, dpi=90, metadata={"Software": None})
    with Image.open(path) as image:  # 64 colours make the file six times as small
        reduced = image.convert("P", palette=Image.Palette.ADAPTIVE, colors=64)
    reduced.save(path, optimize=True)


if __name__ == "__main__":
    main()
