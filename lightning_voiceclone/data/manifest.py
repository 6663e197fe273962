"""The manifest: one Parquet row for each usable utterance, and the assignment of utterances to splits."""

import hashlib
import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import numpy as np

from lightning_voiceclone.audio.io import seconds_of
from lightning_voiceclone.audio.mixdown import Mixdown
from lightning_voiceclone.core.interfaces import Recording
from lightning_voiceclone.data.manifest_file import COLUMNS, SPLITS, read_columns, write_rows
from lightning_voiceclone.data.utterances import Utterance, Utterances
from lightning_voiceclone.errors import ConfigurationError, RecordingError

DEFAULT_VALIDATION = 0.05
MOST_MISSING_SECONDS = 0.05  # of an utterance: rounding, and an MP3 decoder's delay, which versions count differently


@dataclass(frozen=True)
class Manifest:
    """Utterances and the folder to which their paths are relative."""

    root: Path
    utterances: Sequence[Utterance]

    @property
    def speakers(self) -> list[str]:
        """All speakers, sorted."""
        return sorted(set(Utterances.of(self.utterances).speakers))

    def of_split(self, name: str) -> Utterances:
        """Utterances of train, validation or test, in order.

        Raises:
            ConfigurationError: if no split has that name.
        """
        if name not in SPLITS:
            raise ConfigurationError(f"no split is called {name!r}; there are {', '.join(SPLITS)}")
        return Utterances.of(self.utterances).of_split(name)

    @property
    def mixdowns(self) -> dict[str, Mixdown] | None:
        """Mixdowns by path, of the files that need more than the mean of their channels.

        None for an older manifest, which does not have them: each file is then decoded once to determine its own.
        """
        rows = Utterances.of(self.utterances)
        channel, offset = rows.numbers("channel"), rows.numbers("offset")
        if (channel < 0).any():
            return None
        found = [rows[int(index)] for index in np.flatnonzero((channel != 0) | (offset != 0))]
        return {row.path: Mixdown(channel=row.channel - 1 if row.channel else None, offset=row.offset) for row in found}

    def write(self, path: str | os.PathLike[str]) -> None:
        """Write the Parquet file atomically.

        A root inside the manifest's own folder is stored relative to it, so that the folder can be moved.

        Raises:
            OSError: if it cannot be written.
        """
        path, root = Path(path), self.root.resolve()
        folder = path.parent.resolve()
        kept = str(root.relative_to(folder)) if root.is_relative_to(folder) else str(root)
        write_rows(path, {name: [getattr(row, name) for row in self.utterances] for name in COLUMNS}, kept)

    @classmethod
    def read(cls, path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None) -> "Manifest":
        """Read what :meth:`write` wrote.

        Args:
            path: of the Parquet file.
            root: where the recordings are now, if they have been moved since.

        Raises:
            ConfigurationError: if there is no such file, or it is not a manifest; names what is missing or wrong, and
                the row.
        """
        path = Path(path)
        if not path.is_file():
            raise ConfigurationError(f"there is no manifest at {path}; lvc prepare KIND ROOT --output {path.parent}")
        columns, kept = read_columns(path)
        if kept is None and root is None:
            raise ConfigurationError(f"{path} has no folder of its recordings; run lvc prepare again")
        folder = Path(root) if root is not None else path.parent / str(kept)
        return cls(folder, Utterances(columns))


def check_unchanged(manifest: Manifest, written: float) -> None:
    """Refuse a manifest whose recordings are missing or have become shorter, before training starts.

    Args:
        manifest: to check.
        written: time at which it was written, in seconds since 1970; only files that changed later are opened.

    Raises:
        ConfigurationError: names the first such recording, and how many there are.
    """
    bad = []
    ends: dict[str, float] = {}
    rows = Utterances.of(manifest.utterances)
    for path, end in zip(rows.texts("path"), rows.numbers("end").tolist(), strict=True):
        ends[path] = max(end, ends.get(path, 0.0))
    root = os.fspath(manifest.root)
    for path, end in ends.items():
        file = os.path.join(root, path)  # a Path each would take as long again as asking the system
        try:
            if os.stat(file).st_mtime >= written and (seconds := seconds_of(file)) < end - MOST_MISSING_SECONDS:
                bad.append(f"{file} lasts {seconds:.2f} s, but the manifest has it to {end:.2f} s")
        except (OSError, RecordingError) as error:
            bad.append(f"{file} cannot be read: {error}")
    if bad:
        others = f" (and {len(bad) - 1} others)" if len(bad) > 1 else ""
        raise ConfigurationError(f"{bad[0]}{others}; restore what is missing, or run lvc prepare again")


