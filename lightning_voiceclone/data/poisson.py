"""Batches of speakers, each of whom is in a batch or not, independently of the others (Poisson sampling)."""

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.data.sampling import Draw, Growth, SegmentSampler
from lightning_voiceclone.data.segments import collate
from lightning_voiceclone.utils.counter_random import counted

DRAWS = 2  # stream of the key's numbers; 0 and 1 are the noise of the two networks


@dataclass(frozen=True)
class UnitSampling:
    """How the speakers of a batch are drawn.

    Args:
        key: of the draws; secret, since who is in a batch must not be known.
        probability: with which a speaker is in a batch.
        crops: of each speaker in it.
    """

    key: int
    probability: float
    crops: int


class SpeakerSampler(SegmentSampler):
    """Batches in which each speaker is with the same probability, with so many crops of their recordings.

    A batch may have any number of speakers, none too. It follows from the key and the batch's number alone. Epochs have
    as many batches as those of :class:`SegmentSampler`.

    Args:
        counts: segments of each utterance.
        units: number of the speaker of each utterance, from 0.
        sampling: probability and crops.
        batch_size: expected crops of a batch.
        growth: of the crops' length.
    """

    def __init__(
        self,
        counts: NDArray[np.int64],
        units: NDArray[np.int64],
        sampling: UnitSampling,
        batch_size: int,
        growth: Growth,
    ) -> None:
        super().__init__(counts, batch_size, 0, growth=growth)
        self.sampling = sampling
        of_segment = np.repeat(units, counts)
        self._by_unit = np.argsort(of_segment, kind="stable")
        self._first = np.searchsorted(of_segment[self._by_unit], np.arange(units.max() + 2))

    def __iter__(self) -> Iterator[list[Draw]]:
        start, self.start = self.start, 0
        for batch in range(start, len(self)):
            yield self._batch(self.before + batch)

    def _batch(self, number: int) -> list[Draw]:
        rng = counted(self.sampling.key, number, DRAWS)
        frames = None if self.growth.frames is None else self.growth.frames(number)
        there = np.flatnonzero(rng.random(len(self._first) - 1) < self.sampling.probability)
        made = []
        for unit in np.repeat(there, self.sampling.crops):
            segment = int(self._by_unit[rng.integers(self._first[unit], self._first[unit + 1])])
            index = int(np.searchsorted(self.ends, segment, side="right"))
            made.append(Draw(index, int(rng.integers(2**48)), frames=frames, unit=int(unit)))
        return made


def collate_units(items: Sequence[dict[str, Any] | None], margin: int) -> list[Batch]:
    """A batch for each speaker; items that could not be read, which are None, are left out."""
    there = [item for item in items if item is not None]
    groups = itertools.groupby(there, key=lambda item: item["unit"])
    return [collate(list(group), margin) for _, group in groups]
