"""Reading a report's folder: metrics.json and the recordings beside it."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lightning_voiceclone.errors import ConfigurationError

METRICS = "metrics.json"
AUDIO = "audio"
ROLES = ("source", "reference", "clone")


@dataclass(frozen=True)
class Report:
    """What ``lvc evaluate`` found out, as ``metrics.json`` has it.

    Args:
        folder: of the report.
        pairs_sha256: of the pairs that were judged.
        system: what was judged; ``warnings`` is a list of sentences.
        metrics: name to mean, ci95, n, unit, better and judge.
        cases: in the order of the pairs: case, the metrics' names with a number or None, error, and texts.
        bootstrap: of the intervals: draws, and clusters by their names; empty where the report does not say.
    """

    folder: Path
    pairs_sha256: str
    system: Mapping[str, Any]
    metrics: Mapping[str, Mapping[str, Any]]
    cases: tuple[Mapping[str, Any], ...]
    bootstrap: Mapping[str, Any]

    def audio(self, case: str, role: str) -> Path:
        """Path of a case's recording, whether it is there or not; ``role`` is source, reference or clone."""
        return self.folder / AUDIO / f"{case}.{role}.wav"


def read_report(folder: str | Path) -> Report:
    """The report in a folder.

    Raises:
        ConfigurationError: if ``metrics.json`` is missing or is not what ``lvc evaluate`` writes.
    """
    folder = Path(folder)
    path = folder / METRICS
    try:
        read = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise ConfigurationError(f"{folder} has no {METRICS}; lvc evaluate --output {folder} writes it") from None
    except (ValueError, OSError) as error:
        raise ConfigurationError(f"{path} cannot be read: {error}; run lvc evaluate again") from error
    fault = _fault(read)
    if fault:
        raise ConfigurationError(f"{path} is no report: {fault}; run lvc evaluate again")
    bootstrap = read.get("bootstrap")
    return Report(folder, read["pairs_sha256"], read["system"], read["metrics"], tuple(read["cases"]),
                  bootstrap if isinstance(bootstrap, dict) else {})  # fmt: skip


def number(value: object) -> float | None:
    """A finite number of a report, or None."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value)


def _fault(read: object) -> str:
    wanted = {"pairs_sha256": str, "system": dict, "metrics": dict, "cases": list}
    if not isinstance(read, dict):
        return f"it holds a {type(read).__name__}, not a mapping"
    for name, kind in wanted.items():
        if not isinstance(read.get(name), kind):
            return f"{name} is {read.get(name)!r:.40}, not a {kind.__name__}"
    for name, metric in read["metrics"].items():
        if not isinstance(metric, dict):
            return f"the metric {name} is {metric!r:.40}, not a mapping"
    seen = set()
    for case in read["cases"]:
        called = case.get("case") if isinstance(case, dict) else None
        if not isinstance(called, str) or not called or Path(called).name != called or "\0" in called:
            return f"a case is called {called!r:.40}, which cannot be part of a file's name"
        if called in seen:
            return f"two cases are called {called!r}"
        seen.add(called)
    return ""
