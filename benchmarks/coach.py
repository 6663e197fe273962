"""What lvc coach flags: in native speech, where an error was planted, and where experts found one.

    python benchmarks/coach.py TABLE [--plants 6] [--experts utt2score]

TABLE is tab-separated, with the columns path, speaker, text and split. Rows of "native" are native speech: prints the
share of flagged phonemes; the share of planted errors that are found (one phoneme of the text's pronunciation is
replaced, so that the recording is wrong in one known place), and what a planted error changes elsewhere; and how often
an attempt is refused as saying something else, at its own text and at another one. Rows of "learner" are compared with
the scores of five experts: utt2score of speechocean762's first release, lines of a name, a tab and JSON. Intervals are
of 95%, over speakers.
"""

import argparse
import collections
import csv
import difflib
import json
import random
import re
from pathlib import Path

import numpy as np
import torch

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.bootstrap import ClusterBootstrap
from lightning_voiceclone.inference.coaching import FLAGGED, check_said
from lightning_voiceclone.networks.goodness import goodness, said
from lightning_voiceclone.networks.phone_classifier import PhoneScores
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.variants import accepted

# What learners say instead, both ways, and other near phonemes.
CONFUSED = {
    "DH": "Z D", "Z": "DH S", "TH": "S T F", "S": "TH SH", "R": "L W", "L": "R", "IH": "IY", "IY": "IH", "V": "W F",
    "W": "V", "N": "NG L", "NG": "N", "EH": "AE", "AE": "EH", "UH": "UW", "UW": "UH", "AA": "AH", "AH": "AA",
    "SH": "S", "CH": "SH", "JH": "CH", "D": "T", "T": "D", "P": "B", "B": "P", "G": "K", "K": "G", "AO": "OW",
    "OW": "AO", "EY": "EH", "ER": "AH", "AY": "AA", "F": "P", "HH": "F", "M": "N", "Y": "JH", "AW": "AA", "ZH": "JH",
    "OY": "AY",
}  # fmt: skip
NAMED = ("DH>Z", "TH>S", "R>L", "L>R", "IH>IY", "IY>IH", "V>W", "EH>AE")  # printed by themselves
EXPERTS_PHONES = {"AR": "EH R", "AX": "AH", "AXR": "ER", "DR": "D R", "DZ": "D Z", "EE": "ER", "IR": "IH R", "OO": "AA",
                  "TR": "T R", "TS": "T S", "UR": "UH R"}  # fmt: skip


class Judge:
    """Shares of native speakers, by phoneme, of a recording and a text."""

    def __init__(self):
        self.scores, self.front = PhoneScores(), FrontEnd()

    def words(self, text):
        return [accepted(word) for word in self.front.pronounce(text.lower() if text.isupper() else text).words]

    def judged(self, table, words):
        """Pronunciations, and for each phoneme the share and the goodness."""
        chosen, path = said(table, words)
        found = goodness(table, path)
        names = [name for word in chosen for name in word]
        shares = [self.scores.classifier.percentile(name, one.value) for name, one in zip(names, found, strict=True)]
        return chosen, np.array(shares), found


def bare(phonemes):
    return tuple(phoneme.rstrip("012") for phoneme in phonemes)


def planted(judge, table, words, draw, count):
    """For some places: which error, whether it is flagged, and changes of the shares of others by their distance."""
    chosen, before, _ = judge.judged(table, words)
    places = [(at, inside) for at, word in enumerate(chosen) for inside in range(len(word))]
    for at, inside in draw.sample(places, min(count, len(places))):
        right = chosen[at][inside].rstrip("012")
        wrong = draw.choice(CONFUSED[right].split())
        word = [*chosen[at][:inside], wrong + chosen[at][inside][len(right) :], *chosen[at][inside + 1 :]]
        if bare(word) in map(bare, words[at]):
            continue
        others, after, _ = judge.judged(table, [*words[:at], [word], *words[at + 1 :]])
        place = sum(map(len, others[:at])) + inside
        same = [len(one) for one in others] == [len(one) for one in chosen]
        changes = np.abs(after - before) if same else None
        flags = (after < FLAGGED) != (before < FLAGGED) if same else None
        yield f"{right}>{wrong}", bool(after[place] < FLAGGED), place, changes, flags


def refused(found):
    try:
        check_said(found, "")
    except RecordingError:
        return True
    return False


def share(values, speakers):
    """A mean with its interval."""
    values = np.array(values, dtype=float)
    low, high = ClusterBootstrap(speakers, ["all"] * len(speakers)).interval(
        lambda weights: weights @ values / weights.sum(1)
    ) or (np.nan, np.nan)
    return f"{values.mean():.1%} ({low:.1%} to {high:.1%}; {len(values)})"


