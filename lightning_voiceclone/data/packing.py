"""Pack recordings into shards: what is new or changed, in shards of their own, beside those that are there."""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.audio.mixdown import Mixdown, mixdown_of
from lightning_voiceclone.audio.opening import opened
from lightning_voiceclone.data.audio_store import quantize
from lightning_voiceclone.data.manifest import Manifest
from lightning_voiceclone.data.shards import (
    BLOCK,
    INDEX_NAME,
    ROW,
    SHARDS_NAME,
    WORD,
    checksums,
    key_of,
    read_tail,
    shard_name,
    shards_of,
    taken,
    write_index,
    write_tail,
)
from lightning_voiceclone.data.utterances import Utterance, Utterances
from lightning_voiceclone.errors import LVCError, RecordingError
from lightning_voiceclone.utils.files import atomic_file, interruption_held
from lightning_voiceclone.utils.leftovers import sweep
from lightning_voiceclone.utils.processes import processors, side_by_side
from lightning_voiceclone.utils.progress import progress_bar

SHARD_SECONDS = 8000.0  # of recordings in a shard: 256 MB at 16 kHz
LEAST_SHARD_SECONDS = 600.0  # where each process would have less than a whole one


@dataclass(frozen=True)
class Source:
    """A recording to pack: its path below the root, its file's digest (64 bits), its mixdown and its length."""

    path: str
    version: int
    mixdown: Mixdown
    seconds: float


@dataclass(frozen=True)
class Shard:
    """One shard to write."""

    number: int
    path: Path
    root: Path
    sources: Sequence[Source]


Packed = tuple[NDArray[Any], list[str]]  # rows, and what could not be packed


def pack(
    root: Path, utterances: Sequence[Utterance], output: Path, *, workers: int = 0, progress: bool = True
) -> list[Path]:
    """Bring the shards and the index of a prepared folder up to date.

    Returns:
        Shards without a recording of the index, to be deleted once the manifest is written.

    Args:
        root: folder of the recordings.
        utterances: of the manifest.
        output: the prepared folder.
        workers: processes; 0 for as many as there are processors.
        progress: whether to show a bar, if the error output is a terminal.

    Raises:
        OSError: if a shard cannot be written; those that are complete are kept, and used when it is called again.
        LVCError: if a recording cannot be read any more; the others are packed, and the index is left as it is, which
            goes with the manifest of before.
    """
    folder = output / SHARDS_NAME
    folder.mkdir(parents=True, exist_ok=True)
    sweep(folder)
    sources = _sources(utterances)
    kept = _kept(folder, sources)
    missing = [source for key, source in sources.items() if key not in kept]
    jobs = _jobs(folder, root, missing, workers or processors())
    failed = []
    with progress_bar("packing", len(sources), len(kept), shown=progress and bool(jobs)) as advance:
        for rows, faults in _packed(jobs, workers or processors()):
            kept |= {int(row["key"]): row for row in rows}
            failed += faults
            advance(len(rows))
    if failed:
        others = f" (and {len(failed) - 1} others)" if len(failed) > 1 else ""
        raise LVCError(f"{failed[0]}{others}; restore it and run the same command again: all others are packed")
    rows = np.array(list(kept.values()), ROW)
    write_index(folder / INDEX_NAME, rows)
    used = set(rows["shard"].tolist())
    return [path for number, path in shards_of(folder) if number not in used]


def check_originals(
    before: Manifest, utterances: Sequence[Utterance], output: Path, is_there: Callable[[str], bool]
) -> None:
    """Refuse to delete samples that cannot be packed again.

    Args:
        before: manifest of the prepared folder.
        utterances: of the manifest to come.
        output: the prepared folder.
        is_there: whether the original of a path of ``before`` is there.

    Raises:
        LVCError: if the originals of packed recordings are gone.
    """
    packed = {int(key) for _, path in shards_of(output / SHARDS_NAME)
              if (rows := read_tail(path)) is not None for key in rows["key"]}  # fmt: skip
    kept = set(Utterances.of(utterances).texts("path"))
    paths = dict.fromkeys(Utterances.of(before.utterances).texts("path"))
    gone = [path for path in paths if path not in kept and key_of(path) in packed and not is_there(path)]
    if gone:
        raise LVCError(
            f"the originals of {len(gone)} packed recording(s) are gone, the first that of {gone[0]}, and their samples"
            f" in {output / SHARDS_NAME} would be deleted; put them back, or name another --output"
        )


