"""Sampling of crops for an epoch, in an order that follows from the seed, and resuming within an epoch."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from lightning_voiceclone.errors import LVCError


@dataclass(frozen=True)
class Draw:
    """One crop to read: index of the utterance, first frame and length.

    ``frame`` None is drawn from the seed; ``frames`` None is the length of the dataset's grid. ``unit`` is the number
    of the speaker where crops must be of one alone: nothing is then read in place of a recording that cannot be read.
    """

    index: int
    seed: int
    frame: int | None = None
    frames: int | None = None
    unit: int | None = None


@dataclass(frozen=True)
class Growth:
    """How crops change with the batches that were drawn before, over all epochs.

    Args:
        frames: length of the crops of a batch, by its number; None for always the same.
        share: share of the segments that a batch is drawn from, by its number: the first ones in a random order of
            speakers, in which those of a speaker are together. None for all.
    """

    frames: Callable[[int], int] | None = None
    share: Callable[[int], float] | None = None


class SegmentSampler(Sampler[list[Draw]]):
    """Batches of draws. In training an utterance is drawn once for each segment that fits into it.

    The order and the crops follow from the seed and the epoch alone, so that an epoch can be resumed anywhere.

    Args:
        counts: segments of each utterance.
        batch_size: draws a batch, in each process.
        seed: of order and crops.
        rank: of this process.
        world_size: number of processes; each gets its own share of every epoch.
        segment: frames of a segment for crops on a fixed grid, in order (evaluation); None to draw them.
        speakers: name or number of the speaker of each utterance, needed with ``most``, ``shares`` or a growing share.
        most: maximum number of segments of one speaker in an epoch, drawn anew in each; None for all.
        shares: sampling weight of each utterance, above 0 and at most 1; empty for 1 each. A speaker has as many
            segments in an epoch as the weights of their segments add up to, at least one.
        growth: of crops and of what they are drawn from.
    """

    def __init__(
        self,
        counts: Sequence[int] | NDArray[np.int64],
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        segment: int | None = None,
        speakers: Sequence[str] | NDArray[np.int64] = (),
        most: int | None = None,
        shares: Sequence[float] = (),
        growth: Growth = Growth(),
    ) -> None:
        self.ends = np.cumsum(counts)
        self.total = int(self.ends[-1])
        self.shares = np.repeat(np.asarray(shares, float), counts) if len(shares) else None  # of each segment
        self.most: NDArray[np.int64] | None = None  # of each speaker
        if most is not None or self.shares is not None:
            self.speaker = np.repeat(np.unique(speakers, return_inverse=True)[1], counts)  # of each segment
            weighted = np.maximum(np.bincount(self.speaker, self.shares).round().astype(np.int64), 1)
            self.most = weighted if most is None else np.minimum(weighted, most)
            self.total = int(self.most.sum())
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.segment = segment
        self.growth = growth
        self.epoch = 0
        self.start = 0
        self.before = 0  # batches of the epochs before
        if growth.share is not None:
            self._order(speakers, counts)

    def __len__(self) -> int:
        batches = self.total / (self.batch_size * self.world_size)
        return max(int(batches), 1) if self.segment is None else math.ceil(batches)

    def __iter__(self) -> Iterator[list[Draw]]:
        total, start, self.start = int(self.ends[-1]), self.start, 0
        rng = np.random.default_rng([self.seed, self.epoch])
        need = len(self) * self.batch_size * self.world_size
        # Numbers of segments, not objects: a large corpus has millions.
        drawn = np.arange(total) if self.segment is not None else self._drawn(total, rng)
        places = None if self.growth.share is None else np.sort(self.place[drawn])
        order = drawn if self.segment is not None else np.resize(drawn, need)
        seeds = rng.integers(2**48, size=len(order))
        # A process without any would not take part in the reduction of metrics, for which the others wait.
        mine = np.arange(self.rank % len(order), len(order), self.world_size)
        for batch in range(start, len(self)):
            chosen = mine[batch * self.batch_size : (batch + 1) * self.batch_size]
            if not len(chosen):
                continue
            numbers, number = order[chosen], self.before + batch
            if self.growth.share is not None and places is not None:
                numbers = self._among_first(numbers, seeds[chosen], self.growth.share(number), places)
            frames = None if self.growth.frames is None else self.growth.frames(number)
            yield [self._draw(int(one), int(seeds[place]), frames) for one, place in zip(numbers, chosen, strict=True)]

    def _order(self, speakers: Sequence[str] | NDArray[np.int64], counts: Sequence[int] | NDArray[np.int64]) -> None:
        """Order segments by a random order of speakers, and of the utterances of each."""
        rng = np.random.default_rng([self.seed, len(speakers)])
        drawn = {name: rng.random() for name in dict.fromkeys(speakers)}
        keys = rng.random(len(speakers)), np.array([drawn[name] for name in speakers])
        self.in_order = np.lexsort([np.repeat(key, counts) for key in keys])  # segments
        self.place = np.empty_like(self.in_order)  # of each segment in that order
        self.place[self.in_order] = np.arange(len(self.in_order))

    def _among_first(
        self, numbers: NDArray[np.int64], seeds: NDArray[np.int64], share: float, places: NDArray[np.int64]
    ) -> NDArray[np.int64]:
        """The segments, with others of the first share in place of those that are not among it.

        These are of the epoch's own segments, at ``places`` in ascending order, so that weights and limits hold.
        """
        most = max(round(share * len(self.in_order)), 1)
        there = max(int(np.searchsorted(places, most)), 1)
        return np.where(self.place[numbers] < most, numbers, self.in_order[places[seeds % there]])

    def _drawn(self, total: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Indices of segments in random order, at most the first ``most`` of each speaker."""
        # By u^(1/share) the first are drawn by their shares (Efraimidis and Spirakis 2006).
        shares = self.shares
        order = rng.permutation(total) if shares is None else np.argsort(-np.log(rng.random(total)) / shares)
        if self.most is None:
            return order
        by_speaker = np.argsort(self.speaker[order], kind="stable")
        counts = np.bincount(self.speaker)
        place = np.empty(total, np.int64)  # of each in the order of its speaker
        place[by_speaker] = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        kept = order[place < self.most[self.speaker[order]]]
        return kept if self.shares is None else rng.permutation(kept)

    def _draw(self, number: int, seed: int, frames: int | None) -> Draw:
        index = int(np.searchsorted(self.ends, number, side="right"))
        if self.segment is None:
            return Draw(index, seed, frames=frames)
        first = int(self.ends[index - 1]) if index else 0
        return Draw(index, number, (number - first) * self.segment)


