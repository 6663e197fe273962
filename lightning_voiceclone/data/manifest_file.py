"""The manifest's Parquet file: its columns, their valid values, and safe reading of files from others."""

import json
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.audio.opening import MOST_CHANNELS
from lightning_voiceclone.data.utterances import NAMES, Column, Names, Texts
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.files import atomic_file
from lightning_voiceclone.utils.reading import excerpt, parse_json

SPLITS = ("train", "validation", "test")
METADATA_KEY = b"lightning_voiceclone"
RATES = (1000, 768_000)  # of a file, in Hz
MOST_SECONDS = 86_400.0  # of a recording; also where an utterance may end
MOST_TEXT = 1 << 17  # characters of a cell
# A row holds a hash, which cannot be compressed; many rows in few bytes are one row repeated, to exhaust memory.
FREE_ROWS, LEAST_ROW_BYTES = 200_000, 8
FREE_BYTES, MOST_EXPANSION = 1 << 27, 20  # of the columns in memory; beyond the first, times the file's own size
BATCH = 1 << 13  # rows decoded at once, and of a group in the file, each of which has a dictionary of its own
Row = Mapping[str, Any]


@dataclass(frozen=True)
class Numbers:
    """A column of numbers: their type, and the range that includes its ends. NaN is outside of all."""

    kind: type
    least: float
    most: float
    wanted: str

    def fits(self, value: object) -> bool:
        """Whether a value can be one."""
        return isinstance(value, int | float) and not isinstance(value, bool) and self.least <= value <= self.most

    def suspect(self, column: Any) -> NDArray[np.bool_]:
        """Which cells (N,) of an Arrow array do not fit, or may not."""
        values = _filled(column)
        bad = ~((values >= self.least) & (values <= self.most))
        return bad | np.asarray(column.is_null()) if column.null_count else bad


@dataclass(frozen=True)
class Text:
    """A column of text: its least and greatest number of characters, and the pattern that all of it matches.

    ``plain`` has the bytes of which any text that is neither too short nor too long matches the pattern.
    """

    wanted: str
    least: int = 0
    most: int = MOST_TEXT
    pattern: str = r"(?s).*"
    plain: bytes = bytes(range(256))
    kind: type = str

    def fits(self, value: object) -> bool:
        """Whether a value can be one."""
        right = isinstance(value, str) and self.least <= len(value) <= self.most
        return right and re.fullmatch(self.pattern, str(value)) is not None

    def suspect(self, column: Any) -> NDArray[np.bool_]:
        """As :meth:`Numbers.suspect`, of a dictionary of strings."""
        import pyarrow.compute as pc

        words = column.dictionary.fill_null("") if column.dictionary.null_count else column.dictionary
        length = np.asarray(pc.utf8_length(words))  # type: ignore[attr-defined]
        bad = (length < self.least) | (length > self.most)
        if len(self.plain) < 256 and not _within(self.plain, words):
            bad |= ~np.asarray(pc.match_substring_regex(words, rf"\A(?:{self.pattern})\z"))  # type: ignore[attr-defined]
        found = bad[_filled(column.indices)] if bad.any() else np.zeros(len(column), bool)
        return found | np.asarray(column.is_null()) if column.null_count else found


def _filled(column: Any) -> NDArray[Any]:
    """Numbers of an Arrow array, 0 for null."""
    return np.asarray((column.fill_null(0) if column.null_count else column).to_numpy(zero_copy_only=False))


def _within(plain: bytes, words: Any) -> bool:
    """Whether all strings of an Arrow array consist of these bytes."""
    _, offsets, data = words.buffers()
    width = np.int64 if words.type == "large_string" else np.int32
    ends = np.frombuffer(offsets, width)[words.offset : words.offset + len(words) + 1] if len(words) else [0, 0]
    return not np.frombuffer(data or b"", np.uint8)[ends[0] : ends[-1]].tobytes().translate(None, plain)


