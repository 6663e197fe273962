"""Speech from text of very short and very long texts.

    python benchmarks/saying_lengths.py TABLE --words 200                    # utterances of one or two words
    python benchmarks/saying_lengths.py TABLE --words 200 --list             # what is spoken, a line each
    python benchmarks/saying_lengths.py TABLE --words 200 --spoken FOLDER    # by another system: N.wav of line N
    python benchmarks/saying_lengths.py TABLE --minutes 10                   # last minute against the first

TABLE is tab-separated, as for lvc evaluate, with the columns case, source, reference and transcript. Words and pairs
of neighbouring words are drawn from the transcripts, and spoken in the voices of some of the references in turn. One
is understood if the recogniser (Whisper tiny.en; --recognizer as for lvc evaluate) finds the same words, or words with
the same phonemes. The long text is the transcripts one after another, as often as needed, in one voice; its last minute
says once more what the first said, so that no difference is the text's. Prints the share not understood, or for both
minutes the word error rate, the cosine to the reference (Resemblyzer) and the level.
"""

import argparse
import math
import random
from itertools import cycle, pairwise
from pathlib import Path

import torch

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.audio.noise import speech_power
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.pairs import read_pairs
from lightning_voiceclone.evaluation.panel import RECOGNIZER, Panel, PanelSettings
from lightning_voiceclone.evaluation.recognizers.text_normalization import normalize
from lightning_voiceclone.inference.converter import load_model
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.sentences import Sentences

LEAST_LETTERS = 3  # of a drawn word: no recogniser can tell which of "a" and "uh" was said
MINUTE = 60.0
RATE = 16_000  # of another system's utterances


def phonemes(front, text):
    """Phonemes without stress, by which homophones are equal; none where the text cannot be spoken."""
    try:
        return [name.rstrip("012") for word in front.pronounce(text).words for name in word.phonemes]
    except LVCError:
        return []


def drawn(transcripts, count, seed=0):
    """Words and pairs of neighbouring words of transcripts, as many of each, without repetition."""
    ones, twos = set(), set()
    for transcript in transcripts:
        words = [word for word in normalize(transcript).split() if word.isalpha()]
        ones |= {word for word in words if len(word) >= LEAST_LETTERS}
        twos |= {" ".join(pair) for pair in pairwise(words)}
    rng = random.Random(seed)
    texts = [*rng.sample(sorted(ones), count - count // 2), *rng.sample(sorted(twos), count // 2)]
    rng.shuffle(texts)
    return texts


def spoken(model, pairs, texts, options):
    """Samples and rate of each text: of another system's files, or as the model speaks in some voices in turn."""
    if options.spoken:
        for number in range(1, len(texts) + 1):
            path = options.spoken / f"{number}.wav"
            yield (torch.from_numpy(read_audio(path, RATE)[0]), RATE) if path.exists() else None
        return
    paths = list(dict.fromkeys(pair.reference for pair in pairs))[: options.voices]
    voices = cycle([model.synthesizer(model.speaker(path)) for path in paths])
    for text, voice in zip(texts, voices, strict=False):
        yield voice.say(text.capitalize() + "."), model.sample_rate


def short(model, pairs, texts, options):
    """Print each utterance that is not understood, and their share."""
    front, panel = FrontEnd(), Panel(PanelSettings(("wer",), recognizer=options.recognizer))
    wrong = count = 0
    for text, made in zip(texts, spoken(model, pairs, texts, options), strict=True):
        if made is None:
            continue
        samples, rate = made
        found = panel.metrics["wer"].recognized(Case(text, samples, samples, samples, rate, text))
        count += 1
        if found != normalize(text) and phonemes(front, found) != phonemes(front, text):
            wrong += 1
            print(f"{text!r}: {found!r}", flush=True)
    if not count:
        raise SystemExit(f"{options.spoken} has no 1.wav to {len(texts)}.wav")
    print(f"not understood: {wrong} of {count}, {100 * wrong / count:.1f}%; not there: {len(texts) - count}")


def speech(synthesizer, text):
    """The words of each piece of a text, and its samples."""
    return [
        (
            " ".join(word.spoken for word in piece.spoken.words),
            synthesizer.render(synthesizer.plan(piece.spoken, piece.tempo)),
        )
        for piece in synthesizer.pieces(Sentences(synthesizer.front, text))
    ]


def long(model, pairs, options):
    """Print the figures of the first and the last minute."""
    reference = pairs[0].reference
    synthesizer = model.synthesizer(model.speaker(reference))
    transcripts = (pair.transcript.lower() if pair.transcript.isupper() else pair.transcript for pair in pairs)
    texts = cycle([text.rstrip(".") + "." for text in transcripts])
    said, seconds = {"first": [], "between": [], "last": []}, 0.0
    first = []  # what the first minute said
    while seconds < MINUTE * (options.minutes - 1):
        part = "first" if seconds < MINUTE else "between"
        text = next(texts)
        said[part] += speech(synthesizer, text)
        seconds = sum(len(samples) for part in said.values() for _, samples in part) / model.sample_rate
        first += [text] if part == "first" else []
    for text in first:
        said["last"] += speech(synthesizer, text)
    seconds = sum(len(samples) for part in said.values() for _, samples in part) / model.sample_rate
    _, voice = model.read(reference)
    panel = Panel(PanelSettings(("similarity_reference", "wer"), recognizer=options.recognizer))
    print(f"{seconds:.0f} s\n| minute | WER | cosine | level in dB |\n|---|---|---|---|")
    for name in ("first", "last"):
        sentences = said[name]
        whole = torch.cat([samples for _, samples in sentences])
        scores = [panel.metrics["wer"].score(Case(name, voice, voice, samples, model.sample_rate, text))
                  for text, samples in sentences]  # fmt: skip
        errors, words = (sum(score[at] for score in scores) for at in (0, 1))
        case = Case(name, voice, voice, whole, model.sample_rate)
        cosine = panel.measure(case, ("similarity_reference",))["scores"]["similarity_reference"][0]
        level = 10 * math.log10(speech_power(whole.numpy(), model.sample_rate))
        print(f"| {name} | {errors / words:.3f} | {cosine:.3f} | {level:.1f} |")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    parser.add_argument("--voice", default="default")
    parser.add_argument("--words", type=int, default=0, help="utterances of one or two words")
    parser.add_argument("--minutes", type=float, default=0.0, help="length of the long text")
    parser.add_argument("--voices", type=int, default=5)
    parser.add_argument("--list", action="store_true", help="print the utterances, a line each, and end")
    parser.add_argument("--spoken", type=Path, help="folder of N.wav, another system's utterance of line N of --list")
    parser.add_argument("--recognizer", default=RECOGNIZER)
    options = parser.parse_args()
    if (options.list or options.spoken) and not options.words:
        parser.error("--list and --spoken need --words")
    if options.spoken and options.minutes:
        parser.error("--spoken goes with --words alone")
    torch.set_num_threads(1)
    pairs = read_pairs(options.table).rows
    texts = drawn([pair.transcript for pair in pairs], options.words)
    if options.list:
        print("\n".join(texts))
        return
    model = None if options.spoken else load_model(options.voice)
    if options.words:
        short(model, pairs, texts, options)
    if options.minutes:
        long(model, pairs, options)


if __name__ == "__main__":
    main()
