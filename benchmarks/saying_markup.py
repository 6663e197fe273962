"""How exactly speech from text keeps to its markup: length of breaks, rate, pitch, all measured in the samples.

    python benchmarks/saying_markup.py VOICE REFERENCE

Prints the greatest and the median error of breaks in milliseconds (the longest run of zeros), of rates in percent (the
length of the sentence), and of pitches in semitones (the median of f0 over the marked words, against the same sentence
without the mark, with its frames).
"""

import argparse
import itertools
import statistics

import torch

from lightning_voiceclone.features.prosody import VOICED
from lightning_voiceclone.inference.converter import load_model

PARTS = (
    ("The birch canoe", "slid on the smooth planks", "in the rain."),
    ("Glue the sheet", "to the dark blue background", "before noon."),
    ("Rice is often", "served in round bowls", "over there."),
    ("We were away", "all year and nobody knew", "where we had gone."),
)
BREAKS, RATES, PITCHES = (0.1, 0.25, 0.333, 0.777, 0.999), (0.6, 0.8, 1.25, 1.6), (-2.0, 2.0, 4.0)


def longest_silence(samples):
    """Samples of the longest run of zeros."""
    return max((len(list(run)) for silent, run in itertools.groupby((samples == 0).tolist()) if silent), default=0)


def breaks(synthesizer):
    """Errors in milliseconds."""
    for (first, *others), seconds in itertools.product(PARTS, BREAKS):
        samples = synthesizer.say(f"{first} <break time='{seconds}s'/> {' '.join(others)}")
        yield 1000 * (longest_silence(samples) / synthesizer.sample_rate - seconds)


def rates(synthesizer):
    """Errors in percent."""
    for parts, rate in itertools.product(PARTS, RATES):
        plain, marked = (len(synthesizer.say(text)) for text in (" ".join(parts), f"<prosody rate='{rate}'>"
                         f"{' '.join(parts)}</prosody>"))  # fmt: skip
        yield 100 * (plain / marked / rate - 1)


def pitches(synthesizer, model):
    """Errors in semitones."""
    for (first, middle, last), semitones in itertools.product(PARTS, PITCHES):
        plain, marked = (
            synthesizer.plan(synthesizer.front.pronounce(text))
            for text in (f"{first} {middle} {last}",
                         f"{first} <prosody pitch='{semitones:+}st'>{middle}</prosody> {last}")
        )  # fmt: skip
        words = marked.spoken.items
        owners = zip(marked.spoken.owners, marked.durations, strict=True)
        inside = [getattr(words[owner], "pitch", 1.0) != 1.0 for owner, count in owners for _ in range(count)]
        before, after = (_f0(model, synthesizer.render(planned)) for planned in (plain, marked))
        both = (before > 0) & (after > 0) & torch.tensor(inside)
        yield 12 * float((after[both] / before[both]).log2().median()) - semitones


@torch.inference_mode()
def _f0(model, samples):
    f0, voicing = model.voice.pitch(samples[None])[0]
    return f0 * (voicing > VOICED)


def main():
    """Print the figures of one voice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("voice")
    parser.add_argument("reference", nargs="+")
    options = parser.parse_args()
    model = load_model(options.voice)
    for reference in options.reference:
        synthesizer = model.synthesizer(model.speaker(reference))
        for name, unit, errors in (("break", "ms", breaks(synthesizer)), ("rate", "%", rates(synthesizer)),
                                   ("pitch", "semitones", pitches(synthesizer, model))):  # fmt: skip
            sizes = [abs(error) for error in errors]
            print(f"{reference}: {name}: greatest error {max(sizes):.2f} {unit}, median {statistics.median(sizes):.2f}"
                  f" {unit}, of {len(sizes)}", flush=True)  # fmt: skip


if __name__ == "__main__":
    main()