NAME, NO_NUL = r"[^\x00]+", bytes(range(1, 256))
SECONDS = Numbers(float, 0, MOST_SECONDS, "seconds from 0 to 86400")
COLUMNS: dict[str, Numbers | Text] = {
    "path": Text("the path of a recording", 1, pattern=NAME, plain=NO_NUL),
    "start": SECONDS,
    "end": SECONDS,
    "speaker": Text("a name", 1, pattern=NAME, plain=NO_NUL),
    "text": Text(f"at most {MOST_TEXT} characters"),
    "rate": Numbers(int, *RATES, f"Hz from {RATES[0]} to {RATES[1]}"),
    "bandwidth_hz": Numbers(float, 0, RATES[1] / 2, f"Hz from 0 to {RATES[1] // 2}"),
    "snr_db": Numbers(float, -1000, 1000, "decibels"),
    "hash": Text("64 hexadecimal digits", 64, 64, "[0-9a-f]{64}", b"0123456789abcdef"),
    "split": Text(f"one of {', '.join(SPLITS)}", pattern="|".join(SPLITS), plain=b""),
    "parallel": Text(f"at most {MOST_TEXT} characters"),
    "channel": Numbers(int, -1, MOST_CHANNELS, f"a number from -1 to {MOST_CHANNELS}"),
    "offset": Numbers(float, -1000, 1000, "a number from -1000 to 1000"),
    "style": Text(f"at most {MOST_TEXT} characters"),
}
ADDED: dict[str, Any] = {
    "parallel": "",
    "channel": -1,
    "offset": 0.0,
    "style": "",
}  # columns that older manifests lack, and their values


def row_fault(row: Row, columns: Iterable[str] = COLUMNS) -> str:
    """The first fault of a row, with the value and what it must be; empty for a valid row."""
    for name in columns:
        column = COLUMNS[name]
        if not column.fits(row[name]):
            return f"{name} is {excerpt(repr(row[name]), 60)}, but must be {column.wanted}"
    if not row["start"] < row["end"]:
        return f"end is {row['end']!r}, but must be after start, {row['start']!r}"
    return ""


def write_rows(path: Path, columns: Mapping[str, Sequence[Any]], root: str) -> None:
    """Write columns and the folder of the recordings, atomically.

    Raises:
        OSError: if it cannot be written.
    """
    import pyarrow as pa
    from pyarrow import parquet

    arrow = {str: pa.string(), float: pa.float64(), int: pa.int64()}
    schema = pa.schema([pa.field(name, arrow[column.kind], nullable=False) for name, column in COLUMNS.items()])
    schema = schema.with_metadata({METADATA_KEY: json.dumps({"root": root, "version": 1}).encode()})
    with atomic_file(path) as temporary:
        parquet.write_table(pa.table(dict(columns), schema=schema), temporary, row_group_size=BATCH)


def read_columns(path: Path) -> tuple[dict[str, Column], str | None]:
    """Checked columns of at least one row, and the folder of the recordings as stored (None if it is not).

    Raises:
        ConfigurationError: if the file is not a manifest; names the row, the column, the value and what it must be.
    """
    from pyarrow import ArrowException, parquet

    try:
        schema, size = parquet.read_schema(path), path.stat().st_size
        _check_columns(path, schema)
        root = _root(path, (schema.metadata or {}).get(METADATA_KEY))
        pieces: dict[str, list[Any]] = {name: [] for name in COLUMNS}
        left, count = max(FREE_BYTES, MOST_EXPANSION * size), 0  # bytes, rows
        for batch in _batches(path, schema.names, size):
            _check_rows(path, batch, count)
            count += batch.num_rows
            for name in COLUMNS:
                pieces[name].append(_compact(name, batch))
                left -= pieces[name][-1].nbytes
            if left < 0:
                raise ConfigurationError(
                    f"{path} is no manifest: {size} bytes hold far more text; run lvc prepare again"
                )
    except (ArrowException, OSError, ValueError, MemoryError) as error:
        reason = excerpt(" ".join(str(error).split()))
        raise ConfigurationError(f"{path} is not a Parquet file: {reason}; run lvc prepare again") from error
    if not count:
        raise ConfigurationError(f"{path} has no rows; run lvc prepare again")
    return {name: _joined(name, found) for name, found in pieces.items()}, root


