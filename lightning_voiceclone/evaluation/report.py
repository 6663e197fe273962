"""Reading a report's folder: metrics.json and the recordings beside it."""

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.pairs import can_be_file_name, file_stem
from lightning_voiceclone.utils.reading import bounded_bytes, excerpt, parse_json

METRICS = "metrics.json"
AUDIO = "audio"
ROLES = ("source", "reference", "clone")
MOST_BYTES = 1 << 24  # of metrics.json; a case takes about 1,000
MOST_CASES = 20_000
GREATEST = 1e15  # of a score, so that sums of them stay finite


@dataclass(frozen=True)
class Report:
    """The results of ``lvc evaluate``, as in ``metrics.json``.

    Args:
        folder: of the report.
        pairs_sha256: hash of the table of pairs.
        system: what was measured; ``warnings`` is a list of sentences.
        metrics: name to mean, ci95, n, unit, better and judge.
        cases: in the order of the pairs: case, the metrics' names with a number or None, error, and texts.
        bootstrap: of the intervals: draws, and clusters by their names; empty where the report has none.
    """

    folder: Path
    pairs_sha256: str
    system: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    cases: tuple[Mapping[str, Any], ...]
    bootstrap: Mapping[str, Any]

    def audio(self, case: str, role: str) -> Path:
        """Path of a case's recording, whether it is there or not; ``role`` is source, reference or clone."""
        return self.folder / recording_path(case, role)


def recording_path(case: str, role: str) -> str:
    """Where a report has a case's recording, within its folder."""
    return f"{AUDIO}/{file_stem(case)}.{role}.wav"


def read_report(folder: str | Path) -> Report:
    """The report in a folder.

    Raises:
        ConfigurationError: if ``metrics.json`` is missing or not as ``lvc evaluate`` writes it.
    """
    folder = Path(folder)
    path = folder / METRICS
    if not path.is_file():
        raise ConfigurationError(f"{folder} has no {METRICS}; lvc evaluate --output {folder} writes it")
    try:
        read = parse_json(bounded_bytes(path, MOST_BYTES, "compare reports of fewer pairs"))
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{path} cannot be read: {excerpt(error)}; run lvc evaluate again") from error
    if fault := next(_faults(read), ""):
        raise ConfigurationError(f"{path} is not a report: {fault}; run lvc evaluate again")
    report = Report(folder, read["pairs_sha256"], read["system"], read["metrics"], tuple(read["cases"]),
                    read.get("bootstrap") or {})  # fmt: skip
    _check_links(report)
    return report


def number(value: object) -> float | None:
    """A finite number of a report, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        return float(value) if math.isfinite(value) else None
    except OverflowError:  # of an integer beyond 1e308
        return None


def _check_links(report: Report) -> None:
    """Refuse a report whose recordings are links to files outside it: playing them could play any file.

    Raises:
        ConfigurationError: names the link.
    """
    root = report.folder.resolve()
    for path in (report.audio(case["case"], role) for case in report.cases for role in ROLES):
        try:
            within = path.resolve().is_relative_to(root)
        except (OSError, RuntimeError):  # a link to itself
            within = False
        if not within:
            raise ConfigurationError(
                f"{path} is a link out of the report; put the recording itself there, or remove the link"
            )


def _is_mapping(value: object) -> bool:
    return isinstance(value, dict)


def _is_text(value: object) -> bool:
    return value is None or isinstance(value, str)


def _is_number(value: object) -> bool:
    return value is None or number(value) is not None


def _is_interval(value: object) -> bool:
    return value is None or (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)))


Check = tuple[Callable[[object], bool], str]
TEXT: Check = (_is_text, "a text or null")
NUMBER: Check = (_is_number, "a finite number or null")
MAPPING: Check = (_is_mapping, "a mapping")
WHOLE: Mapping[str, Check] = {
    "pairs_sha256": (lambda value: isinstance(value, str), "a text"),
    "system": MAPPING,
    "metrics": MAPPING,
    "cases": (lambda value: isinstance(value, list) and len(value) <= MOST_CASES, f"a list of at most {MOST_CASES}"),
    "bootstrap": (lambda value: value is None or isinstance(value, dict), "a mapping"),
}
METRIC: Mapping[str, Check] = {
    "mean": NUMBER,
    "ci95": (_is_interval, "two numbers"),
    "n": NUMBER,
    "unit": TEXT,
    "better": TEXT,
    "judge": (lambda value: value is None or isinstance(value, dict), "a mapping or null"),
}
CASE: Mapping[str, Check] = {
    "case": (lambda value: isinstance(value, str) and can_be_file_name(value), "part of a file's name"),
    "scores": (lambda value: value is None or isinstance(value, dict), "a mapping"),
    **dict.fromkeys(("source", "reference", "source_speaker", "target_speaker", "transcript", "error"), TEXT),
}


def _faults(read: object) -> Iterator[str]:
    """What is wrong with a report, each with the place, the value and what it must be."""
    if not isinstance(read, dict):
        yield f"it holds a {type(read).__name__}, not a mapping"
        return
    yield from _wrong(read, WHOLE, "")
    for name, metric in read["metrics"].items():
        yield from _wrong(metric, METRIC, f"the metric {excerpt(name, 60)}")
    seen: set[str] = set()
    widths: dict[str, int] = {}
    for place, case in enumerate(read["cases"], 1):
        yield from _wrong(case, CASE, f"case {place}")
        if case["case"] in seen:
            yield f"two cases are called {case['case']!r}"
        seen.add(case["case"])
        for name, score in (case.get("scores") or {}).items():
            if score is None:
                continue
            if not _is_score(score) or widths.setdefault(name, len(score)) != len(score):
                wanted = f"a list of {widths.get(name, 'one or more')} numbers up to {GREATEST:g}, or null"
                yield f"case {place}: the score {excerpt(name, 60)} is {_shown(score)}, but must be {wanted}"


def _wrong(found: Any, checks: Mapping[str, Check], where: str) -> Iterator[str]:
    if not isinstance(found, dict):
        yield f"{where} is {_shown(found)}, but must be a mapping"
        return
    for name, (fits, wanted) in checks.items():
        if not fits(found.get(name)):
            yield f"{where}{': ' if where else ''}{name} is {_shown(found.get(name))}, but must be {wanted}"


def _is_score(score: object) -> bool:
    if not isinstance(score, list) or not score:
        return False
    known = [number(value) for value in score]
    return all(value is not None and abs(value) <= GREATEST for value in known)


def _shown(value: object) -> str:
    if isinstance(value, dict | list):
        return f"a {type(value).__name__} of {len(value)}"
    # Python refuses to print an integer of more than 4,300 digits.
    return excerpt(repr(value), 60) if not isinstance(value, int) or abs(value) < 1 << 64 else "a huge integer"
