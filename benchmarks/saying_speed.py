"""What speech from text costs: its real-time factor, the time to the first sound, and the start of the command.

Also how far the samples that are streamed are from those of whole sentences.

    python benchmarks/saying_speed.py VOICE REFERENCE

All in seconds of the CPU with one thread, so that other processes do not count: on an idle core they are the seconds
that pass. Prints seconds of work for a second of speech; for texts of one sentence, of 1,000 and of 100,000 characters
the seconds from the call of ``stream`` to the first chunk, with model and dictionary loaded; and those of the whole
command `lvc say Hello.`, the least of three.
"""

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import torch

from lightning_voiceclone.inference.converter import load_model

SENTENCES = (
    "The birch canoe slid on the smooth planks.", "Glue the sheet to the dark blue background.",
    "It is easy to tell the depth of a well.", "These days a chicken leg is a rare dish.",
    "Rice is often served in round bowls.", "The juice of lemons makes fine punch.",
    "The box was thrown beside the parked truck.", "The hogs were fed chopped corn and garbage.",
    "Four hours of steady work faced us, and nobody had brought anything to drink or to eat for the long way home.",
)  # fmt: skip
TEXT = " ".join(SENTENCES)
REPEATS, COMMANDS = 3, 3


def real_time_factor(synthesizer, speak):
    """Seconds of work for a second of speech, all sentences together."""
    seconds = length = 0.0
    for sentence in SENTENCES:
        start = time.process_time()
        length += sum(len(part) for part in speak(sentence)) / synthesizer.sample_rate
        seconds += time.process_time() - start
    return seconds / length


def furthest(synthesizer):
    """Largest difference between the streamed and the whole samples of a sentence, in full scale."""
    return max((torch.cat(list(synthesizer.stream(one))) - synthesizer.say(one)).abs().max() for one in SENTENCES)


def first_sound(synthesizer, text):
    """Seconds to the first chunk, the median of some."""
    taken = []
    for _ in range(REPEATS):
        start = time.process_time()
        next(iter(synthesizer.stream(text)))
        taken.append(time.process_time() - start)
    return statistics.median(taken)


def cold_start(voice, reference):
    """Seconds of the command, the least of some."""
    taken = []
    with tempfile.TemporaryDirectory() as folder:
        words = ["say", "Hello.", "--checkpoint", voice, "--reference", reference, "--output"]
        command = [sys.executable, "-m", "lightning_voiceclone", *words, str(Path(folder) / "c.wav")]
        for _ in range(COMMANDS):
            before = resource.getrusage(resource.RUSAGE_CHILDREN)
            subprocess.run(command, check=True, capture_output=True, env={**os.environ, "OMP_NUM_THREADS": "1"})
            after = resource.getrusage(resource.RUSAGE_CHILDREN)
            taken.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    return min(taken)


def main():
    """Print the figures of one voice."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("voice")
    parser.add_argument("reference")
    options = parser.parse_args()
    torch.set_num_threads(1)
    model = load_model(options.voice)
    synthesizer = model.synthesizer(model.speaker(options.reference))
    synthesizer.say(SENTENCES[0])
    for name, speak in (("whole", lambda text: [synthesizer.say(text)]), ("streamed", synthesizer.stream)):
        print(f"real-time factor, sentences {name}: {real_time_factor(synthesizer, speak):.3f}")
    print(f"streamed less whole, at most: {furthest(synthesizer):.1e} of full scale")
    for text in (SENTENCES[-1], (TEXT * 3)[:1000], (TEXT * 300)[:100_000]):
        print(f"first sound of {len(text):,} characters: {1000 * first_sound(synthesizer, text):.0f} ms")
    print(f"lvc say, one word: {cold_start(options.voice, options.reference):.1f} s")


if __name__ == "__main__":
    main()