def _batches(path: Path, names: Sequence[str], size: int) -> Iterator[Any]:
    """All columns of some thousand rows at once; texts are in dictionaries: one of many rows is in memory once."""
    import pyarrow as pa
    from pyarrow import parquet

    stored = [name for name in COLUMNS if name in names]
    strings = [name for name in stored if COLUMNS[name].kind is str]
    with parquet.ParquetFile(path, read_dictionary=strings) as file:
        if file.metadata.num_rows > max(FREE_ROWS, size // LEAST_ROW_BYTES):
            raise ConfigurationError(
                f"{path} is no manifest: it has {file.metadata.num_rows} rows in {size} bytes, but each row holds a"
                " hash of its own; run lvc prepare again"
            )
        for batch in file.iter_batches(BATCH, columns=stored):
            batch.validate(full=True)
            cells = dict(zip(batch.schema.names, batch.columns, strict=True))
            for name, value in ADDED.items():
                if name not in cells:
                    cells[name] = pa.array([value] * batch.num_rows)
            yield pa.record_batch([_in_dictionary(cells[name]) for name in COLUMNS], names=list(COLUMNS))


def _in_dictionary(cells: Any) -> Any:
    """Strings as a dictionary of them; numbers as they are."""
    from pyarrow import types

    text = types.is_string(cells.type) or types.is_large_string(cells.type)
    return cells.dictionary_encode() if text else cells


def _check_rows(path: Path, batch: Any, before: int) -> None:
    """Refuse a batch with an invalid row; so many rows come before it.

    Raises:
        ConfigurationError: names the row, the column, the value and what it must be.
    """
    suspects = [COLUMNS[name].suspect(batch.column(name)) for name in COLUMNS]
    start, end = (_filled(batch.column(name)) for name in ("start", "end"))
    for row in np.flatnonzero(np.logical_or.reduce([*suspects, ~(start < end)])):
        if fault := row_fault({name: batch.column(name)[int(row)].as_py() for name in COLUMNS}):
            raise ConfigurationError(f"{path}, row {before + row + 1}: {fault}; run lvc prepare again")


def _compact(name: str, batch: Any) -> Any:
    """A checked column of a batch as numbers, or as text in the form that takes less memory."""
    import pyarrow.compute as pc

    cells, column = batch.column(name), COLUMNS[name]
    if isinstance(column, Numbers):
        return cells.to_numpy(zero_copy_only=False).astype(np.float64 if column.kind is float else np.int32)
    if len(cells.dictionary) <= len(cells):
        return cells
    # In a file of large groups, a dictionary has the words of all earlier batches of its group too.
    lengths = np.asarray(pc.binary_length(cells.dictionary))  # type: ignore[attr-defined]
    expanded = int(lengths[cells.indices.to_numpy()].sum()) + 4 * len(cells)
    return cells.dictionary.take(cells.indices) if expanded < cells.nbytes else cells


def _joined(name: str, pieces: Sequence[Any]) -> Column:
    """One column of its pieces."""
    if isinstance(COLUMNS[name], Numbers):
        return np.concatenate(pieces)
    if name not in NAMES:
        return Texts(pieces)
    known: dict[str, int] = {}
    codes = []
    for piece in map(_in_dictionary, pieces):
        places = [known.setdefault(word, len(known)) for word in piece.dictionary.to_pylist()]
        codes.append(np.array(places, np.int32)[piece.indices.to_numpy()])
    return Names(np.concatenate(codes), list(known))


def _check_columns(path: Path, schema: Any) -> None:
    """Refuse a file that lacks a column, or has one of another type.

    Raises:
        ConfigurationError: names the column.
    """
    from pyarrow import types

    names = schema.names
    if missing := [name for name in COLUMNS if name not in names and name not in ADDED]:
        raise ConfigurationError(
            f"{path} is not a manifest: it has no column {', '.join(missing)}"
            f" (it has {excerpt(', '.join(names))}); run lvc prepare again"
        )
    right = {
        str: lambda kind: types.is_string(kind) or types.is_large_string(kind),
        float: lambda kind: types.is_floating(kind) or types.is_integer(kind),
        int: types.is_integer,
    }
    for name, column in COLUMNS.items():
        kind = column.kind
        if name not in names:
            continue
        if names.count(name) > 1:
            raise ConfigurationError(f"{path} is not a manifest: it has two columns {name}; run lvc prepare again")
        found = schema.field(name).type
        found = found.value_type if types.is_dictionary(found) else found
        if not right[kind](found):
            raise ConfigurationError(
                f"{path} is not a manifest: its column {name} is of {excerpt(found, 60)}, not {kind.__name__};"
                " run lvc prepare again"
            )


def _root(path: Path, metadata: bytes | None) -> str | None:
    try:
        stored = parse_json(metadata or b"{}")
    except ValueError as error:
        raise ConfigurationError(f"{path}: its metadata is no JSON: {error}; run lvc prepare again") from error
    root = stored.get("root") if isinstance(stored, dict) else stored
    if root is not None and not COLUMNS["path"].fits(root):
        raise ConfigurationError(
            f"{path}: the folder of the recordings is {excerpt(repr(root), 60)}, but must be a path;"
            " run lvc prepare again"
        )
    return root
