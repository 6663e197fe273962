"""The table of pairs: which source is converted to whose voice."""

import csv
import hashlib
import io
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from lightning_voiceclone.errors import ConfigurationError, nearest
from lightning_voiceclone.utils.reading import bounded_bytes, excerpt
from lightning_voiceclone.utils.terminal import printable

MOST_BYTES = 1 << 24  # of a table
MOST_NAME = 1000  # bytes of a case's name
MOST_STEM = 200  # bytes of it in the names of files, to which .reference.wav is added
HASHED = 16  # digits of the hash that stands in a file's name for the rest of a longer case
COLUMNS = ("case", "source", "reference")
OPTIONAL = ("transcript", "target", "source_speaker", "target_speaker")
LIBRISPEECH = re.compile(r"(\d+)-\d+-\d{4}")  # speaker-chapter-utterance, as the corpus names its files


@dataclass(frozen=True)
class Pair:
    """One row, with complete paths.

    Args:
        case: its name, also that of its files in the report.
        source: recording with the words.
        reference: recording with the voice.
        transcript: of the source; empty where unknown.
        target: a recording of the reference's speaker with these words at this pace; None where there is none.
        genuine: another recording of the reference's speaker, from other rows; None where there is none.
        source_speaker: the source's speaker; empty where unknown.
        target_speaker: the reference's speaker; empty where unknown.
    """

    case: str
    source: Path
    reference: Path
    transcript: str = ""
    target: Path | None = None
    genuine: Path | None = None
    source_speaker: str = ""
    target_speaker: str = ""


@dataclass(frozen=True)
class Pairs:
    """The rows, and the SHA-256 of the table's bytes."""

    path: Path
    sha256: str
    rows: tuple[Pair, ...]

    def limited(self, limit: int | None) -> "Pairs":
        """At most that many of the rows, evenly spread.

        Raises:
            ConfigurationError: if the limit is below 1.
        """
        if limit is None or limit >= len(self.rows):
            return self
        if limit < 1:
            raise ConfigurationError(f"the limit is {limit}; use at least 1 pair")
        places = [round(i * (len(self.rows) - 1) / max(limit - 1, 1)) for i in range(limit)]
        return replace(self, rows=tuple(self.rows[place] for place in places))


def read_pairs(path: str | Path) -> Pairs:
    """Read a table: tab-separated, columns case, source, reference and transcript, paths relative to its folder.

    Further columns: target (a parallel recording), source_speaker and target_speaker. Without the latter, speakers are
    taken from LibriSpeech's file names, or are unknown.

    Raises:
        ConfigurationError: if the table is missing or cannot work; names the line.
    """
    path = Path(path)
    try:
        data = bounded_bytes(path, MOST_BYTES, "evaluate fewer pairs")
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no table of pairs at {path}; its columns are {', '.join(COLUMNS)} and transcript"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it so") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    try:
        rows = _rows(reader, path)
    except csv.Error as error:
        raise ConfigurationError(f"{path}, line {reader.line_num}: {error}; a cell is a path or a sentence") from error
    names = [row.case for row in rows]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"{path} has two cases called {twice!r}; give each a name of its own")
    return Pairs(path, hashlib.sha256(data).hexdigest(), _with_genuine(rows))


def _rows(reader: "csv.DictReader[str]", path: Path) -> list[Pair]:
    fields = list(reader.fieldnames or [])
    if missing := [name for name in COLUMNS if name not in fields]:
        raise ConfigurationError(
            f"{path} has no column {missing[0]}{nearest(missing[0], fields)}: tab-separated, with {', '.join(COLUMNS)}"
            " and transcript"
        )
    if twice := [name for name in (*COLUMNS, *OPTIONAL) if fields.count(name) > 1]:
        raise ConfigurationError(f"{path} has two columns {twice[0]}; remove or rename one of them")
    rows = [_row(line, path) for line in reader]
    if not rows:
        raise ConfigurationError(f"{path} has no pairs below its header")
    return rows


def _row(line: dict[str, str | None], path: Path) -> Pair:
    value = {name: (line.get(name) or "").strip() for name in (*COLUMNS, *OPTIONAL)}
    case = value["case"]
    if not can_be_file_name(case) or case.startswith("."):
        raise ConfigurationError(
            f"{path}: the case {case[:100]!r} cannot be part of a file's name (1 to {MOST_NAME:,} bytes, no / nor"
            " control characters, no dot at its beginning); rename it"
        )
    if empty := [name for name in COLUMNS if not value[name]]:
        raise ConfigurationError(f"{path}: the case {case!r} has no {empty[0]}; every row needs one")
    if bad := [name for name in ("source", "reference", "target") if "\0" in value[name]]:
        raise ConfigurationError(
            f"{path}: the case {case!r} has the {bad[0]} {excerpt(value[bad[0]])}, which has a NUL; take it out"
        )
    folder = path.parent
    return Pair(
        case=case,
        source=folder / value["source"],
        reference=folder / value["reference"],
        transcript=value["transcript"],
        target=folder / value["target"] if value["target"] else None,
        source_speaker=value["source_speaker"] or _speaker(value["source"]),
        target_speaker=value["target_speaker"] or _speaker(value["reference"]),
    )


def can_be_file_name(case: str) -> bool:
    """Whether files can be called after a case, and its name can be printed."""
    short = 0 < len(case.encode("utf-8", "replace")) <= MOST_NAME
    return short and Path(case).name == case and printable(case) == case


def file_stem(case: str) -> str:
    """What files of a case are called: its name, shortened with a hash where a file system would refuse it."""
    encoded = case.encode()
    if len(encoded) <= MOST_STEM:
        return case
    kept = encoded[: MOST_STEM - HASHED - 1].decode(errors="ignore")
    return f"{kept}-{hashlib.sha256(encoded).hexdigest()[:HASHED]}"


def _speaker(path: str) -> str:
    found = LIBRISPEECH.fullmatch(Path(path).stem)
    return found[1] if found else ""


def _with_genuine(rows: list[Pair]) -> tuple[Pair, ...]:
    """Give each row another recording of its reference's speaker, a different one from row to row."""
    recordings: dict[str, set[Path]] = defaultdict(set)
    for row in rows:
        recordings[row.source_speaker].add(row.source)
        recordings[row.target_speaker].add(row.reference)
    ordered = {speaker: sorted(found) for speaker, found in recordings.items()}
    places = {speaker: {path: place for place, path in enumerate(found)} for speaker, found in ordered.items()}
    taken: dict[str, int] = defaultdict(int)
    given = []
    for row in rows:
        speaker, genuine = row.target_speaker, None
        if speaker:
            own = sorted({places[speaker][path] for path in (row.source, row.reference) if path in places[speaker]})
            genuine = _other(ordered[speaker], own, taken[speaker])
        given.append(replace(row, genuine=genuine))
        taken[speaker] += 1
    return tuple(given)


def _other(recordings: list[Path], own: list[int], turn: int) -> Path | None:
    """The recording of this turn, of those that are not at the places ``own``."""
    if len(own) == len(recordings):
        return None
    place = turn % (len(recordings) - len(own))
    for skipped in own:
        place += place >= skipped
    return recordings[place]
