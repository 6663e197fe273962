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
    reference: int
    margin: int

    def frames(self, utterance: Utterance) -> int:
        """Whole frames of an utterance."""
        return int((utterance.end - utterance.start) * self.spec.sample_rate) // self.spec.hop_length


class Recordings:
    """Whole utterances as mono samples at one rate, kept in memory as 16-bit numbers while there is room.

    Args:
        utterances: that may be asked for.
        root: folder to which their paths are relative.
        sample_rate: in Hz.
        megabytes: room for samples that were read before.
    """

    def __init__(self, utterances: Sequence[Utterance], root: Path, sample_rate: int, megabytes: float) -> None:
        self.utterances = utterances
        self.root = root
        self.sample_rate = sample_rate
        self._room = int(megabytes * 1e6)
        self._kept: dict[int, NDArray[np.int16]] = {}

    def __getitem__(self, index: int) -> NDArray[Any]:
        """Samples (N,): 16-bit numbers where they are kept, else floating-point ones (see :func:`as_float`)."""
        if (kept := self._kept.get(index)) is None:
            utterance = self.utterances[index]
            audio, _ = read_audio(
                self.root / utterance.path, self.sample_rate, start=utterance.start, end=utterance.end
            )
            if self._room < 2 * len(audio):
                return audio
            kept = (audio * FULL_SCALE).round().clip(-FULL_SCALE, FULL_SCALE - 1).astype(np.int16)
            self._room -= kept.nbytes
            self._kept[index] = kept
        return kept


def as_float(samples: NDArray[Any]) -> NDArray[np.float32]:
    """Samples in [-1, 1], from 16-bit numbers or as they are."""
    return samples.astype(np.float32) / FULL_SCALE if samples.dtype == np.int16 else samples


class SegmentDataset(Dataset[Any]):
    """Crops by :class:`Draw`, each with a reference crop of the same speaker.

    Args:
        recordings: where samples come from.
        grid: lengths.
        features: gives the stored features (F, T) of an utterance in the extractor's units, or None to compute them
            from the crop in training.
    """

    def __init__(
        self,
        recordings: Recordings,
        grid: Grid,
        features: Callable[[Utterance], NDArray[np.float32]] | None = None,
    ) -> None:
        self.recordings = recordings
        self.grid = grid
        self.features = features
        self.speakers = sorted({u.speaker for u in recordings.utterances})
        self._speaker_index = {name: number for number, name in enumerate(self.speakers)}
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
        hop = self.grid.spec.hop_length
        item = {
            "audio": _crop(self.recordings[draw.index], begin, self.grid.segment, hop, self.grid.margin),
            "length": length,
            "reference": reference,
            "reference_length": reference_length,
            "speaker": self._speaker_index[utterance.speaker],
            "name": f"{Path(utterance.path).stem}@{utterance.start + begin / self.grid.spec.frame_rate:.2f}",
        }
        if self.features is not None:
            stored = np.asarray(self.features(utterance)[:, begin : begin + self.grid.segment], dtype=np.float32)
            item["features"] = np.pad(stored, ((0, 0), (0, self.grid.segment - stored.shape[1])))
        return item

    def _reference(self, index: int, begin: int, length: int, rng: random.Random) -> tuple[NDArray[np.float32], int]:
        """A crop of another utterance of the speaker, half of the time, else of this one apart from the source."""
        others = [other for other in self._by_speaker[self.recordings.utterances[index].speaker] if other != index]
        hop, wanted = self.grid.spec.hop_length, self.grid.reference
        if others and rng.random() < 0.5:
            index = rng.choice(others)
            total = self.grid.frames(self.recordings.utterances[index])
            start, size = rng.randint(0, max(total - wanted, 0)), min(wanted, total)
        else:
            total = self.grid.frames(self.recordings.utterances[index])
            start, size = _apart(begin, length, total, wanted, rng)
        return _crop(self.recordings[index], start, wanted, hop, 0)[: wanted * hop], size


