"""Sampling of crops for an epoch, in an order that follows from the seed, and resuming within an epoch."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler


@dataclass(frozen=True)
class Draw:
    """One crop to read: index of the utterance, and first frame; ``frame`` None is drawn from the seed."""

    index: int
    seed: int
    frame: int | None = None


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
        speakers: speaker of each utterance, needed with ``most`` or ``shares``.
        most: maximum number of segments of one speaker in an epoch, drawn anew in each; None for all.
        shares: sampling weight of each utterance, above 0 and at most 1; empty for 1 each. A speaker has as many
            segments in an epoch as the weights of their segments add up to, at least one.
    """

    def __init__(
        self,
        counts: Sequence[int],
        batch_size: int,
        seed: int,
        *,
        rank: int = 0,
        world_size: int = 1,
        segment: int | None = None,
        speakers: Sequence[str] = (),
        most: int | None = None,
        shares: Sequence[float] = (),
    ) -> None:
        self.ends = np.cumsum(counts)
        self.total = int(self.ends[-1])
        self.shares = np.repeat(np.asarray(shares, float), counts) if len(shares) else None  # of each segment
        self.most: NDArray[np.int64] | None = None  # of each speaker
        if most is not None or self.shares is not None:
            numbers = {name: number for number, name in enumerate(dict.fromkeys(speakers))}
            self.speaker = np.repeat([numbers[name] for name in speakers], counts)  # of each segment
            weighted = np.maximum(np.bincount(self.speaker, self.shares).round().astype(np.int64), 1)
            self.most = weighted if most is None else np.minimum(weighted, most)
            self.total = int(self.most.sum())
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.segment = segment
        self.epoch = 0
        self.start = 0

    def __len__(self) -> int:
        batches = self.total / (self.batch_size * self.world_size)
        return max(int(batches), 1) if self.segment is None else math.ceil(batches)

    def __iter__(self) -> Iterator[list[Draw]]:
        total, start, self.start = int(self.ends[-1]), self.start, 0
        rng = np.random.default_rng([self.seed, self.epoch])
        need = len(self) * self.batch_size * self.world_size
        # Numbers of segments, not objects: a large corpus has millions.
        order = np.arange(total) if self.segment is not None else np.resize(self._drawn(total, rng), need)
        seeds = rng.integers(2**48, size=len(order))
        # A process without any would not take part in the reduction of metrics, for which the others wait.
        mine = np.arange(self.rank % len(order), len(order), self.world_size)
        for batch in range(start, len(self)):
            chosen = mine[batch * self.batch_size : (batch + 1) * self.batch_size]
            if len(chosen):
                yield [self._draw(int(order[place]), int(seeds[place])) for place in chosen]

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

    def _draw(self, number: int, seed: int) -> Draw:
        index = int(np.searchsorted(self.ends, number, side="right"))
        if self.segment is None:
            return Draw(index, seed)
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
        """Batches of the next epoch. Iterators that never yielded a batch do not count as an epoch."""
        if self._begun:
            self._sampler.epoch += 1
            self._begun = False
        for batch in super().__iter__():
            self._begun = True
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Epoch and batch at which to resume."""
        batches, wanted = self._progress()
        finished = batches >= min(wanted, len(self._sampler))
        return {"epoch": self._sampler.epoch + finished, "batches": 0 if finished else batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Resume there with the next iteration."""
        self._sampler.epoch, self._sampler.start = state["epoch"], state["batches"]
