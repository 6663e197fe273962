"""Utterances: one row of a manifest, and the rows of a whole manifest by column."""

import hashlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class Utterance:
    """One row of a manifest.

    Args:
        path: of the recording, relative to the manifest's root.
        start: seconds from the file's beginning.
        end: seconds from the file's beginning; the file's length where the utterance is all of it.
        speaker: name of the speaker.
        text: transcript; empty where unknown.
        rate: sample rate of the file in Hz.
        bandwidth_hz: frequency above which the file has no energy.
        snr_db: ratio of speech to steady noise, from -20 to 60.
        hash: SHA-256 of the file, hexadecimal.
        split: train, validation or test.
        parallel: path of a recording with the same words at the same times in another voice; empty if there is none.
        channel: of the file, from 1, that is used alone; 0 for the mean of all; -1 where that is not known.
        offset: constant offset of the file's samples, which is subtracted on reading.
        style: how it is said, as a style encoder reads it; empty where unknown.
        speed: factor of tempo and pitch by which the file is resampled; start and end are seconds after it. Not stored.
    """

    path: str
    start: float
    end: float
    speaker: str
    text: str
    rate: int
    bandwidth_hz: float
    snr_db: float
    hash: str
    split: str
    parallel: str = ""
    channel: int = -1
    offset: float = 0.0
    style: str = ""
    speed: float = 1.0

    def played(self, speed: float) -> "Utterance":
        """The utterance at another speed: pitch and formants move together, and it counts as another speaker."""
        return replace(self, speed=speed, speaker=f"{self.speaker}@{speed:g}", start=self.start / speed,
                       end=self.end / speed, bandwidth_hz=self.bandwidth_hz * speed)  # fmt: skip

    @property
    def seconds(self) -> float:
        """Length."""
        return self.end - self.start

    @property
    def name(self) -> str:
        """Path without suffix for files derived from the utterance, unique to it: speaker's folder and file name."""
        return derived_name(self.path, self.speaker, self.start, self.end)


def derived_name(path: str, speaker: str, start: float, end: float | None) -> str:
    """``speaker/stem-digest``: safe as a path, and unique to the utterance."""
    return file_name(path, speaker, hashlib.sha256(json.dumps([path, speaker, start, end]).encode()).hexdigest())


def file_name(path: str, speaker: str, digest: str) -> str:
    """``speaker/stem-digest``: safe as a path, and distinct for distinct digests."""
    return f"{_safe(speaker)}/{_safe(Path(path).stem)}-{digest[:10]}"


def _safe(name: str) -> str:
    return re.sub(r"[^\w.-]", "_", name).lstrip(".")[:100] or "_"


class Names:
    """A column of text of which few values are distinct.

    Args:
        codes: place (N,) of each row's value in ``values``.
        values: distinct ones.
    """

    def __init__(self, codes: NDArray[np.int32], values: Sequence[str]) -> None:
        self.codes = codes
        self.values = list(values)

    def __getitem__(self, row: int) -> str:
        return self.values[self.codes[row]]


class Texts:
    """A column of text as Arrow stores it, without an object a row.

    Args:
        chunks: arrays of strings, or dictionaries of them.
    """

    def __init__(self, chunks: Sequence[Any]) -> None:
        self.chunks = list(chunks)
        self._ends = np.cumsum([len(chunk) for chunk in chunks])

    def __getitem__(self, row: int) -> str:
        place = int(np.searchsorted(self._ends, row, side="right"))
        text: str = self.chunks[place][int(row) - (int(self._ends[place - 1]) if place else 0)].as_py()
        return text

    def __iter__(self) -> Iterator[str]:
        for chunk in self.chunks:
            yield from chunk.to_pylist()

    @property
    def filled(self) -> NDArray[np.bool_]:
        """Whether each row (N,) has a text that is not empty."""
        import pyarrow.compute as pc

        return np.concatenate([np.asarray(pc.not_equal(chunk, "")) for chunk in self.chunks])  # type: ignore[attr-defined]


Column = NDArray[Any] | Names | Texts
NAMES = ("speaker", "split", "parallel", "style")  # columns of which few values are distinct


