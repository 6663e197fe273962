"""The table of pairs: which source is to be said in whose voice."""

import csv
import hashlib
import io
import re
from collections import defaultdict
from dataclasses import dataclass, replace
from pathlib import Path

from lightning_voiceclone.errors import ConfigurationError, nearest

COLUMNS = ("case", "source", "reference")
OPTIONAL = ("transcript", "target", "source_speaker", "target_speaker")
LIBRISPEECH = re.compile(r"(\d+)-\d+-\d{4}")  # speaker-chapter-utterance, as the corpus names its files


@dataclass(frozen=True)
class Pair:
    """One row; paths are complete.

    Args:
        case: its name, also that of its files in the report.
        source: whose words are to be said.
        reference: whose voice they are to be said in.
        transcript: of the source; empty where unknown.
        target: a recording of the reference's speaker saying these words at this pace; None where there is none.
        genuine: another recording of the reference's speaker, from other rows; None where there is none.
        source_speaker: who speaks in the source; empty where unknown.
        target_speaker: who speaks in the reference; empty where unknown.
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
        """So many of the rows at most, evenly spread.

        Raises:
            ConfigurationError: if the limit is below 1.
        """
        if limit is None or limit >= len(self.rows):
            return self
        if limit < 1:
            raise ConfigurationError(f"the limit is {limit}; judge at least 1 pair")
        places = [round(i * (len(self.rows) - 1) / max(limit - 1, 1)) for i in range(limit)]
        return replace(self, rows=tuple(self.rows[place] for place in places))


def read_pairs(path: str | Path) -> Pairs:
    """Read a table: tab-separated, columns case, source, reference and transcript, paths relative to its folder.

    Further columns: target (a parallel recording), source_speaker and target_speaker. Without the latter, speakers are
    known from LibriSpeech's file names, or not at all.

    Raises:
        ConfigurationError: if the table is missing or cannot work; names the line.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
        text = data.decode("utf-8-sig")
    except FileNotFoundError:
        raise ConfigurationError(
            f"there is no table of pairs at {path}; its columns are {', '.join(COLUMNS)} and transcript"
        ) from None
    except UnicodeDecodeError as error:
        raise ConfigurationError(f"{path} is not UTF-8 ({error.reason} at byte {error.start}); save it so") from error
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter="\t", quoting=csv.QUOTE_NONE)
    fields = reader.fieldnames or []
    if missing := [name for name in COLUMNS if name not in fields]:
        raise ConfigurationError(
            f"{path} has no column {missing[0]}{nearest(missing[0], fields)}: tab-separated, with {', '.join(COLUMNS)}"
            " and transcript"
        )
    rows = [_row(line, path) for line in reader]
    if not rows:
        raise ConfigurationError(f"{path} has no pairs below its header")
    names = [row.case for row in rows]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise ConfigurationError(f"{path} has two cases called {twice!r}; give each a name of its own")
    return Pairs(path, hashlib.sha256(data).hexdigest(), _with_genuine(rows))


def _row(line: dict[str, str | None], path: Path) -> Pair:
    value = {name: (line.get(name) or "").strip() for name in (*COLUMNS, *OPTIONAL)}
    case = value["case"]
    if not case or Path(case).name != case or case.startswith(".") or "\0" in case:
        raise ConfigurationError(f"{path}: the case {case!r} cannot be part of a file's name; rename it")
    if empty := [name for name in COLUMNS if not value[name]]:
        raise ConfigurationError(f"{path}: the case {case!r} has no {empty[0]}; every row needs one")
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


def _speaker(path: str) -> str:
    found = LIBRISPEECH.fullmatch(Path(path).stem)
    return found[1] if found else ""


def _with_genuine(rows: list[Pair]) -> tuple[Pair, ...]:
    """Give each row another recording of its reference's speaker, a different one from row to row."""
    recordings: dict[str, set[Path]] = defaultdict(set)
    for row in rows:
        recordings[row.source_speaker].add(row.source)
        recordings[row.target_speaker].add(row.reference)
    taken: dict[str, int] = defaultdict(int)
    given = []
    for row in rows:
        others = sorted(recordings[row.target_speaker] - {row.reference, row.source}) if row.target_speaker else []
        given.append(replace(row, genuine=others[taken[row.target_speaker] % len(others)] if others else None))
        taken[row.target_speaker] += 1
    return tuple(given)
