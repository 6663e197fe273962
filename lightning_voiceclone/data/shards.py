"""Shards: recordings as 16-bit samples in few large files, which are mapped into memory; reading decodes nothing.

A shard is one recording after the other: its samples, padded to eight bytes, then a checksum of each block of them.
At its end are the rows of its recordings, and a :data:`TAIL`. The index has the rows of all shards, in order of their
keys. All numbers are little-endian.
"""

import hashlib
import mmap
import os
import zlib
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.audio.io import segment_of
from lightning_voiceclone.audio.mixdown import Mixdown
from lightning_voiceclone.data.audio_store import FULL_SCALE
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.utils.files import atomic_file, reason_of

SHARDS_NAME, INDEX_NAME = "shards", "index.bin"
AGAIN = "run the same lvc prepare again, which packs them anew"
MAGIC = b"LVCSHRD1"  # with the format's version
TAIL = np.dtype([("checksum", "<u4"), ("rows", "<u4"), ("magic", "S8")])
ROW = np.dtype([  # key and version are digests of the recording's path and of its file; begin is in samples
    ("key", "<u8"), ("version", "<u8"), ("shard", "<u4"), ("rate", "<u4"), ("begin", "<u8"), ("samples", "<u8"),
])  # fmt: skip
BLOCK = 8192  # samples of which there is a checksum
WORD = 4  # samples in eight bytes
# A checksum is the sum of the eight-byte words, each times a number of its own, modulo 2**64: several times as fast as
# a CRC. The numbers are odd, so that no change of a single word goes unnoticed.
FACTORS = np.random.default_rng(1).integers(2**63, size=BLOCK // WORD, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
SCALE, MONO = np.float32(1 / FULL_SCALE), Mixdown()


def key_of(path: str) -> int:
    """The key of a recording's path: 64 bits of its digest."""
    return int.from_bytes(hashlib.blake2b(path.encode(), digest_size=8).digest(), "little")


def shard_name(number: int) -> str:
    """File name of a shard."""
    return f"{number:05}.bin"


def checksums(samples: NDArray[np.int16]) -> NDArray[np.uint64]:
    """Checksums of the blocks of samples (n,), which are a multiple of :data:`WORD`."""
    words = samples.view(np.uint64)
    whole = len(words) // len(FACTORS) * len(FACTORS)
    sums = words[:whole].reshape(-1, len(FACTORS)) @ FACTORS
    rest = words[whole:]
    return np.append(sums, rest @ FACTORS[: len(rest)]) if len(rest) else sums


def padded(samples: Any) -> Any:
    """Samples with their padding, in samples."""
    return (samples + WORD - 1) // WORD * WORD  # of unsigned numbers too


def taken(samples: Any) -> Any:
    """Samples that a recording takes with its padding and its checksums, which are four samples long each."""
    return padded(samples) + (samples + BLOCK - 1) // BLOCK * WORD


def write_tail(rows: NDArray[Any]) -> bytes:
    """The end of a shard with these rows."""
    kept = np.ascontiguousarray(rows).tobytes()
    return kept + np.array((zlib.crc32(kept), len(rows), MAGIC), TAIL).tobytes()


def read_tail(path: Path) -> NDArray[Any] | None:
    """Rows of a shard's recordings; None if its end is damaged or missing."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            if size < TAIL.itemsize:
                return None
            file.seek(size - TAIL.itemsize)
            tail = np.frombuffer(file.read(TAIL.itemsize), TAIL)[0]
            before = size - TAIL.itemsize - int(tail["rows"]) * ROW.itemsize
            if tail["magic"] != MAGIC or before < 0:
                return None
            file.seek(before)
            kept = file.read(int(tail["rows"]) * ROW.itemsize)
    except OSError:
        return None
    rows = np.frombuffer(kept, ROW)
    right = zlib.crc32(kept) == tail["checksum"] and 2 * int(taken(rows["samples"]).sum()) == before
    return rows if right else None


def write_index(path: Path, rows: NDArray[Any]) -> None:
    """Write the index of rows, atomically.

    Raises:
        OSError: if it cannot be written.
    """
    with atomic_file(path) as temporary:
        temporary.write_bytes(MAGIC + np.sort(rows, order="key").tobytes())


class Recording:
    """Samples of a recording in a shard, as an open file has them: mono, and checked as they are read.

    Args:
        name: of it, for errors.
        shard: path of the shard, for errors.
        samples: (n,) of it, with its padding.
        sums: of its blocks.
        rate: in Hz.
        frames: its length in samples, without the padding.
    """

    channels = 1

    def __init__(
        self, name: str, shard: Path, samples: NDArray[np.int16], sums: NDArray[np.uint64], rate: int, frames: int
    ) -> None:
        self.name, self.shard, self.rate, self.frames = name, shard, rate, frames
        self._samples, self._sums = samples, sums

    def blocks(self, first: int, last: int | None = None) -> Iterator[NDArray[np.float32]]:
        """Samples (n, 1) from ``first`` to ``last`` or the end, in one block.

        Raises:
            RecordingError: as of :meth:`samples`.
        """
        last = self.frames if last is None else min(last, self.frames)
        if last > first:
            yield self.samples(first, last)[:, None]

    def samples(self, first: int, last: int) -> NDArray[np.float32]:
        """Samples (n,) from ``first`` to ``last``, which is after it and not after the end.

        Raises:
            RecordingError: if a block of them is not what was written; names the shard.
        """
        begin, end = first // BLOCK, -(-last // BLOCK)
        if (checksums(self._samples[begin * BLOCK : end * BLOCK]) != self._sums[begin:end]).any():
            raise RecordingError(
                f"{self.name}: {self.shard} is damaged: a checksum of this recording is wrong; remove that file and"
                f" {AGAIN}"
            )
        return self._samples[first:last] * SCALE


class ShardStore:
    """Recordings in shards.

    Args:
        folder: of the shards and their index.

    Raises:
        ConfigurationError: if there is no index, or it is none of this format.
    """

    decoded = True

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._index = _read_index(folder / INDEX_NAME)
        self._keys = np.ascontiguousarray(self._index["key"])
        self._maps: dict[int, mmap.mmap] = {}
        self._paths: dict[int, Path] = {}
        numbers, places = np.unique(self._index["shard"], return_inverse=True)
        sizes = np.array([_size(folder / shard_name(number)) for number in numbers])
        ends = self._index["begin"] + taken(self._index["samples"])
        self._lost = 2 * ends > sizes[places].astype(np.uint64) if len(numbers) else np.zeros(0, bool)
        self.faults = [self._fault(int(numbers[place]), int((places[self._lost] == place).sum()), int(sizes[place]))
                       for place in np.unique(places[self._lost])]  # fmt: skip

    def _fault(self, number: int, count: int, size: int) -> str:
        what = f"is truncated: it has {size} bytes" if size else "is missing"
        return f"{self.folder / shard_name(number)} {what}; {count} recording(s) are left out: {AGAIN}"

    def __getstate__(self) -> dict[str, Any]:
        return {**vars(self), "_maps": {}}  # of another process, which maps the files itself

    def has(self, name: str) -> bool:
        """Whether a recording is there, in a shard that is long enough."""
        return self._place(name) is not None

    def have(self, names: Iterable[str]) -> NDArray[np.bool_]:
        """As :meth:`has`, of many (N,)."""
        keys = np.fromiter(map(key_of, names), np.uint64)
        places = np.minimum(np.searchsorted(self._keys, keys), len(self._keys) - 1)
        return np.asarray((self._keys[places] == keys) & ~self._lost[places])

    def _place(self, name: str) -> int | None:
        key = np.uint64(key_of(name))
        place = int(np.searchsorted(self._keys, key))
        return place if place < len(self._keys) and self._keys[place] == key and not self._lost[place] else None

    def read(self, name: str, sample_rate: int, start: float, end: float) -> NDArray[np.float32]:
        """As :class:`~lightning_voiceclone.data.audio_store.AudioStore`.

        Raises:
            RecordingError: if it is not in the shards, or the segment is empty or damaged.
        """
        if (place := self._place(name)) is None:
            raise RecordingError(f"{name} is in no shard of {self.folder}; {AGAIN}")
        file = self._recording(name, place)
        first, last = round(start * sample_rate), min(round(end * sample_rate), file.frames)
        if sample_rate == file.rate and 0 <= first < last:
            return file.samples(first, last)
        audio, _ = segment_of(file, MONO, sample_rate, start, None if end * file.rate >= file.frames else end)
        if not len(audio):
            raise RecordingError(f"{name}: the segment begins at {start} s, where the recording has ended")
        return np.ascontiguousarray(audio, dtype=np.float32)

    def _recording(self, name: str, place: int) -> Recording:
        _, _, shard, rate, begin, count = self._index[place].item()
        if shard not in self._maps:
            self._paths[shard] = self.folder / shard_name(shard)
            try:
                with self._paths[shard].open("rb") as file:
                    self._maps[shard] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except OSError as error:
                raise RecordingError(f"{name}: {self._paths[shard]} cannot be read: {reason_of(error)}") from error
        mapped = self._maps[shard]
        samples = np.frombuffer(mapped, "<i2", padded(count), 2 * begin)
        sums = np.frombuffer(mapped, "<u8", -(-count // BLOCK), 2 * (begin + padded(count)))
        return Recording(name, self._paths[shard], samples, sums, rate, count)


def _read_index(path: Path) -> NDArray[Any]:
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            right = file.read(len(MAGIC)) == MAGIC
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be read: {reason_of(error)}; {AGAIN}") from error
    if not right or size == len(MAGIC) or (size - len(MAGIC)) % ROW.itemsize:
        raise ConfigurationError(f"{path} is no index of shards, or one of another version; {AGAIN}")
    index = np.memmap(path, ROW, "r", len(MAGIC)).view(np.ndarray)  # whose elements are read in less time
    if not _is_sound(index):
        raise ConfigurationError(f"{path} is damaged; {AGAIN}")
    return index


def _is_sound(rows: NDArray[Any]) -> bool:
    """Whether rows are in order, and have places and rates that can be."""
    most = np.uint64(1 << 48)
    return bool(
        (rows["key"][1:] > rows["key"][:-1]).all()
        and (rows["begin"] < most).all()
        and (rows["begin"] % WORD == 0).all()
        and ((rows["samples"] > 0) & (rows["samples"] < most)).all()
        and ((rows["rate"] >= 1000) & (rows["rate"] <= 768_000)).all()
    )


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0


def shards_of(folder: Path) -> Sequence[tuple[int, Path]]:
    """Numbers and paths of the shards in a folder, in order."""
    found = [(int(path.stem), path) for path in folder.glob("*.bin") if path.stem.isdecimal()]
    return sorted(found)
