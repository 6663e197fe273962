"""Crops of recordings, each with a reference of the same speaker."""

import logging
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.data.audio_store import FULL_SCALE, AudioStore, quantize
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.data.manifest import MOST_MISSING_SECONDS
from lightning_voiceclone.data.sampling import Draw
from lightning_voiceclone.data.utterances import Utterance, Utterances
from lightning_voiceclone.errors import RecordingError

logger = logging.getLogger(__name__)
TRIES = 20  # draws in place of one whose recording cannot be read
MOST_UNREADABLE, SHARE_UNREADABLE = 10, 0.01  # recordings; with more of them, and of all, a training ends


@dataclass(frozen=True)
class Grid:
    """Lengths of crops, in frames of ``spec``."""

    spec: AudioSpec
    segment: int
    reference: int  # 0 for a model that uses no references
    margin: int

    def samples(self, utterance: Utterance) -> int:
        """Samples of an utterance."""
        return round((utterance.end - utterance.start) * self.spec.sample_rate)

    def frames(self, utterance: Utterance) -> int:
        """Whole frames of an utterance."""
        return self.samples(utterance) // self.spec.hop_length

    def all_frames(self, utterances: Utterances) -> NDArray[np.int64]:
        """Whole frames (N,) of each of many."""
        return np.asarray(np.rint(utterances.seconds * self.spec.sample_rate).astype(np.int64) // self.spec.hop_length)

    def holds(self, utterance: Utterance) -> bool:
        """Whether a crop holds the whole utterance."""
        return self.frames(utterance) <= self.segment


class Recordings:
    """Mono samples of utterances at one rate, cached in memory as 16-bit numbers up to a limit.

    Args:
        utterances: utterances by index.
        store: of their samples, by path.
        sample_rate: in Hz.
        megabytes: size of the cache.
    """

    def __init__(self, utterances: Sequence[Utterance], store: AudioStore, sample_rate: int, megabytes: float) -> None:
        self.utterances = utterances
        self.store = store
        self.sample_rate = sample_rate
        self._free = int(megabytes * 1e6)  # bytes
        self._kept: dict[int, NDArray[np.int16]] = {}

    def read(self, index: int, start: int = 0, stop: int | None = None) -> NDArray[np.float32]:
        """Samples from ``start`` to ``stop`` (the utterance's end if None) in [-1, 1]; fewer where it ends before.

        Raises:
            RecordingError: if it cannot be read; has the index.
        """
        try:
            return self._read(index, start, stop)
        except RecordingError as error:
            error.index = index
            raise

    def _read(self, index: int, start: int, stop: int | None) -> NDArray[np.float32]:
        kept = self._kept.get(index)
        utterance = self.utterances[index]
        size = 2 * utterance.seconds * self.sample_rate
        if kept is None and size <= self._free and not self._is_decoded(utterance):
            kept = self._decode(utterance, utterance.start, utterance.end)
            self._free -= kept.nbytes
            self._kept[index] = kept
        if kept is not None:
            return kept[start:stop].astype(np.float32) / FULL_SCALE
        rate = round(self.sample_rate / utterance.speed) * utterance.speed  # of what is decoded, rounded to whole Hz
        end = utterance.end if stop is None else min(utterance.start + stop / rate, utterance.end)
        piece = self._decode(utterance, utterance.start + start / rate, end)
        return piece[: None if stop is None else stop - start].astype(np.float32) / FULL_SCALE

    def _is_decoded(self, utterance: Utterance) -> bool:
        return self.store.decoded and utterance.rate == round(self.sample_rate / utterance.speed)

    def _decode(self, utterance: Utterance, start: float, end: float) -> NDArray[np.int16]:
        """16-bit samples, cached or not, so that the result does not depend on what was read before."""
        speed = utterance.speed
        rate = round(self.sample_rate / speed)
        audio = self.store.read(utterance.path, rate, start * speed, end * speed)
        if (missing := (end - start) * speed - len(audio) / rate) > MOST_MISSING_SECONDS:
            raise RecordingError(
                f"{utterance.path}: truncated: {missing:.2f} s are missing before {end * speed:.2f} s, its end in the"
                " manifest; restore the file, or prepare the recordings again (lvc prepare)"
            )
        return quantize(audio)


class SegmentDataset(Dataset[Any]):
    """Crops by :class:`Draw`, each with a reference crop of the same speaker.

    In training another recording is drawn in place of one that cannot be read. It follows from the draw's seed alone,
    and a warning names the one that could not. Where many cannot be read, the error is raised; so is it on the fixed
    grid of an evaluation, whose figures would be of other crops.

    Args:
        recordings: source of the samples.
        grid: lengths.
        features: returns the stored features (F, T) of an utterance in the extractor's units; None to compute them
            from the crop in training.
        elsewhere: probability that a reference is from another utterance of the speaker, where there is one.
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
        utterances = Utterances.of(recordings.utterances)
        self._voice = utterances.voices
        self._by_voice = np.argsort(self._voice, kind="stable")
        self._first = np.searchsorted(self._voice[self._by_voice], np.arange(self._voice.max(initial=-1) + 2))
        self._unreadable: set[int] = set()
        self._parallels = _parallels(utterances) if utterances.has_parallels else {}

    def __len__(self) -> int:
        return len(self.recordings.utterances)

    def of_speaker(self, speaker: str) -> NDArray[np.int64]:
        """Indices (n,), in order, of the utterances of a speaker, as batches name one; none if it is not here."""
        first = self._by_voice[self._first[:-1]]
        voices = [voice for voice, index in enumerate(first) if self.recordings.utterances[index].speaker == speaker]
        begin, end = (self._first[voices[0]], self._first[voices[0] + 1]) if voices else (0, 0)
        return self._by_voice[begin:end]

    def __getitem__(self, draw: Draw) -> dict[str, Any] | None:
        """The item of a draw; None where it is of one speaker alone, and cannot be read.

        Raises:
            RecordingError: if 20 draws cannot be read one after the other, or more than 10 recordings and 1% of all;
                if the draw has a frame, and cannot be read.
        """
        if draw.frame is not None:
            return self._item(draw)
        if draw.unit is not None:
            return self._own_item(draw)
        other = random.Random(f"instead of {draw.seed}")
        for _ in range(TRIES):
            try:
                return self._item(draw)
            except RecordingError as error:
                # It may be the reference or the parallel recording that cannot be read.
                self._pass_over(draw.index if error.index is None else error.index, error)
                failed, frames = error, draw.frames
                draw = Draw(other.randrange(len(self)), other.randrange(2**48), frames=frames)
        raise failed

    def _own_item(self, draw: Draw) -> dict[str, Any] | None:
        try:
            return self._item(draw) | {"unit": draw.unit}
        except RecordingError as error:
            self._pass_over(draw.index if error.index is None else error.index, error, "its crop left out")
            return None

    def _pass_over(
        self, index: int, error: RecordingError, instead: str = "another recording used in its place"
    ) -> None:
        """Warn of a recording that cannot be read, once in each process.

        Raises:
            RecordingError: if there are too many.
        """
        if index in self._unreadable:
            return
        self._unreadable.add(index)
        if len(self._unreadable) > max(MOST_UNREADABLE, SHARE_UNREADABLE * len(self)):
            raise RecordingError(f"{len(self._unreadable)} of {len(self)} recordings cannot be read; the last: {error}")
        logger.warning("passed over, and %s: %s", instead, error)

    def _item(self, draw: Draw) -> dict[str, Any]:
        rng = random.Random(draw.seed)
        utterance = self.recordings.utterances[draw.index]
        grid = self.grid if draw.frames is None else replace(self.grid, segment=draw.frames)
        total = grid.frames(utterance)
        last = max(total - grid.segment, 0)
        begin = min(draw.frame, last) if draw.frame is not None else rng.randint(0, last)
        length = min(grid.segment, total)
        other, start, size = self._reference(draw.index, begin, length, rng)
        missing = self.grid.reference - size
        item = {
            "audio": self._crop(draw.index, begin, grid.segment, grid.margin),
            "length": length,
            "reference": np.pad(self._crop(other, start, size, 0), (0, missing * self.grid.spec.hop_length)),
            "reference_length": size,
            "bandwidth": np.float32(utterance.bandwidth_hz),
            "reference_bandwidth": np.float32(self.recordings.utterances[other].bandwidth_hz),
            "name": f"{utterance.name}@{begin / self.grid.spec.frame_rate:.2f}",
            "speaker": utterance.speaker,
            "style": utterance.style,
            "text": utterance.text if grid.holds(utterance) else "",
        }
        if self._parallels:
            parallel = self._parallels.get(draw.index, draw.index)
            item["parallel"] = self._crop(parallel, begin, grid.segment, grid.margin)
        if self.features is not None:
            stored = np.asarray(self.features(utterance)[:, begin : begin + grid.segment], dtype=np.float32)
            item["features"] = np.pad(stored, ((0, 0), (0, grid.segment - stored.shape[1])))
        return item

    def _reference(self, index: int, begin: int, length: int, rng: random.Random) -> tuple[int, int, int]:
        """Utterance, first frame and number of frames of a reference crop: another recording, or this one elsewhere."""
        wanted = self.grid.reference
        if wanted == 0:
            return index, 0, 0
        first, last = self._first[self._voice[index] : self._voice[index] + 2]
        same = self._by_voice[first:last]  # in order
        if len(same) > 1 and rng.random() < self.elsewhere:
            chosen = rng.choice(range(len(same) - 1))  # of those without this one
            index = int(same[chosen + (chosen >= np.searchsorted(same, index))])
            total = self.grid.frames(self.recordings.utterances[index])
            return index, rng.randint(0, max(total - wanted, 0)), min(wanted, total)
        total = self.grid.frames(self.recordings.utterances[index])
        return index, *_apart(begin, length, total, wanted, rng)

    def _crop(self, index: int, begin: int, frames: int, margin: int) -> NDArray[np.float32]:
        """Samples of frames with margins: mirrored at the utterance's ends, then zero-padded where it is too short."""
        if not frames:  # no reference is needed; a file has no segment without samples
            return np.zeros(0, dtype=np.float32)
        hop = self.grid.spec.hop_length
        end = self.grid.samples(self.recordings.utterances[index])
        start, stop = (begin - margin) * hop, (begin + frames + margin) * hop
        left, right = max(-start, 0), min(max(stop - end, 0), margin * hop)
        piece = self.recordings.read(index, max(start, 0), min(stop, end))
        if left or right:
            mode: Any = "reflect" if len(piece) > max(left, right) else "constant"
            piece = np.pad(piece, (left, right), mode=mode)
        return np.pad(piece, (0, stop - start - len(piece)))


def _parallels(utterances: Sequence[Utterance]) -> dict[int, int]:
    """Index of the parallel utterance by index, where it is in the list at the same speed."""
    places = {(u.path, u.start, u.speed): index for index, u in enumerate(utterances)}
    found = {index: places.get((u.parallel, u.start, u.speed)) for index, u in enumerate(utterances) if u.parallel}
    return {index: parallel for index, parallel in found.items() if parallel is not None}


def _apart(begin: int, length: int, total: int, wanted: int, rng: random.Random) -> tuple[int, int]:
    """Start and size of a crop that does not overlap [begin, begin + length), of ``wanted`` frames if these fit.

    Where not even half of them fit on either side, the crop is taken from the whole recording.
    """
    left, right = begin, total - begin - length
    sides = [side for side in (("left", left), ("right", right)) if side[1] >= wanted]
    if not sides:
        name, size = max(("left", left), ("right", right), key=lambda side: side[1])
        if size < max(wanted // 2, 1):
            return 0, min(wanted, total)
        return (0 if name == "left" else begin + length), size
    # All places on both sides are equally likely.
    places = [size - wanted + 1 for _, size in sides]
    name, size = rng.choices(sides, weights=places)[0]
    return rng.randint(0, size - wanted) + (0 if name == "left" else begin + length), wanted


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
        reference_bandwidth=stacked("reference_bandwidth"),
        parallel=stacked("parallel") if "parallel" in items[0] else None,
        texts=[item["text"] for item in items],
        speakers=[item["speaker"] for item in items],
        styles=[item["style"] for item in items],
        features=stacked("features") if "features" in items[0] else None,
    )