def _sources(utterances: Sequence[Utterance]) -> dict[int, Source]:
    """Recordings of the utterances, by key.

    Raises:
        LVCError: if two have one key, of which there is one chance in millions.
    """
    sources: dict[int, Source] = {}
    for row in utterances:
        key = key_of(row.path)
        known = sources.get(key)
        if known is not None and known.path != row.path:
            raise LVCError(f"{row.path} and {known.path} have the same key in the index; rename one of them")
        mixdown = Mixdown(channel=row.channel - 1 if row.channel > 0 else None, offset=row.offset)
        seconds = max(row.end, known.seconds if known else 0.0)
        sources[key] = Source(row.path, int(row.hash[:16], 16), mixdown, seconds)
    return sources


def _kept(folder: Path, sources: dict[int, Source]) -> dict[int, Any]:
    """Rows of the recordings that are in a shard as they are now, by key."""
    kept: dict[int, Any] = {}
    for number, path in shards_of(folder):
        for row in () if (rows := read_tail(path)) is None else rows:
            source = sources.get(int(row["key"]))
            if source is not None and source.version == row["version"] and row["shard"] == number:
                kept[int(row["key"])] = row
    return kept


def _jobs(folder: Path, root: Path, sources: Sequence[Source], workers: int) -> list[Shard]:
    """Shards of about the same length, in the order of the recordings."""
    share = sum(source.seconds for source in sources) / workers
    most = min(max(share, LEAST_SHARD_SECONDS), SHARD_SECONDS)
    groups: list[list[Source]] = []
    seconds = math.inf
    for source in sources:
        if seconds + source.seconds > most:
            groups.append([])
            seconds = 0.0
        groups[-1].append(source)
        seconds += source.seconds
    first = max((number for number, _ in shards_of(folder)), default=-1) + 1
    return [Shard(number, folder / shard_name(number), root, group) for number, group in enumerate(groups, first)]


def _packed(jobs: Sequence[Shard], workers: int) -> Iterator[Packed]:
    if min(workers, len(jobs)) <= 1:
        for job in jobs:
            with interruption_held():
                packed = _write(job)
            yield packed
        return
    for _, packed in side_by_side(_write, jobs, min(workers, len(jobs)), caller="prepare", preload=[__name__]):
        yield packed


def _write(job: Shard) -> Packed:
    """Write one shard, whole or not at all."""
    rows, failed = [], []
    begin = 0
    with atomic_file(job.path) as temporary, temporary.open("wb") as out:
        for source in job.sources:
            try:
                rate, samples = _append(out, job.root / source.path, source.mixdown)
            except RecordingError as error:
                out.seek(2 * begin)
                out.truncate()
                failed.append(str(error))
                continue
            rows.append((key_of(source.path), source.version, job.number, rate, begin, samples))
            begin += taken(samples)
        made = np.array(rows, ROW)
        out.write(write_tail(made))
    return made, failed


def _append(out: BinaryIO, path: Path, mixdown: Mixdown) -> tuple[int, int]:
    """Append a recording's samples and checksums; returns its rate and how many samples it has.

    Raises:
        RecordingError: if it cannot be decoded.
    """
    sums, left, count = [], np.zeros(0, np.int16), 0
    with opened(path) as file:
        mixed = mixdown_of(file, mixdown)
        for block in file.blocks(0):
            left = np.concatenate([left, quantize(mixed(block))])
            whole = len(left) // BLOCK * BLOCK
            sums.append(checksums(left[:whole]))
            out.write(left[:whole].astype("<i2").tobytes())
            left, count = left[whole:], count + len(block)
        rate = file.rate
    if not count:
        raise RecordingError(f"{path}: empty: no sound in it can be decoded")
    left = np.pad(left, (0, -len(left) % WORD))
    sums.append(checksums(left))
    out.write(left.astype("<i2").tobytes() + np.concatenate(sums).astype("<u8").tobytes())
    return rate, count