def _apart(begin: int, length: int, total: int, wanted: int, rng: random.Random) -> tuple[int, int]:
    """Start and size of a crop that does not overlap [begin, begin + length), as near to ``wanted`` as there is room.

    Where neither side has room for half a crop, the whole of the recording serves.
    """
    left, right = begin, total - begin - length
    sides = [side for side in (("left", left), ("right", right)) if side[1] >= wanted]
    if not sides:
        name, room = max(("left", left), ("right", right), key=lambda side: side[1])
        if room < wanted // 2:
            return 0, min(wanted, total)
        return (0 if name == "left" else begin + length), room
    # A place on either side is as likely as any other place.
    places = [room - wanted + 1 for _, room in sides]
    name, room = rng.choices(sides, weights=places)[0]
    return rng.randint(0, room - wanted) + (0 if name == "left" else begin + length), wanted


def _crop(audio: NDArray[Any], begin: int, frames: int, hop: int, margin: int) -> NDArray[np.float32]:
    """Frames of samples with margins: mirrored at the recording's ends, then zeros where it is too short."""
    start, stop = (begin - margin) * hop, (begin + frames + margin) * hop
    left = max(-start, 0)
    end = len(audio) // hop * hop
    right = min(max(stop - end, 0), margin * hop)
    piece = as_float(audio[max(start, 0) : min(stop, end)])
    if left or right:
        mode: Any = "reflect" if len(piece) > max(left, right) else "constant"
        piece = np.pad(piece, (left, right), mode=mode)
    return np.pad(piece, (0, stop - start - len(piece)))


def collate(items: Sequence[dict[str, Any]], margin: int) -> Batch:
    """Items of :class:`SegmentDataset` as a batch."""

    def stacked(key: str) -> torch.Tensor:
        return torch.from_numpy(np.stack([item[key] for item in items]))

    return Batch(
        audio=stacked("audio"),
        lengths=stacked("length"),
        reference=stacked("reference"),
        reference_lengths=stacked("reference_length"),
        speakers=stacked("speaker"),
        names=[item["name"] for item in items],
        margin=margin,
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
    ) -> None:
        self.counts = counts
        self.batch_size = batch_size
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.segment = segment
        self.epoch = 0
        self.start = 0
        self.sampler = self  # Lightning calls set_epoch of a batch sampler's sampler

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration gives."""
        self.epoch = epoch

    def __len__(self) -> int:
        total = sum(self.counts)
        if self.segment is None:
            return max(total // (self.batch_size * self.world_size), 1)
        return math.ceil(total / (self.batch_size * self.world_size))

    def __iter__(self) -> Iterator[list[Draw]]:
        draws = [(index, place) for index, count in enumerate(self.counts) for place in range(count)]
        start, self.start = self.start, 0
        rng = random.Random(f"{self.seed}:{self.epoch}")
        if self.segment is None:
            rng.shuffle(draws)
        seeds = [rng.getrandbits(48) for _ in draws] if self.segment is None else range(len(draws))
        made = [Draw(index, seed, None if self.segment is None else place * self.segment)
                for (index, place), seed in zip(draws, seeds, strict=True)]  # fmt: skip
        need = len(self) * self.batch_size * self.world_size
        if self.segment is None:
            made = (made * -(-need // len(made)))[:need]
        mine = made[self.rank :: self.world_size]
        for batch in range(start, len(self)):
            if chosen := mine[batch * self.batch_size : (batch + 1) * self.batch_size]:
                yield chosen


class ResumableLoader(DataLoader[Any]):
    """A DataLoader over a :class:`SegmentSampler` that can go on in the middle of an epoch.

    Args:
        progress: gives the epoch and the number of its batches that are done, when a checkpoint is written.
    """

    def __init__(self, *args: Any, progress: Callable[[], tuple[int, int]], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._progress = progress

    def state_dict(self) -> dict[str, int]:
        """Where the epoch stands."""
        epoch, batches = self._progress()
        return {"epoch": epoch, "batches": batches}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Let the next iteration go on there."""
        sampler = self.batch_sampler
        assert isinstance(sampler, SegmentSampler)
        finished = state["batches"] >= len(sampler)
        sampler.set_epoch(state["epoch"] + finished)
        sampler.start = 0 if finished else state["batches"]
