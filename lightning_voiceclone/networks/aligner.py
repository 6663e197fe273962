"""When each phoneme is spoken: a linear classifier of frames, and the best path through a text's phonemes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.core.validation import check_positive
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.text.inventory import CONSONANTS, VOWELS
from lightning_voiceclone.utils.reading import excerpt

SILENCE = 0  # a class is silence, or a phoneme without its stress
CLASSES = ("", *CONSONANTS, *VOWELS)
UNSEEN = -1e4  # bias of a class that training had no frame of: it is taken only where the text demands it
RIDGE = 1e-2  # times the mean variance, added to the covariance
SHORTEST = 0.03  # seconds of a phoneme, where the recording is long enough for all
SIDE, STRIDE, FRAME_RATE = 1, 3, 100.0  # of the window, and the frames a second for which these are chosen


@dataclass(frozen=True)
class Interval:
    """When a phoneme is spoken.

    Args:
        start: seconds.
        end: seconds; a silence after it is not counted.
        score: mean probability of the phoneme in its frames, 0 to 1.
    """

    start: float
    end: float
    score: float


class PhonemeAligner(nn.Module):
    """Times of a text's phonemes in a recording of it.

    Each class is a normal distribution of what a window of frames holds, with one covariance for all (linear
    discriminant analysis). The most probable path goes through all phonemes in order, 30 ms or more each (less where
    there is no time for that), with silences between words and at both ends where they are probable.

    It is trained as hidden Markov models are (Viterbi training; Rabiner 1989, section VI): from even times, the classes
    and the paths are computed in turn. A network trained by CTC outputs peaks, whose edges are no times.

    Args:
        channels: C of the frames: those of the content, and of the mel bands where they are joined to it. Content alone
            knows the phonemes, but less well where they begin.
        frame_rate: in frames a second.
        side: frames on either side in the window.
        stride: frames from one of the window to the next.
    """

    weight: Tensor
    bias: Tensor

    def __init__(self, channels: int, *, frame_rate: float, side: int = 1, stride: int = 1):
        super().__init__()
        check_positive(type(self).__name__, channels=channels, frame_rate=frame_rate, stride=stride)
        self.frame_rate, self.side, self.stride = frame_rate, side, stride
        self.shortest = max(round(SHORTEST * frame_rate), 1)
        self.register_buffer("weight", torch.zeros(len(CLASSES), channels * (2 * side + 1)))
        self.register_buffer("bias", torch.zeros(len(CLASSES)))

    def forward(self, frames: Tensor) -> Tensor:
        """Logarithms of the classes' probabilities (T, 40), each class as probable before, of frames (C, T)."""
        return F.linear(self._windows(frames), self.weight, self.bias).log_softmax(1)

    def align(self, frames: Tensor, words: Sequence[Sequence[str]]) -> list[list[Interval]]:
        """When each phoneme of each word is spoken.

        Args:
            frames: (C, T) of the recording.
            words: phonemes of each word, with or without stress.

        Returns:
            An interval for each phoneme of each word; in order, without overlap, in steps of a frame.

        Raises:
            RecordingError: if there are more phonemes than frames, or none.
        """
        scores = self(frames)
        path = best_path(scores, words, self.shortest)
        said = scores.exp()
        found = iter(_interval(first, last, float(said[first:last, kind].mean()), self.frame_rate)
                     for kind, first, last in path)  # fmt: skip
        return [[next(found) for _ in word] for word in words]

    @torch.no_grad()
    def fit(self, recordings: Iterable[tuple[Tensor, Sequence[Sequence[str]]]], *, even: bool = False) -> float:
        """One iteration of training: paths by the classes as they are, then the classes by these paths.

        Args:
            recordings: frames (C, T), and the phonemes of each word.
            even: phonemes of the same length instead of paths: the first iteration of all.

        Returns:
            Mean logarithm of the probability of a frame's class before the classes changed; 0 for even times.
        """
        width = self.weight.shape[1]
        counts = torch.zeros(len(CLASSES), dtype=torch.float64)
        sums = torch.zeros(len(CLASSES), width, dtype=torch.float64)
        square = torch.zeros(width, width, dtype=torch.float64)
        total = 0.0
        for frames, words in recordings:
            labels = even_labels(frames.shape[1], words) if even else self._labels(frames, words)
            x = self._windows(frames)
            total += 0.0 if even else float(self(frames).gather(1, labels[:, None]).sum())
            counts += torch.bincount(labels, minlength=len(CLASSES))
            sums.index_add_(0, labels, x.double())
            square += (x.T @ x).double()
        self._solve(counts, sums, square)
        return total / float(counts.sum())

    def _solve(self, counts: Tensor, sums: Tensor, square: Tensor) -> None:
        means = sums / counts.clamp_min(1)[:, None]
        covariance = (square - (means * counts[:, None]).T @ means) / counts.sum()
        covariance.diagonal().add_(RIDGE * covariance.diagonal().mean())
        weight = torch.linalg.solve(covariance, means.T).T
        self.weight.copy_(weight)
        self.bias.copy_(torch.where(counts > 0, -(weight * means).sum(1) / 2, UNSEEN))

    def _labels(self, frames: Tensor, words: Sequence[Sequence[str]]) -> Tensor:
        labels = torch.full((frames.shape[1],), SILENCE)
        for kind, first, last in best_path(self(frames), words, self.shortest):
            labels[first:last] = kind
        return labels

    def _windows(self, frames: Tensor) -> Tensor:
        """(T, C * window) of frames (C, T)."""
        reach = self.side * self.stride
        padded = F.pad(frames[None], (reach, reach), mode="replicate")[0]
        return torch.cat([padded[:, at : at + frames.shape[1]] for at in range(0, 2 * reach + 1, self.stride)]).T


