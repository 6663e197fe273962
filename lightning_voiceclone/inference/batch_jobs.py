"""Which recordings of a folder, a list or a table are converted to which speaker, and to which file."""

import csv
import io
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_voiceclone.audio.folders import passed_over, recordings_below
from lightning_voiceclone.errors import ConfigurationError, nearest
from lightning_voiceclone.utils.reading import bounded_bytes, excerpt, is_within

TABLES = {".tsv": "\t", ".csv": ","}
COLUMNS = ("source", "reference", "output")
MOST_BYTES = 64 << 20  # of a table
SUFFIXES = (".wav", ".flac")


@dataclass(frozen=True)
class CloneJob:
    """One conversion.

    Args:
        source: path of the recording.
        references: paths of the target speaker's recordings, or of one ``.voice`` file; none for an adapted model.
        output: path within the output folder.
    """

    source: str
    references: tuple[str, ...]
    output: str


def is_many(sources: Sequence[str]) -> bool:
    """Whether these are several files, a folder or a table, for which the output is a folder."""
    return len(sources) > 1 or Path(sources[0]).is_dir() or Path(sources[0]).suffix.lower() in TABLES


def clone_jobs(
    sources: Sequence[str], references: Sequence[str], output: str | os.PathLike[str]
) -> tuple[list[CloneJob], str]:
    """The conversions, and a line on recordings that were passed over; empty if there are none.

    A table has the columns source, reference and output, tab-separated (.tsv) or comma-separated (.csv), with paths
    relative to its folder, and outputs relative to the output folder. reference may be left out if ``references`` are
    given, output is the source's name without it.

    Args:
        sources: files, or one folder, or one table.
        references: of all of them, where no table has its own.
        output: the folder.

    Raises:
        ConfigurationError: if there is no recording, a table cannot work, or two outputs have one name or an output
            would replace an input.
    """
    given, line = tuple(map(str, references)), ""
    first = Path(sources[0])
    if len(sources) > 1:
        jobs = [CloneJob(source, given, f"{Path(source).stem}.wav") for source in sources]
    elif first.is_dir():
        found, passed = recordings_below(first)
        line = passed_over(passed)
        jobs = [CloneJob(os.fspath(path), given, os.fspath(path.relative_to(first).with_suffix(".wav")))
                for path in found]  # fmt: skip
    else:
        jobs = _table(first, given)
    if not jobs:
        raise ConfigurationError(f"{first} has no recordings to convert; name a folder, files or a table with some")
    _check(jobs, Path(output))
    return jobs, line


def _table(path: Path, given: tuple[str, ...]) -> list[CloneJob]:
    try:
        text = bounded_bytes(path, MOST_BYTES, "convert fewer at once").decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(f"there is no table at {path}; its columns are {', '.join(COLUMNS)}") from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it so") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=TABLES[path.suffix.lower()])
    try:
        fields = list(reader.fieldnames or [])
        needed = COLUMNS[:1] if given else COLUMNS[:2]
        if missing := [name for name in needed if name not in fields]:
            raise ConfigurationError(
                f"{path} has no column {missing[0]}{nearest(missing[0], fields)}; its columns are {', '.join(COLUMNS)},"
                " of which --reference can stand for the second"
            )
        return [_row(row, path, reader.line_num, given) for row in reader]
    except csv.Error as error:
        raise ConfigurationError(f"{path}, line {reader.line_num}: {error}; a cell is a path") from error


def _row(row: dict[str, str | None], path: Path, line: int, given: tuple[str, ...]) -> CloneJob:
    source, reference, output = ((row.get(name) or "").strip() for name in COLUMNS)
    for name, value in (("source", source), ("reference", reference or "".join(given))):
        if not value or "\0" in value:
            raise ConfigurationError(f"{path}, line {line}: the {name} is {excerpt(value)!r}; every row needs a path")
    output = output or f"{Path(source).stem}.wav"
    if not is_within(output) or Path(output).suffix.lower() not in SUFFIXES:
        raise ConfigurationError(
            f"{path}, line {line}: the output {excerpt(output)!r} must be a path below the output folder that ends in"
            " .wav or .flac"
        )
    references = (os.fspath(path.parent / reference),) if reference else given
    return CloneJob(os.fspath(path.parent / source), references, output)


def _check(jobs: Sequence[CloneJob], output: Path) -> None:
    """Refuse outputs of one name, and those that would replace an input."""
    owners: dict[str, str] = {}
    inputs = {os.path.realpath(path) for job in jobs for path in (job.source, *job.references)}
    for job in jobs:
        place = os.path.realpath(output / job.output)
        if place in owners:
            raise ConfigurationError(
                f"{owners[place]} and {job.source} would both be written to {output / job.output}; rename one, or"
                " give a table with a column output"
            )
        if place in inputs:
            raise ConfigurationError(f"{output / job.output} is an input, too, and would be replaced; name another"
                                     " output folder")  # fmt: skip
        owners[place] = job.source
