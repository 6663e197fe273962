"""Make the data of ``lightning_voiceclone/text/data``, or print the error of letters to sound on words held out.

    python benchmarks/letter_to_sound.py CMUDICT              # phoneme and word error on every 20th word, held out
    python benchmarks/letter_to_sound.py CMUDICT --write      # dictionary and letter-to-sound model of all words

CMUDICT is ``cmudict.dict`` of github.com/cmusphinx/cmudict.
"""

import argparse
import collections
import math
import random
import re
from pathlib import Path

from lightning_voiceclone.text import letter_to_sound as lts
from lightning_voiceclone.text.dictionary import pack

LONGEST = 2  # phonemes of a letter
ITERATIONS = 6
SAMPLE = 30_000  # words for all iterations but the last
FOLDER = Path(lts.__file__).parent / "data"


def read(path):
    """Words with all their pronunciations, in the file's order."""
    words = {}
    for line in Path(path).read_text(encoding="utf-8").splitlines():
        word, *phonemes = line.split(" #")[0].split()
        words.setdefault(re.sub(r"\(\d+\)$", "", word), []).append(tuple(phonemes))
    return words


def align(letters, phonemes, score):
    """Phonemes of each letter, 0 to 2, of the best path by ``score(letter, phonemes)``; None if there is none."""
    plain = tuple(p.rstrip("012") for p in phonemes)
    best = {0: (0.0, ())}
    for index, letter in enumerate(letters):
        left = len(letters) - index - 1
        reached = {}
        for place, (total, path) in best.items():
            for size in range(min(LONGEST, len(plain) - place) + 1):
                if len(plain) - place - size > LONGEST * left:
                    continue
                value = total + score(letter, plain[place : place + size])
                if place + size not in reached or value > reached[place + size][0]:
                    reached[place + size] = value, (*path, phonemes[place : place + size])
        best = reached
    return best[len(plain)][1] if len(plain) in best else None


def aligned(pairs):
    """Each word's letters with their phonemes, by hard expectation maximisation from a flat start."""
    sample = random.Random(0).sample(pairs, min(SAMPLE, len(pairs)))

    def score(letter, phonemes):
        return -1.0 if len(phonemes) == 1 else -2.0 - 0.5 * len(phonemes)

    for iteration in range(ITERATIONS):
        chosen = pairs if iteration == ITERATIONS - 1 else sample
        counts, found = collections.Counter(), []
        for word, phonemes in chosen:
            path = align(word, phonemes, score)
            if path is not None:
                found.append(tuple(zip(word, path, strict=True)))
                counts.update((letter, tuple(p.rstrip("012") for p in out)) for letter, out in found[-1])
        totals = collections.Counter()
        for (letter, _), count in counts.items():
            totals[letter] += count

        def score(letter, phonemes, counts=counts, totals=totals):
            return math.log((counts[letter, phonemes] + 0.01) / (totals[letter] + 1))

        print(f"alignment {iteration + 1}: {len(found)} words, {len(counts)} pairs", flush=True)
    return found


def train(pairs, order, least):
    """A model of pairs (word, phonemes): n-grams of Witten-Bell's interpolation, the rare ones left out."""
    found = aligned(pairs)
    counts = collections.Counter(pair for word in found for pair in word)
    symbols = [pair for pair, count in counts.most_common() if count >= 4]
    known = {pair: number + 2 for number, pair in enumerate(symbols)}  # 0 is the word's end, 1 its beginning
    grams = [collections.Counter() for _ in range(order)]
    for word in found:
        if all(pair in known for pair in word):
            numbers = [1] * (order - 1) + [known[pair] for pair in word] + [0]
            for place in range(order - 1, len(numbers)):
                for size in range(order):
                    grams[size][tuple(numbers[place - size : place + 1])] += 1
    return lts.Model.from_counts(symbols, grams, least)


def distance(a, b):
    """Least number of changes from a to b."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        last, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            last, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, last + (x != y))
    return row[-1]


def errors(pronounce, words):
    """Phoneme error, the same without stress, and word error, each against the nearest of a word's pronunciations."""
    wrong = plain_wrong = total = words_wrong = 0
    for word, options in words:
        given = pronounce(word)
        best = min(options, key=lambda option: distance(given, option))
        wrong += distance(given, best)
        plain = [p.rstrip("012") for p in given]
        plain_wrong += min(distance(plain, [p.rstrip("012") for p in option]) for option in options)
        total += len(best)
        words_wrong += tuple(given) not in options
    return wrong / total, plain_wrong / total, words_wrong / len(words)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("cmudict")
    parser.add_argument("--write", action="store_true")
    parser.add_argument("--order", type=int, default=6)
    parser.add_argument("--least", type=int, default=2, help="times that an n-gram of 4 or more occurred")
    options = parser.parse_args()
    words = read(options.cmudict)
    spelled = {word: said for word, said in words.items() if re.fullmatch(r"[a-z]+(?:'[a-z]+)?", word)}
    held = [(word, said) for number, (word, said) in enumerate(sorted(spelled.items())) if number % 20 == 7]
    names = set() if options.write else {word for word, _ in held}
    pairs = [(word, one) for word, said in spelled.items() if word not in names for one in said[:1]]
    model = train(pairs, options.order, options.least)
    if options.write:
        FOLDER.mkdir(exist_ok=True)
        (FOLDER / "letters.bin").write_bytes(model.pack())
        (FOLDER / "cmudict.bin").write_bytes(pack(words))
    print({path.name: path.stat().st_size for path in FOLDER.glob("*.bin")}, len(model.pack()))
    phoneme, plain, word = errors(model.pronounce, held[::5] if not options.write else held[:100])
    print(f"phoneme error {phoneme:.4f}, without stress {plain:.4f}, word error {word:.4f}, {len(held)} words held out")


if __name__ == "__main__":
    main()
