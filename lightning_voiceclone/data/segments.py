"""Crops of recordings: which ones an epoch visits, in an order that follows from the seed, and reading them."""

import math
import random
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from lightning_voiceclone.audio.recordings import read_audio
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.data.manifest import Utterance
from lightning_voiceclone.spec import AudioSpec

FULL_SCALE = 32768.0  # of 16-bit samples


@dataclass(frozen=True)
class Draw:
    """One crop to be made: of which utterance, and where; ``frame`` None is drawn from the seed."""

    index: int
    seed: int
    frame: int | None = None


@dataclass(frozen=True)
class Grid:
    """Lengths of crops, in frames of ``spec``."""

    spec: AudioSpec
    segment: int
    reference: int  # 0 where nobody listens to references
    margin: int

    def frames(self, utterance: Utterance) -> int:
        """Whole frames of an utterance."""
        return int((utterance.end - utterance.start) * self.spec.sample_rate) // self.spec.hop_length


class Recordings:
    """Mono samples of utterances at one rate; kept in memory as 16-bit numbers while there is room.

    Args:
        utterances: that may be asked for.
        root: folder to which their paths are relative.
        sample_rate: in Hz.
        megabytes: room for utterances that were read before.
    """

    def __init__(self, utterances: Sequence[Utterance], root: Path, sample_rate: int, megabytes: float) -> None:
        self.utterances = utterances
        self.root = root
        self.sample_rate = sample_rate
        self._room = int(megabytes * 1e6)
        self._kept: dict[int, NDArray[np.int16]] = {}

    def read(self, index: int, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Samples from ``start`` to ``stop`` (the utterance's end if None) in [-1, 1]; fewer where it ends before."""
        kept = self._kept.get(index)
        utterance = self.utterances[index]
        if kept is None and 2 * utterance.seconds * self.sample_rate <= self._room:
            whole = self._decode(utterance, utterance.start, utterance.end)
            kept = (whole * FULL_SCALE).round().clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
            self._room -= kept.nbytes
            self._kept[index] = kept
        if kept is not None:
            return kept[start:stop].astype(np.float32) / FULL_SCALE
        end = utterance.end if stop is None else min(utterance.start + stop / self.sample_rate, utterance.end)
        return self._decode(utterance, utterance.start + start / self.sample_rate, end)

    def _decode(self, utterance: Utterance, start: float, end: float) -> NDArray[np.float32]:
        speed = utterance.speed
        rate = round(self.sample_rate / speed)
        return read_audio(self.root / utterance.path, rate, start=start * speed, end=end * speed)[0]


class SegmentDataset(Dataset[Any]):
    """Crops by :class:`Draw`, each with a reference crop of the same speaker.

    Args:
        recordings: where samples come from.
        grid: lengths.
        features: gives the stored features (F, T) of an utterance in the extractor's units, or None to compute them
            from the crop in training.
        elsewhere: how often a reference is taken from another utterance of the speaker, where there is one.
    """

    def __init__(
        self,
        recordings: Recordings,
        grid: Grid,
        features: Callable[[Utterance], NDArray[np.float32]] | None = None,
        elsewhere: float = 0.5,
    ) -> None:
        self.recordings = recordings
        self.grid = grid
        self.features = features
        self.elsewhere = elsewhere
        self._by_speaker = defaultdict(list)
        for index, utterance in enumerate(recordings.utterances):
            self._by_speaker[utterance.speaker].append(index)

    def __len__(self) -> int:
        return len(self.recordings.utterances)

    def __getitem__(self, draw: Draw) -> dict[str, Any]:
        rng = random.Random(draw.seed)
        utterance = self.recordings.utterances[draw.index]
        total = self.grid.frames(utterance)
        last = max(total - self.grid.segment, 0)
        begin = min(draw.frame, last) if draw.frame is not None else rng.randint(0, last)
        length = min(self.grid.segment, total)
        reference, reference_length = self._reference(draw.index, begin, length, rng)
        item = {
            "audio": self._crop(draw.index, begin, self.grid.segment, self.grid.margin),
            "length": length,
            "reference": reference,
            "reference_length": reference_length,
            "bandwidth": np.float32(utterance.bandwidth_hz),
            "name": f"{utterance.name}@{begin / self.grid.spec.frame_rate:.2f}",
        }
        if self.features is not None:
            stored = np.asarray(self.features(utterance)[:, begin : begin + self.grid.segment], dtype=np.float32)
            item["features"] = np.pad(stored, ((0, 0), (0, self.grid.segment - stored.shape[1])))
        return item

    def _reference(self, index: int, begin: int, length: int, rng: random.Random) -> tuple[NDArray[np.float32], int]:
        """A crop of another utterance of the speaker, or of this one apart from the source."""
        wanted = self.grid.reference
        if wanted == 0:
            return np.zeros(0, np.float32), 0
        others = [other for other in self._by_speaker[self.recordings.utterances[index].speaker] if other != index]
        if others and rng.random() < self.elsewhere:
            index = rng.choice(others)
            total = self.grid.frames(self.recordings.utterances[index])
            start, size = rng.randint(0, max(total - wanted, 0)), min(wanted, total)
        else:
            total = self.grid.frames(self.recordings.utterances[index])
            start, size = _apart(begin, length, total, wanted, rng)
        crop = self._crop(index, start, size, 0)
        return np.pad(crop, (0, (wanted - size) * self.grid.spec.hop_length)), size

    def _crop(self, index: int, begin: int, frames: int, margin: int) -> NDArray[np.float32]:
        """Frames of samples with margins: mirrored at the utterance's ends, then zeros where it is too short."""
        hop = self.grid.spec.hop_length
        end = self.grid.frames(self.recordings.utterances[index]) * hop
        start, stop = (begin - margin) * hop, (begin + frames + margin) * hop
        left, right = max(-start, 0), min(max(stop - end, 0), margin * hop)
        piece = self.recordings.read(index, max(start, 0), min(stop, end))
        if left or right:
            mode: Any = "reflect" if len(piece) > max(left, right) else "constant"
            piece = np.pad(piece, (left, right), mode=mode)
        return np.pad(piece, (0, stop - start - len(piece)))


def _apart(begin: int, length: int, total: int, wanted: int, rng: random.Random) -> tuple[int, int]:
    """Start and size of a crop that does not overlap [begin, begin + length), as near to ``wanted`` as there is room.

    Where neither side has room for half a crop, the whole of the recording serves.
    """
    left, right = begin, total - begin - length
    sides = [side for side in (("left", left), ("right", right)) if side[1] >= wanted]
    if not sides:
        name, room = max(("left", left), ("right", right), key=lambda side: side[1])
        if room < max(wanted // 2, 1):
            return 0, min(wanted, total)
        return (0 if name == "left" else begin + length), room
    # A place on either side is as likely as any other place.
    places = [room - wanted + 1 for _, room in sides]
    name, room = rng.choices(sides, weights=places)[0]
    return rng.randint(0, room - wanted) + (0 if name == "left" else begin + length), wanted


def collate(items: Sequence[dict[str, Any]], margin: int) -> Batch:
    """Items of :class:`SegmentDataset` as a batch."""

    def stacked(key: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([item[key] for item in items]))

    return Batch(
        audio=stacked("audio"),
        lengths=stacked("length"),
        reference=stacked("reference"),
        reference_lengths=stacked("reference_length"),
        names=[item["name"] for item in items],
        margin=margin,
        bandwidth=stacked("bandwidth"),
        features=stacked("features") if "features" in items[0] else None,
    )


class SegmentSampler(Sampler[list[Draw]]):
    """Batches of draws. In training an utterance is visited once for each segment that it has room for.

    The order and the crops follow from the seed and the epoch alone, so that an epoch can be entered anywhere.

    Args:
        counts: segments of each utterance.
        batch_size: draws a batch, in each process.
        seed: of order and crops.
        rank: of this process.
        world_size: number of processes; each gets its own share of every epoch.
        segment: frames of a segment where crops are to lie on a fixed grid, in order (evaluation); None to draw them.
        speakers: of each utterance, where ``most`` limits them.
        most: segments of one speaker in an epoch, drawn anew in each; None for all.
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
    ) -> None:
        self.ends = np.cumsum(counts)
        self.most = most
        self.total = int(self.ends[-1])
        if most is not None:
            numbers = {name: number for number, name in enumerate(dict.fromkeys(speakers))}
            self.speaker = np.repeat([numbers[name] for name in speakers], counts)  # of each segment
            self.total = int(np.minimum(np.bincount(self.speaker), most).sum())
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
        mine = np.arange(self.rank, len(order), self.world_size)
        for batch in range(start, len(self)):
            chosen = mine[batch * self.batch_size : (batch + 1) * self.batch_size]
            if len(chosen):
                yield [self._draw(int(order[place]), int(seeds[place])) for place in chosen]

    def _drawn(self, total: int, rng: np.random.Generator) -> NDArray[np.int64]:
        """Numbers of segments in a drawn order, of each speaker the first ``most``."""
        order = rng.permutation(total)
        if self.most is None:
            return order
        by_speaker = np.argsort(self.speaker[order], kind="stable")
        counts = np.bincount(self.speaker)
        place = np.empty(total, np.int64)  # of each in the order of its speaker
        place[by_speaker] = np.arange(total) - np.repeat(np.cumsum(counts) - counts, counts)
        return order[place < self.most]

    def _draw(self, number: int, seed: int) -> Draw:
        index = int(np.searchsorted(self.ends, number, side="right"))
        if self.segment is None:
            return Draw(index, seed)
        first = int(self.ends[index - 1]) if index else 0
        return Draw(index, number, (number - first) * self.segment)


class ResumableLoader(DataLoader[Any]):
    """A DataLoader over a :class:`SegmentSampler` that counts its epochs, and can go on in the middle of one.

    Args:
        progress: gives the number of the epoch's batches that are done, when a checkpoint is written.
    """

    def __init__(self, *args: Any, progress: Callable[[], int], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress = progress
        self._begun = False

    @property
    def _sampler(self) -> SegmentSampler:
        assert isinstance(self.batch_sampler, SegmentSampler)
        return self.batch_sampler

    def __iter__(self) -> Iterator[Any]:  # type: ignore[override]
        """Batches of the next epoch. An iterator that nobody took a batch from has not been one."""
        if self._begun:
            self._sampler.epoch += 1
            self._begun = False
        for batch in super().__iter__():
            self._begun = True
            yield batch

    def state_dict(self) -> dict[str, int]:
        """Where the epoch stands."""
        batches = self._progress()
        finished = batches >= len(self._sampler)
        return {"epoch": self._sampler.epoch + finished, "batches": 0 if finished else batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration go on there."""
        self._sampler.epoch, self._sampler.start = state["epoch"], state["batches"]