Row = TypeVar("Row", Utterance, Recording)


def split_by_speaker(
    rows: Sequence[Row], *, validation: float | None = None, test: float | None = None, seed: int = 0
) -> list[Row]:
    """Assign splits to rows, keeping their order; all rows of a speaker get the same split.

    The assignment depends on the seed and the speakers' names alone, not on the order of the rows, and few speakers
    change when others are added or removed. Rows whose split the corpus has declared keep it.

    Args:
        rows: utterances, or recordings of a corpus.
        validation: number of speakers for validation, or their share if below 1 (at least one then); None for what the
            corpus declares, and a share of 0.05 where it declares none and there are two or more.
        test: likewise for the test; None for what the corpus declares alone.
        seed: random seed of the assignment.

    Raises:
        ConfigurationError: if no speaker would be left for training, or a number is negative or not an integer.
    """
    return _split(rows, lambda row: row.speaker, "speakers", validation=validation, test=test, seed=seed)


def split_by_utterance(
    rows: Sequence[Row], *, validation: float | None = None, test: float | None = None, seed: int = 0
) -> list[Row]:
    """As :func:`split_by_speaker`, counting utterances: a speaker may be in all splits.

    Raises:
        ConfigurationError: if no utterance would be left for training, or a number is negative or not an integer.
    """
    return _split(rows, _place, "utterances", validation=validation, test=test, seed=seed)


def _place(row: Utterance | Recording) -> str:
    return f"{row.path}@{row.start}-{row.end}"


def _split(
    rows: Sequence[Row],
    key: Callable[[Row], str],
    unit: str,
    *,
    validation: float | None,
    test: float | None,
    seed: int,
) -> list[Row]:
    if unknown := sorted({row.split for row in rows} - {"", *SPLITS}):
        raise ConfigurationError(f"the corpus declares a split {unknown[0]!r}; there are {', '.join(SPLITS)}")
    free = {key(row) for row in rows if not row.split}
    ranked = sorted(free, key=lambda name: hashlib.sha256(f"{seed}:{name}".encode()).digest())
    if validation is None:
        declared = any(row.split == "validation" for row in rows)
        validation = 0.0 if declared or len(ranked) < 2 else DEFAULT_VALIDATION
    counts = [_count(name, asked, len(ranked)) for name, asked in (("validation", validation), ("test", test or 0.0))]
    trained = len(ranked) - sum(counts) > 0 or any(row.split == "train" for row in rows)
    if sum(counts) > len(ranked) or (ranked and sum(counts) and not trained):
        raise ConfigurationError(
            f"validation {counts[0]} and test {counts[1]} would leave nothing of {len(ranked)} {unit} to train on;"
            f" take fewer{', or split by utterance' if unit == 'speakers' else ''}"
        )
    # From the two ends of the ranking, so that another number for one split does not change the other.
    chosen = dict.fromkeys(ranked[: counts[0]], "validation")
    chosen |= dict.fromkeys(ranked[len(ranked) - counts[1] :], "test")
    return [row if row.split else replace(row, split=chosen.get(key(row), "train")) for row in rows]


def check_count(name: str, asked: float | None) -> None:
    """Refuse a size of a split that is neither a number of speakers or utterances, nor a share, nor None.

    Raises:
        ConfigurationError: names it.
    """
    if asked is not None and (not 0 <= asked < math.inf or (asked >= 1 and asked != int(asked))):
        raise ConfigurationError(f"{name} is {asked}; give a whole number, or a share from 0 to below 1")


def _count(name: str, asked: float, available: int) -> int:
    check_count(name, asked)
    return int(asked) if asked >= 1 or not asked or not available else max(1, round(asked * available))
