"""Train the classifier of phonemes that lvc coach uses, and store how good native speakers' phonemes are.

    python benchmarks/phones.py TABLE --aligner aligner.safetensors --output FOLDER [--steps 700]

TABLE is tab-separated, with the columns path, text and split: rows of the split "train" are learned, with the times
that the aligner of benchmarks/aligner.py finds, and then with those that a classifier finds which has learned where
phonemes begin from espeak-ng's events. Rows of "calibration", by other speakers, give the goodness of native phonemes.
"""

import argparse
import collections
import copy
import csv
import random
import time
from pathlib import Path

import numpy as np
import soxr
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.checkpoints.storage_bits import dequantize, quantize_storage
from lightning_voiceclone.core.masking import resample_frames
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.networks.aligner import CLASSES, FRAME_RATE, SILENCE, aligner_frames, load_aligner
from lightning_voiceclone.networks.goodness import goodness, said
from lightning_voiceclone.networks.phone_classifier import (
    BANDS,
    PhoneClassifier,
    PhoneFrames,
    levelled,
    shares,
)
from lightning_voiceclone.text.espeak import Espeak
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.inventory import PHONEMES, parse_ipa
from lightning_voiceclone.text.variants import accepted

RATE, STEPS, ROWS = 16_000, 150, 16  # a stretch has 150 steps of content, 3 s; a batch 16
LEAST_SCORE = 0.3  # mean probability of a recording's phonemes, below which it says something else
IGNORED = -100
SPOKEN_SECONDS, WORDS, SPEEDS = 560.0, 9, (120, 135, 150, 150, 165, 180)  # by espeak-ng
ACCENTS = ("en-us", "en-us", "en-us", "en-us", "en-gb-x-rp")
TIMBRES = (  # none of benchmarks/aligner.py's
           "linda", "m1", "m4", "m8", "f1", "Annie", "Andy", "Gene2", "belinda", "Andrea", "Lee", "steph", "shelby",
           "Nguyen", "anika", "m2", "m5", "f5", "grandma")  # fmt: skip
ALIKE = 400  # phonemes of a vowel's other stresses, and of all phonemes, count as many of its own: tails need many


def pronunciations(front, text):
    """Accepted pronunciations of each word of a transcript."""
    return [accepted(word) for word in front.pronounce(text.lower() if text.isupper() else text).words]


def read(rows, frames_of):
    """Content, mel bands and pronunciations of recordings; those whose transcript cannot be pronounced are left out."""
    front, found = FrontEnd(), []
    for row in rows:
        try:
            words = pronunciations(front, row["text"])
        except LVCError as error:
            print(row["path"], error)
            continue
        found.append((*frames_of(torch.from_numpy(read_audio(row["path"], RATE)[0])), words))
    return found


def labelled(recordings, scores_of):
    """Content (C, T / 2), mel bands (F, T) and classes (T,) of recordings, by the best path through what they say."""
    found = []
    for content, mel, words in recordings:
        scores = scores_of(content, mel)
        try:
            _, path = said(scores, words)
        except LVCError as error:
            print(error)
            continue
        even = levelled(mel)[0]
        classes = torch.zeros(even.shape[1], dtype=torch.long)
        for kind, first, last in path:
            classes[first:last] = kind
        if float(scores.exp().gather(1, classes[: len(scores), None]).mean()) >= LEAST_SCORE:
            found.append((content[0], even, classes))
    return found


def spoken(texts, frames_of):
    """The same of sentences by espeak-ng, whose events are the times."""
    draw, espeak, found, seconds = random.Random(0), Espeak(), [], 0.0
    for text in texts:
        if seconds > SPOKEN_SECONDS:
            break
        words = text.lower().split()
        first = draw.randrange(max(len(words) - WORDS, 1))
        audio, rate, events = espeak.timed(" ".join(words[first : first + WORDS]), voice=draw.choice(ACCENTS),
                                           variant=draw.choice(TIMBRES), rate=draw.choice(SPEEDS))  # fmt: skip
        audio = soxr.resample(audio, rate, RATE) * draw.uniform(0.3, 1.0)
        noise = np.random.default_rng(len(found)).normal(size=len(audio)) * draw.choice([0, 0.0003, 0.001, 0.003])
        content, mel = frames_of(torch.from_numpy((audio + noise).astype(np.float32)))
        even = levelled(mel)[0]
        classes = torch.zeros(even.shape[1], dtype=torch.long)
        ends = [second for second, _ in events[1:]] + [len(audio) / RATE]
        for (second, symbol), end in zip(events, ends, strict=True):
            phonemes = parse_ipa(symbol) if symbol else ()
            kind = CLASSES.index(phonemes[0].rstrip("012")) if len(phonemes) == 1 else IGNORED if phonemes else SILENCE
            classes[round(second * FRAME_RATE) : round(end * FRAME_RATE)] = kind
        found.append((content[0], even, classes))
        seconds += len(audio) / RATE
    return found


