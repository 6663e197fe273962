"""Train the aligner on recordings with transcripts, and measure it by the event times of espeak-ng.

    python benchmarks/aligner.py TABLE --output aligner.safetensors [--recordings 160] [--iterations 10]
    python benchmarks/aligner.py --aligner aligner.safetensors
    python benchmarks/aligner.py --phones      # the classifier of lvc coach, which ships

TABLE is tab-separated, with the columns path, text and split; rows with the split "train" are used.
"""

import argparse
import csv
import random
import time

import numpy as np
import soxr
import torch
from safetensors.torch import save_file

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.core.masking import resample_frames
from lightning_voiceclone.demo.sentences import compose
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.networks.aligner import aligner_frames, best_path, load_aligner, new_aligner
from lightning_voiceclone.networks.goodness import SHORTEST
from lightning_voiceclone.networks.phone_classifier import PhoneFrames, PhoneScores
from lightning_voiceclone.text.espeak import Espeak
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.inventory import parse_ipa

RATE, FRAME_RATE, CHANNELS, BANDS = 16_000, 100.0, 192, 80
VOICES = (("en-us", "m3"), ("en-us", "f2"), ("en-us", "m7"), ("en-us", "f4"), ("en-us", ""), ("en-gb-x-rp", "f3"))
SPEED = 150  # words a minute


class Frames:
    """Frames for the aligner, (C, T) at 100 a second: content, interpolated as a model does, and mel bands.

    Content alone, at 50 frames a second, knows the phonemes but not their edges.
    """

    def __init__(self):
        self.parts = PhoneFrames()

    @torch.inference_mode()
    def __call__(self, audio):
        content, mel = self.parts(torch.from_numpy(audio))
        content = resample_frames(content, mel.shape[2], self.parts.encoder.frame_rate, FRAME_RATE)
        return aligner_frames(content[0], mel[0]).clone()


def train(options, frames_of):
    with open(options.table, encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE) if row["split"] == "train"]
    random.Random(0).shuffle(rows)
    front, data = FrontEnd(), []
    for row in rows[: options.recordings]:
        try:
            words = [word.phonemes for word in front.pronounce(row["text"].lower()).words]
        except LVCError as error:
            print(row["path"], error)
            continue
        data.append((frames_of(read_audio(row["path"], RATE)[0]), words))
    aligner = new_aligner(CHANNELS + BANDS, FRAME_RATE)
    start = time.process_time()
    for iteration in range(options.iterations):
        score = aligner.fit(data, even=iteration == 0)
        print(f"iteration {iteration}: {score:.3f} nats a frame, {time.process_time() - start:.0f} s", flush=True)
    save_file(aligner.state_dict(), options.output)
    return aligner


def errors(starts_of):
    """Signed errors in seconds of each phoneme's beginning, by voice; ``starts_of(audio, words)`` finds the starts."""
    found, texts = {}, compose(36, 20)
    for number, (voice, variant) in enumerate(VOICES):
        espeak, some = Espeak(), []
        for text in texts[number :: len(VOICES)]:
            audio, rate, events = espeak.timed(text, voice=voice, variant=variant, rate=SPEED)
            words, times = [[]], []
            for second, symbol in events:
                if not symbol:
                    words.append([])
                    continue
                phonemes = parse_ipa(symbol)
                times += [second, *[None] * (len(phonemes) - 1)]
                words[-1] += phonemes
            words = [word for word in words if word]
            starts = starts_of(soxr.resample(audio, rate, RATE).astype(np.float32), words)
            some += [at - true for at, true in zip(starts, times, strict=True) if true is not None]
        found[voice, variant] = np.array(some)
    return found


def by_aligner(options):
    """Starts of phonemes by an aligner, perhaps trained first."""
    frames_of = Frames()
    aligner = train(options, frames_of) if options.table else load_aligner(options.aligner)
    return lambda audio, words: [one.start for word in aligner.align(frames_of(audio), words) for one in word]


def by_classifier():
    """Starts of phonemes by the classifier that ships."""
    scores = PhoneScores()
    return lambda audio, words: [
        first / FRAME_RATE for _, first, _ in best_path(scores(torch.from_numpy(audio)), words, SHORTEST)
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", nargs="?")
    parser.add_argument("--aligner")
    parser.add_argument("--phones", action="store_true")
    parser.add_argument("--output", default="aligner.safetensors")
    parser.add_argument("--recordings", type=int, default=160)
    parser.add_argument("--iterations", type=int, default=10)
    options = parser.parse_args()
    torch.set_num_threads(1)
    by_voice = errors(by_classifier() if options.phones else by_aligner(options))
    for name, some in [*by_voice.items(), (("all", ""), np.concatenate(list(by_voice.values())))]:
        off, middle = np.abs(some) * 1000, np.median(some) * 1000
        print(
            f"{'+'.join(filter(None, name))}: {len(some)} phonemes, median error {np.median(off):.0f} ms, 95% within"
            f" {np.percentile(off, 95):.0f} ms; {np.mean(off <= 50):.1%} within 50 ms; median of the signed"
            f" {middle:+.0f} ms"
        )


if __name__ == "__main__":
    main()
