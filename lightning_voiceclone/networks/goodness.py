"""How good each phoneme of a recording is: which pronunciation was said, and its phonemes against all others."""

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from lightning_voiceclone.networks.aligner import CLASSES, SILENCE, best_path

Pronunciation = Sequence[str]
Path = list[tuple[int, int, int]]  # class, first frame and the frame after the last of each phoneme
SHORTEST = 3  # frames of a phoneme in the path
ENDS = 10  # frames before the first word and after the last


class Goodness(NamedTuple):
    """Of a phoneme.

    Args:
        value: logarithm of how much more probable the phoneme is than the most probable other one, mean of its frames.
        nearest: that other one, without stress.
    """

    value: float
    nearest: str


def said(scores: Tensor, words: Sequence[Sequence[Pronunciation]]) -> tuple[list[Pronunciation], Path]:
    """Of each word the pronunciation that a recording fits best, and the best path through all of them.

    The first of each word are aligned; then each other one is tried between the neighbouring phonemes of the words
    before and after, so that one word decides nothing of others.

    Args:
        scores: (T, 40) logarithms of the classes' probabilities.
        words: pronunciations of each word, at least one.

    Raises:
        RecordingError: if there are more phonemes than frames.
    """
    chosen = [word[0] for word in words]
    path = best_path(scores, chosen, SHORTEST)
    first = chosen.copy()
    place = 0
    for at, word in enumerate(words):
        end = place + len(first[at])
        if len(word) > 1:
            before, after = path[place - 1 : place], path[end : end + 1]
            begin = before[0][1] if before else max(path[0][1] - ENDS, 0)
            stop = after[0][2] if after else min(path[-1][2] + ENDS, len(scores))
            around = [first[at - 1][-1:]] if before else [], [first[at + 1][:1]] if after else []
            chosen[at] = _likeliest(scores[begin:stop], word, *around)
        place = end
    return chosen, path if chosen == first else best_path(scores, chosen, SHORTEST)


def _likeliest(
    scores: Tensor, word: Sequence[Pronunciation], before: list[Pronunciation], after: list[Pronunciation]
) -> Pronunciation:
    """Of a word's pronunciations the most probable in some frames (T, 40), which have its neighbours too."""
    best, chosen = -torch.inf, word[0]
    for one in word:
        words = [*before, one, *after]
        if sum(map(len, words)) > len(scores):
            continue
        labels = torch.full((len(scores),), SILENCE)
        for kind, first, last in best_path(scores, words, SHORTEST):
            labels[first:last] = kind
        total = float(scores.gather(1, labels[:, None]).sum())
        if total > best:
            best, chosen = total, one
    return chosen


def goodness(scores: Tensor, path: Path) -> list[Goodness]:
    """Each phoneme against all others in its frames: the log posterior ratio (Witt and Young 2000; Hu et al. 2015).

    The mean over a phoneme's frames of the logarithm of its probability, less the greatest such mean of another
    phoneme. Against the greatest probability of each single frame, as Witt and Young have it, one classifier found as
    many planted errors but ordered learners' phonemes less as experts do (``docs/coach.md``).

    Args:
        scores: (T, 40) logarithms of the classes' probabilities.
        path: as of :func:`said`.
    """
    found = []
    for kind, first, last in path:
        means = scores[first:last].mean(0)
        others = means.clone()
        others[[SILENCE, kind]] = -torch.inf
        nearest = int(others.argmax())
        found.append(Goodness(float(means[kind] - others[nearest]), CLASSES[nearest]))
    return found