class ResumableLoader(DataLoader[Any]):
    """A DataLoader over a :class:`SegmentSampler` that counts its epochs and can resume within one.

    Args:
        progress: returns the numbers of finished batches and of all batches of the epoch, for checkpoints.
    """

    def __init__(self, *args: Any, progress: Callable[[], tuple[int, float]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress = progress
        self._begun = False

    @property
    def _sampler(self) -> SegmentSampler:
        assert isinstance(self.batch_sampler, SegmentSampler)
        return self.batch_sampler

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches of the next epoch. Iterators that never yielded a batch do not count as an epoch.

        Raises:
            LVCError: as the dataset raises it, in a worker process too.
        """
        if self._begun:
            self._sampler.before += self._batches
            self._sampler.epoch += 1
            self._begun = False
        try:
            for batch in super().__iter__():
                self._begun = True
                yield batch
        except LVCError as error:
            lines = str(error).splitlines()
            if len(lines) == 1:
                raise
            # DataLoader puts the worker's traceback before the message, which is the last line, after its type.
            raise type(error)(lines[-1].partition(": ")[2]) from error

    @property
    def _batches(self) -> int:
        """Of an epoch, under the Trainer's limit."""
        return int(min(self._progress()[1], len(self._sampler)))

    def state_dict(self) -> dict[str, int]:
        """Epoch and batch at which to resume, and the batches of the epochs before."""
        batches = self._progress()[0]
        finished = batches >= self._batches
        return {"epoch": self._sampler.epoch + finished, "batches": 0 if finished else batches,
                "before": self._sampler.before + finished * self._batches}  # fmt: skip

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume there with the next iteration."""
        self._sampler.epoch, self._sampler.start = state["epoch"], state["batches"]
        self._sampler.before = state.get("before", state["epoch"] * len(self._sampler))
