"""A source of more than a minute: a first pass over it, and its blocks, screened one by one."""

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_voiceclone.audio.noise import speech_power
from lightning_voiceclone.audio.segment_selection import Span, join
from lightning_voiceclone.core.audio_checks import require_finite, require_long, require_loud
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.inference.screening import denoised, judge_source, level_factor, level_note

Read = Callable[[int, int], NDArray[np.float32]]
LONGEST_SECONDS = 60.0  # of a source that is converted as a whole; of a longer one, so much is a sample of it
BLOCK_SECONDS = 20.0  # read and converted at once
PIECE_SECONDS = 5.0  # of the sample
ACTIVE = 0.1  # of the mean power: quieter pieces have little speech
OVERLAP_SECONDS = 1.0  # of blocks, each denoised by itself, whose first half second is faded in


@dataclass(frozen=True)
class Survey:
    """What a first pass finds.

    Args:
        length: samples.
        peak: the greatest magnitude.
        spans: of samples, in order, one minute in total: pieces with speech, spread evenly over the source.
    """

    length: int
    peak: float
    spans: tuple[Span, ...]


class LongSource:
    """Samples of a source, read and screened block by block, in memory that does not grow with its length.

    Screening takes the peak of the whole, and measures the sample. Noise is estimated in each block anew.

    Args:
        name: of the recording in notes and errors.
        read: gives the samples from one to another; fewer at the end.
        spec: of the model.
        denoise: as of :func:`~lightning_voiceclone.inference.screening.screen_source`.
    """

    def __init__(self, name: str, read: Read, spec: AudioSpec, denoise: str) -> None:
        self.name, self._read, self._spec, self._denoise = name, read, spec, denoise
        self.size = round(BLOCK_SECONDS * spec.sample_rate)
        self._overlap = round(OVERLAP_SECONDS * spec.sample_rate)
        self._cleaned = functools.lru_cache(maxsize=2)(self._clean)

    @functools.cached_property
    def survey(self) -> Survey:
        """The first pass.

        Raises:
            RecordingError: if the source is silent, not finite, or cannot be decoded.
        """
        piece = round(PIECE_SECONDS * self._spec.sample_rate)
        length, peak, powers = 0, 0.0, []
        while len(block := self._read(length, length + self.size)):
            require_finite(torch.from_numpy(block), self.name)
            length, peak = length + len(block), max(peak, float(np.abs(block).max()))
            powers += [float(np.square(block[begin : begin + piece], dtype=np.float64).mean())
                       for begin in range(0, len(block), piece)]  # fmt: skip
            if len(block) < self.size:
                break
        require_long(length / self._spec.sample_rate, self.name, 1 / self._spec.frame_rate)
        require_loud(peak, self.name)
        return Survey(length, peak, _spread(powers, piece, length, round(LONGEST_SECONDS * self._spec.sample_rate)))

    @functools.cached_property
    def scale(self) -> float:
        """Factor of the samples, 1 but for a peak that is beyond full scale or very low."""
        return level_factor(self.survey.peak)

    @functools.cached_property
    def _judged(self) -> tuple[bool, tuple[str, ...]]:
        noisy, notes = judge_source(self._sample, self._spec, self.name, denoise=self._denoise)
        return noisy, level_note(self.name, self.survey.peak) + notes

    @property
    def notes(self) -> tuple[str, ...]:
        """What was found and done, a line each."""
        return self._judged[1]

    @functools.cached_property
    def _sample(self) -> Tensor:
        spans = self.survey.spans
        audio = torch.from_numpy(np.concatenate([self._read(*span) for span in spans])) * self.scale
        places, begin = [], 0
        for first, last in spans:
            places.append((begin, begin + last - first))
            begin += last - first
        return join(audio, places, self._spec.sample_rate)

    @functools.cached_property
    def sample(self) -> Tensor:
        """One minute of the source (N,), screened."""
        return denoised(self._sample, self._spec) if self._judged[0] else self._sample

    @property
    def loudness(self) -> float:
        """Mean square of the speech, before the samples were scaled."""
        return speech_power(self.sample.numpy(), self._spec.sample_rate) / self.scale**2

    @property
    def blocks(self) -> int:
        """How many blocks there are."""
        return math.ceil(self.survey.length / self.size)

    def block(self, index: int) -> Tensor:
        """Samples (n,) of one block, screened."""
        begin, end = index * self.size, min((index + 1) * self.size, self.survey.length)
        if not self._judged[0]:
            return torch.from_numpy(self._read(begin, end)) * self.scale
        first, mine = self._cleaned(index)
        audio = mine[begin - first : end - first].clone()
        if index:
            before, earlier = self._cleaned(index - 1)
            tail = earlier[begin - before :][: self._overlap // 2]
            slope = torch.linspace(0, 1, len(tail))[: len(audio)]
            audio[: len(slope)] = tail[: len(slope)] * (1 - slope) + audio[: len(slope)] * slope
        return audio

    def _clean(self, index: int) -> tuple[int, Tensor]:
        """A block with what overlaps its neighbours, denoised, and the place of its first sample."""
        first = max(index * self.size - self._overlap, 0)
        audio = torch.from_numpy(self._read(first, (index + 1) * self.size + self._overlap)) * self.scale
        return first, denoised(audio, self._spec)


def _spread(powers: list[float], piece: int, length: int, most: int) -> tuple[Span, ...]:
    """Spans of pieces whose power is not far below the mean, spread evenly, ``most`` samples at most."""
    mean = sum(powers) / len(powers)
    active = [index for index, power in enumerate(powers) if power >= ACTIVE * mean]
    count = min(most // piece, len(active))
    chosen = sorted({active[round(place)] for place in np.linspace(0, len(active) - 1, count)})
    merged: list[Span] = []
    for index in chosen:
        begin, end = index * piece, min((index + 1) * piece, length)
        if merged and merged[-1][1] == begin:
            merged[-1] = (merged[-1][0], end)
        else:
            merged.append((begin, end))
    return tuple(merged)