class Utterances(Sequence[Utterance]):
    """Rows of a manifest, kept by column: a million take some 200 MB, and an object is made when it is asked for.

    Args:
        columns: of the manifest, by name; none for no rows.
        rows: that these are, in order; None for all.
        speeds: factor (N,) at which each is played; 0 for as recorded. None for all as recorded.
    """

    def __init__(
        self,
        columns: Mapping[str, Column],
        rows: NDArray[np.int64] | None = None,
        speeds: NDArray[np.float64] | None = None,
    ) -> None:
        self._columns = columns
        self._whole = rows is None
        self._rows = np.arange(len(columns["end"]) if columns else 0) if rows is None else rows  # type: ignore[arg-type]
        self._speeds = np.zeros(len(self._rows)) if speeds is None else speeds

    @classmethod
    def of(cls, utterances: Sequence[Utterance]) -> "Utterances":
        """The same by column; those that are so already are returned as they are."""
        if isinstance(utterances, Utterances):
            return utterances
        import pyarrow as pa

        columns: dict[str, Column] = {}
        for field in fields(Utterance) if utterances else ():
            values = [getattr(row, field.name) for row in utterances]
            if field.name in NAMES:
                distinct = {name: code for code, name in enumerate(dict.fromkeys(values))}
                columns[field.name] = Names(np.array([distinct[name] for name in values], np.int32), list(distinct))
            else:
                columns[field.name] = Texts([pa.array(values)]) if field.type is str else np.array(values)
        return cls(columns)

    def __len__(self) -> int:
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Utterance: ...

    @overload
    def __getitem__(self, index: slice) -> "Utterances": ...

    def __getitem__(self, index: int | slice) -> "Utterance | Utterances":
        if isinstance(index, slice):
            return self._chosen(np.arange(len(self))[index])
        row, speed = int(self._rows[index]), float(self._speeds[index])
        values: dict[str, Any] = {name: column[row] for name, column in self._columns.items()}
        made = Utterance(**{name: value.item() if isinstance(value, np.generic) else value
                            for name, value in values.items()})  # fmt: skip
        return made.played(speed) if speed else made

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Sequence) and len(self) == len(other) and all(map(Utterance.__eq__, self, other))

    __hash__ = None  # type: ignore[assignment]

    def where(self, wanted: NDArray[np.bool_]) -> "Utterances":
        """Those for which ``wanted`` (N,) is true."""
        return self._chosen(np.flatnonzero(wanted))

    def _chosen(self, indices: NDArray[np.int64]) -> "Utterances":
        return Utterances(self._columns, self._rows[indices], self._speeds[indices])

    # Choosing rows ----------------------------------------------------------------------------------------------------

    def of_split(self, name: str) -> "Utterances":
        """Those of train, validation or test."""
        return self.where(self._is("split", [name]))

    def of_speakers(self, names: Sequence[str]) -> "Utterances":
        """Those of these speakers, as recorded."""
        return self.where(self._is("speaker", names))

    def also_played(self, speeds: Sequence[float]) -> "Utterances":
        """These, and after them all of these at each of the speeds (:meth:`Utterance.played`)."""
        count = len(self)
        return Utterances(
            self._columns, np.tile(self._rows, 1 + len(speeds)),
            np.concatenate([self._speeds, *(np.full(count, float(speed)) for speed in speeds)]),
        )  # fmt: skip

    def _is(self, name: str, wanted: Sequence[str]) -> NDArray[np.bool_]:
        """Whether each row (N,) has one of the names in a column of them."""
        column = self._columns.get(name)
        if not isinstance(column, Names):
            return np.zeros(len(self), bool)
        # A set, since an array of text would give each value the room of the longest.
        names = set(wanted)
        chosen = np.fromiter((value in names for value in column.values), bool, len(column.values))
        return np.asarray(chosen[column.codes][self._rows])

    # Columns ----------------------------------------------------------------------------------------------------------

    def numbers(self, name: str) -> NDArray[Any]:
        """Numbers (N,) of a column of numbers, as recorded."""
        column = self._columns.get(name)
        return column[self._rows] if isinstance(column, np.ndarray) else np.zeros(0)

    @property
    def seconds(self) -> NDArray[np.float64]:
        """Lengths (N,)."""
        speeds = np.where(self._speeds == 0, 1.0, self._speeds)
        return np.asarray(self.numbers("end") / speeds - self.numbers("start") / speeds)

    def texts(self, name: str) -> Iterator[str]:
        """Texts of a column, as recorded, in order."""
        column = self._columns.get(name, Names(np.zeros(0, np.int32), []))
        if self._whole and isinstance(column, Texts):
            return iter(column)
        return (column[row] for row in self._rows)

    @property
    def transcribed(self) -> NDArray[np.bool_]:
        """Whether each row (N,) has a transcript."""
        column = self._columns.get("text")
        return column.filled[self._rows] if isinstance(column, Texts) else np.zeros(len(self), bool)

    @property
    def speakers(self) -> list[str]:
        """Distinct speakers, as recorded, in no order."""
        return self._distinct("speaker")

    @property
    def styles(self) -> list[str]:
        """Distinct styles, without the empty one, in no order."""
        return [style for style in self._distinct("style") if style]

    def _distinct(self, name: str) -> list[str]:
        column = self._columns.get(name)
        if not isinstance(column, Names):
            return []
        return [column.values[code] for code in np.unique(column.codes[self._rows])]

    @property
    def voices(self) -> NDArray[np.int64]:
        """A number (N,) for each row, equal for those of one speaker at one speed."""
        column = self._columns.get("speaker")
        if not isinstance(column, Names):
            return np.zeros(0, np.int64)
        played = np.unique(self._speeds, return_inverse=True)[1]
        return np.unique(column.codes[self._rows] + len(column.values) * played.astype(np.int64), return_inverse=True)[
            1
        ]

    @property
    def people(self) -> NDArray[np.int64]:
        """A number (N,) for each row from 0 on, equal for those of one speaker at any speed."""
        column = self._columns.get("speaker")
        if not isinstance(column, Names):
            return np.zeros(0, np.int64)
        return np.unique(column.codes[self._rows], return_inverse=True)[1].astype(np.int64)

    @property
    def has_parallels(self) -> bool:
        """Whether any has a parallel recording."""
        return bool(len(self)) and not self._is("parallel", [""]).all()