def native(judge, rows, plants):
    draw, flags, owners, errors, far = random.Random(0), [], [], [], collections.defaultdict(list)
    denied, mismatched, tables = [], [], []
    for row in rows:
        table, words = judge.scores(torch.from_numpy(read_audio(row["path"], 16000)[0])), judge.words(row["text"])
        _, shares, found = judge.judged(table, words)
        tables.append(table)
        denied.append(refused(found))
        flags += list(shares < FLAGGED)
        owners += [row["speaker"]] * len(shares)
        for kind, hit, place, changes, flipped in planted(judge, table, words, draw, plants):
            errors.append((kind, hit, row["speaker"]))
            for distance in (1, 2, 3) if changes is not None else ():
                beyond = np.abs(np.arange(len(changes)) - place) > distance
                far[distance].append((bool((changes[beyond] > 0.01).any()), bool(flipped[beyond].any())))
    for row, other in zip(rows, [*tables[1:], tables[0]], strict=True):
        words = judge.words(row["text"])
        if sum(len(word[0]) for word in words) < len(other):
            mismatched.append(refused(judge.judged(other, words)[2]))
    print(f"native phonemes flagged: {share(flags, owners)}")
    print(f"planted errors found: {share([hit for _, hit, _ in errors], [who for *_, who in errors])}")
    for name in NAMED:
        hits = [hit for kind, hit, _ in errors if kind == name]
        print(f"  {name}: {np.mean(hits):.0%} of {len(hits)}" if hits else f"  {name}: none")
    for distance, pairs in far.items():
        moved, flipped = np.mean(pairs, axis=0)
        print(f"planted errors that move a score by 0.01 or more beyond {distance} phonemes: {moved:.1%};"
              f" a flag: {flipped:.1%}")  # fmt: skip
    print(f"refused: {np.mean(denied):.1%} of {len(denied)} at their own text, {np.mean(mismatched):.1%} of"
          f" {len(mismatched)} at another")  # fmt: skip


def noted(text):
    """Phonemes of an expert's notation, scored 2, or 1 in braces, 0 in parentheses; not those in brackets."""
    found, score, inserted = [], 2, False
    for token in re.findall(r"[\[\](){}]|[A-Z]+", text):
        if token in "[]":
            inserted = token == "["
        elif token in "(){}":
            score = {"(": 0, "{": 1}.get(token, 2)
        elif not inserted:
            found += [(phoneme, score) for phoneme in EXPERTS_PHONES.get(token, token).split()]
    return found


def matching(ours, theirs):
    """Pairs of indices of equal items of two lists, in order."""
    for one, other, count in difflib.SequenceMatcher(None, ours, theirs, autojunk=False).get_matching_blocks():
        for at in range(count):
            yield one + at, other + at


def experts_of(said_words, chosen, judged):
    """For each phoneme that at least four experts have scored its index and their mean."""
    starts = np.cumsum([0, *map(len, chosen)])
    for one, other in matching(said_words, [word["text"].lower() for word in judged["words"]]):
        marks = collections.defaultdict(list)
        for notation in judged["words"][other]["phones"]:
            scored = noted(notation)
            for here, there in matching(bare(chosen[one]), [phoneme for phoneme, _ in scored]):
                marks[here].append(scored[there][1])
        for here, values in marks.items():
            if len(values) >= 4:
                yield starts[one] + here, np.mean(values)


def learners(judge, rows, experts):
    known = {}
    for path in experts:
        with open(path, encoding="utf-8") as file:
            known |= {line.split("\t")[0]: json.loads(line.split("\t", 1)[1]) for line in file}
    pairs, denied = [], []
    for row in rows:
        table = judge.scores(torch.from_numpy(read_audio(row["path"], 16000)[0]))
        chosen, shares, found = judge.judged(table, judge.words(row["text"]))
        denied.append(refused(found))
        said_words = [word.spoken for word in judge.front.pronounce(row["text"].lower()).words]
        scored = experts_of(said_words, chosen, known[Path(row["path"]).stem])
        pairs += [(shares[at], mean, row["speaker"]) for at, mean in scored]
    shares, means = np.array([pair[:2] for pair in pairs]).T
    speakers = np.array([pair[2] for pair in pairs])
    accented = (means > 0.5) & (means < 1.5)
    kinds = {"wrong (mean 0 to 0.5)": means <= 0.5, "accented (0.5 to 1.5)": accented, "right (1.9 to 2)": means >= 1.9}
    for name, chosen in kinds.items():
        print(f"flagged of what experts call {name}: {share(shares[chosen] < FLAGGED, list(speakers[chosen]))}")
    bad, good = shares[means <= 0.5], shares[means >= 1.9]
    order = np.concatenate([bad, good]).argsort(kind="stable").argsort(kind="stable") + 1
    area = 1 - (order[: len(bad)].sum() - len(bad) * (len(bad) + 1) / 2) / (len(bad) * len(good))
    print(f"area under the curve of right against wrong: {area:.3f}; correlation with the experts' mean:"
          f" {np.corrcoef(shares, means)[0, 1]:.3f}; refused: {np.mean(denied):.1%} of {len(denied)}")  # fmt: skip


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table")
    parser.add_argument("--plants", type=int, default=6)
    parser.add_argument("--experts", nargs="+", default=[])
    options = parser.parse_args()
    torch.set_num_threads(1)
    with open(options.table, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
    judge = Judge()
    native(judge, [row for row in rows if row["split"] == "native"], options.plants)
    if options.experts:
        learners(judge, [row for row in rows if row["split"] == "learner"], options.experts)


if __name__ == "__main__":
    main()
