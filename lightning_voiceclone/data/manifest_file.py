"""The manifest's Parquet file: its columns, their valid values, and safe reading of files from others."""

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning_voiceclone.audio.opening import MOST_CHANNELS
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
BATCH = 1 << 12  # rows decoded at once
HASH = re.compile(r"[0-9a-f]{64}")
Row = Mapping[str, Any]


def _is_text(value: object) -> bool:
    return isinstance(value, str) and len(value) <= MOST_TEXT


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= MOST_TEXT and "\0" not in value


def _between(low: float, high: float) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, int | float) and not isinstance(value, bool) and low <= value <= high


# For each column, in order: type, check of a value, and its description. NaN fails every check of a range.
COLUMNS: dict[str, tuple[type, Callable[[Any], bool], str]] = {
    "path": (str, _is_name, "the path of a recording"),
    "start": (float, _between(0, MOST_SECONDS), "seconds from 0 to 86400"),
    "end": (float, _between(0, MOST_SECONDS), "seconds from 0 to 86400"),
    "speaker": (str, _is_name, "a name"),
    "text": (str, _is_text, f"at most {MOST_TEXT} characters"),
    "rate": (int, _between(*RATES), f"Hz from {RATES[0]} to {RATES[1]}"),
    "bandwidth_hz": (float, _between(0, RATES[1] / 2), f"Hz from 0 to {RATES[1] // 2}"),
    "snr_db": (float, _between(-1000, 1000), "decibels"),
    "hash": (str, lambda value: isinstance(value, str) and bool(HASH.fullmatch(value)), "64 hexadecimal digits"),
    "split": (str, lambda value: value in SPLITS, f"one of {', '.join(SPLITS)}"),
    "parallel": (str, _is_text, f"at most {MOST_TEXT} characters"),
    "channel": (int, _between(-1, MOST_CHANNELS), f"a number from -1 to {MOST_CHANNELS}"),
    "offset": (float, _between(-1000, 1000), "a number from -1000 to 1000"),
}
ADDED: dict[str, Any] = {
    "parallel": "",
    "channel": -1,
    "offset": 0.0,
}  # columns that older manifests lack, and their values


def row_fault(row: Row, columns: Iterable[str] = COLUMNS) -> str:
    """The first fault of a row, with the value and what it must be; empty for a valid row."""
    for name in columns:
        _, fits, wanted = COLUMNS[name]
        if not fits(row[name]):
            return f"{name} is {excerpt(repr(row[name]), 60)}, but must be {wanted}"
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
    schema = pa.schema([pa.field(name, arrow[kind], nullable=False) for name, (kind, *_) in COLUMNS.items()])
    schema = schema.with_metadata({METADATA_KEY: json.dumps({"root": root, "version": 1}).encode()})
    with atomic_file(path) as temporary:
        parquet.write_table(pa.table(dict(columns), schema=schema), temporary)


def read_rows(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    """Checked rows, at least one, and the folder of the recordings as stored (None if it is not).

    Raises:
        ConfigurationError: if the file is not a manifest; names the row, the column, the value and what it must be.
    """
    from pyarrow import ArrowException

    try:
        rows, root = _read(path)
    except (ArrowException, OSError, ValueError, MemoryError) as error:
        reason = excerpt(" ".join(str(error).split()))
        raise ConfigurationError(f"{path} is not a Parquet file: {reason}; run lvc prepare again") from error
    if not rows:
        raise ConfigurationError(f"{path} has no rows; run lvc prepare again")
    for number, row in enumerate(rows, 1):
        if fault := row_fault(row):
            raise ConfigurationError(f"{path}, row {number}: {fault}; run lvc prepare again")
    return rows, root


def _read(path: Path) -> tuple[list[dict[str, Any]], str | None]:
    from pyarrow import parquet

    schema, size = parquet.read_schema(path), path.stat().st_size
    _check_columns(path, schema)
    root = _root(path, (schema.metadata or {}).get(METADATA_KEY))
    rows: list[dict[str, Any]] = []
    left = max(FREE_BYTES, MOST_EXPANSION * size)  # bytes
    # As dictionaries, a text of many rows is in memory once.
    stored = [name for name in COLUMNS if name in schema.names]
    strings = [name for name in stored if COLUMNS[name][0] is str]
    with parquet.ParquetFile(path, read_dictionary=strings) as file:
        if file.metadata.num_rows > max(FREE_ROWS, size // LEAST_ROW_BYTES):
            raise ConfigurationError(
                f"{path} is no manifest: it has {file.metadata.num_rows} rows in {size} bytes, but each row holds a"
                " hash of its own; run lvc prepare again"
            )
        for batch in file.iter_batches(BATCH, columns=stored):
            left -= batch.nbytes
            if left < 0:
                raise ConfigurationError(
                    f"{path} is no manifest: {size} bytes hold far more text; run lvc prepare again"
                )
            columns = {name: _values(batch.column(name)) for name in stored}
            rows += (ADDED | dict(zip(columns, cells, strict=True)) for cells in zip(*columns.values(), strict=True))
    return rows, root


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
    for name, (kind, *_) in COLUMNS.items():
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


def _values(column: Any) -> list[Any]:
    """Cells as Python values; equal strings share one object."""
    from pyarrow import types

    if not types.is_dictionary(column.type):
        return list(column.to_pylist())
    words = column.dictionary.to_pylist()
    return [None if place is None else words[place] for place in column.indices.to_pylist()]


def _root(path: Path, metadata: bytes | None) -> str | None:
    try:
        stored = parse_json(metadata or b"{}")
    except ValueError as error:
        raise ConfigurationError(f"{path}: its metadata is no JSON: {error}; run lvc prepare again") from error
    root = stored.get("root") if isinstance(stored, dict) else stored
    if root is not None and not _is_name(root):
        raise ConfigurationError(
            f"{path}: the folder of the recordings is {excerpt(repr(root), 60)}, but must be a path;"
            " run lvc prepare again"
        )
    return root