def new_aligner(channels: int, frame_rate: float) -> PhonemeAligner:
    """An aligner without weights, for frames of :func:`aligner_frames`."""
    return PhonemeAligner(channels, frame_rate=frame_rate, side=SIDE, stride=STRIDE)


def load_aligner(path: str | Path) -> PhonemeAligner:
    """A trained aligner from a file of its state dict (safetensors), for frames at 100 a second.

    Raises:
        ConfigurationError: if there is none that can be read.
    """
    try:
        weights = load_file(path)
        aligner = new_aligner(weights["weight"].shape[1] // (2 * SIDE + 1), FRAME_RATE)
        aligner.load_state_dict(weights)
    except (OSError, SafetensorError, KeyError, IndexError, RuntimeError) as error:
        reason = excerpt(" ".join(str(error).split()))
        raise ConfigurationError(
            f"{path} is no trained aligner: {reason}; name a file that benchmarks/aligner.py wrote"
        ) from error
    return aligner


def aligner_frames(content: Tensor, mel: Tensor) -> Tensor:
    """Frames (C + F, T) for an aligner: content (C, T), and mel bands (F, T) less their means over the recording."""
    return torch.cat([content, mel - mel.mean(1, keepdim=True)])


def _interval(first: int, last: int, score: float, frame_rate: float) -> Interval:
    return Interval(first / frame_rate, last / frame_rate, score)


def classes(word: Sequence[str]) -> list[int]:
    """Numbers of phonemes' classes."""
    return [CLASSES.index(phoneme.rstrip("012")) for phoneme in word]


def even_labels(frames: int, words: Sequence[Sequence[str]]) -> Tensor:
    """Classes (T,) of phonemes of the same length, with a silence of the length of one at either end."""
    kinds = torch.tensor([SILENCE, *(kind for word in words for kind in classes(word)), SILENCE])
    return kinds[torch.arange(frames) * len(kinds) // frames]


def best_path(scores: Tensor, words: Sequence[Sequence[str]], shortest: int = 1) -> list[tuple[int, int, int]]:
    """The most probable times of phonemes (Viterbi's algorithm).

    Args:
        scores: (T, 40) logarithms of the classes' probabilities.
        words: phonemes of each word.
        shortest: least frames of a phoneme; fewer where there are not as many for each.

    Returns:
        For each phoneme its class, its first frame, and the frame after its last.

    Raises:
        RecordingError: if there are more phonemes than frames, or none, or scores that are not finite.
    """
    needed = sum(len(word) for word in words)
    if not 0 < needed <= len(scores):
        raise RecordingError(
            f"the recording has {len(scores)} frames for {needed} phonemes; it must have one for each, and"
            " there must be one at least: does it say this text?"
        )
    if not scores.isfinite().all():
        raise RecordingError("the aligner's scores are not finite: its frames have values that are no numbers")
    kinds, owners = _chain(words, min(shortest, len(scores) // needed))
    states = _states(scores[:, torch.tensor(kinds)].double().numpy(), np.array(owners) < 0)
    spoken = np.array(owners)[states]
    found = []
    for number, kind in enumerate(kind for word in words for kind in classes(word)):
        frames = np.flatnonzero(spoken == number)
        found.append((kind, int(frames[0]), int(frames[-1]) + 1))
    return found


def _chain(words: Sequence[Sequence[str]], repeats: int) -> tuple[list[int], list[int]]:
    """Classes of the states in order, a phoneme's so many times, and the phoneme's number; -1 for optional silences."""
    kinds, owners, number = [SILENCE], [-1], 0
    for word in words:
        for kind in classes(word):
            kinds += [kind] * repeats
            owners += [number] * repeats
            number += 1
        kinds.append(SILENCE)
        owners.append(-1)
    return kinds, owners


def _states(scores: np.ndarray, optional: np.ndarray) -> np.ndarray:
    """State of each frame (T,) on the best path through states (T, S) in order; the optional may be left out."""
    frames, count = scores.shape
    leap = np.where(np.concatenate([[False, False], optional[1:-1]]), 0.0, -np.inf)  # over the state before
    best = np.full(count, -np.inf)
    best[:2] = scores[0, :2]
    one, two = np.full(count, -np.inf), np.full(count, -np.inf)
    back = np.zeros((frames, count), np.int8)
    for frame in range(1, frames):
        one[1:], two[2:] = best[:-1], best[:-2] + leap[2:]
        further = np.maximum(one, two)
        back[frame] = np.where(best >= further, 0, np.where(one >= two, 1, 2))
        best = np.maximum(best, further) + scores[frame]
    state = count - 1 if best[-1] >= best[-2] else count - 2
    states = np.empty(frames, np.int64)
    for frame in range(frames - 1, -1, -1):
        states[frame] = state
        state -= back[frame, state]
    return states