def train(classifier, data, steps, rate, others=(), count=0):
    """Train a classifier on stretches of recordings; ``count`` of each batch are of the others."""
    draw = np.random.default_rng(0)
    optimizer = torch.optim.AdamW(classifier.parameters(), lr=rate, weight_decay=0.01, betas=(0.9, 0.98))
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    lengths = np.array([content.shape[1] for content, _, _ in data])
    start = time.process_time()
    classifier.train()
    for step in range(1, steps + 1):
        chosen = [data[at] for at in draw.choice(len(data), ROWS - count, p=lengths / lengths.sum())]
        chosen += [others[at] for at in draw.integers(0, max(len(others), 1), count)]
        stretches = [stretch(one, draw) for one in chosen]
        content, mel, classes = (torch.stack(some) for some in zip(*stretches, strict=True))
        mel = mel + 0.15 * torch.randn(ROWS, BANDS, 1) * (torch.rand(ROWS, 1, 1) < 0.5)  # another microphone
        scores = classifier(content + 0.1 * torch.randn_like(content), mel)
        loss = F.cross_entropy(scores.flatten(0, 1), classes.flatten(), ignore_index=IGNORED)
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(classifier.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step % 100 == 0:
            print(f"step {step}: {loss.item():.3f} nats, {time.process_time() - start:.0f} s", flush=True)
    classifier.eval()


@torch.no_grad()
def balance(classifier, data):
    """Take half of what is frequent from the classes' biases: frequent phonemes would be too long in the paths."""
    counts = torch.bincount(torch.cat([classes[classes >= 0] for _, _, classes in data]), minlength=len(CLASSES))
    shares_of = (counts / counts.sum() + 1e-5).log()
    classifier.leave.bias -= 0.5 * shares_of.repeat(2)


def stretch(one, draw):
    """3 s of a recording, at a random place."""
    content, mel, classes = one
    first = int(draw.integers(0, max(content.shape[1] - STEPS, 0) + 1))
    lack = max(STEPS - content.shape[1], 0)
    return (F.pad(content[:, first : first + STEPS], (0, lack)),
            F.pad(mel[:, 2 * first : 2 * (first + STEPS)], (0, 2 * lack)),
            F.pad(classes[2 * first : 2 * (first + STEPS)], (0, 2 * lack), value=IGNORED))  # fmt: skip


@torch.no_grad()
def calibrate(classifier, recordings):
    """Store the quantiles of native speakers' goodness in the classifier."""
    by_phoneme, by_class = collections.defaultdict(list), collections.defaultdict(list)
    for content, mel, words in recordings:
        scores = classifier(content, levelled(mel))[0, : mel.shape[2]]
        chosen, path = said(scores, words)
        for phoneme, one in zip((name for word in chosen for name in word), goodness(scores, path), strict=True):
            by_phoneme[phoneme].append(one.value)
            by_class[phoneme.rstrip("012")].append(one.value)
    everything = [value for values in by_class.values() for value in values]
    levels = shares().double().numpy()
    whole = np.quantile(everything, levels)
    for at, phoneme in enumerate(PHONEMES):
        likewise = mixed(by_class[phoneme.rstrip("012")], whole, levels)
        classifier.native[at] = torch.from_numpy(mixed(by_phoneme[phoneme], likewise, levels))
    print(f"{len(everything)} phonemes of {len(recordings)} recordings")


def mixed(values, other, levels):
    """Quantiles of values, and of what is like them, where they are few."""
    if not values:
        return other
    return (np.quantile(values, levels) * len(values) + other * ALIKE) / (len(values) + ALIKE)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--aligner", required=True)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--steps", type=int, default=700, help="of the first training")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with open(options.table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    torch.manual_seed(0)
    frames_of, aligner, classifier = PhoneFrames(), load_aligner(options.aligner), PhoneClassifier()
    splits = {split: read([row for row in rows if row["split"] == split], frames_of)
              for split in ("train", "calibration")}  # fmt: skip

    def by_aligner(content, mel):
        return aligner(aligner_frames(resample_frames(content, mel.shape[2], FRAME_RATE / 2, FRAME_RATE)[0], mel[0]))

    data = labelled(splits["train"], by_aligner)
    train(classifier, data, options.steps, 3e-3)
    timed = copy.deepcopy(classifier)
    known = spoken([row["text"] for row in rows if row["split"] == "train"], frames_of)
    train(timed, known, options.steps // 4, 1.5e-3)
    balance(timed, data)
    with torch.no_grad():
        data = labelled(splits["train"], lambda content, mel: timed(content, levelled(mel))[0, : mel.shape[2]])
    train(classifier, data, options.steps // 2, 2e-3, known, ROWS // 4)
    balance(classifier, data)
    classifier.load_state_dict(dequantize(quantize_storage(classifier.state_dict(), 8)))
    calibrate(classifier, splits["calibration"])
    options.output.mkdir(parents=True, exist_ok=True)
    save_file(quantize_storage(classifier.state_dict(), 8), options.output / "weights.safetensors")


if __name__ == "__main__":
    main()
