"""Reports side by side: the same metrics of several systems on the same cases, and their paired differences."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.bootstrap import ClusterBootstrap, Floats
from lightning_voiceclone.evaluation.figures import LEVEL
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.evaluation.panel import known_metrics
from lightning_voiceclone.evaluation.report import Report, read_report
from lightning_voiceclone.utils.reading import excerpt

SAME = ("judge", "normalizer", "unit", "better")  # fields that must agree for a metric to be comparable


@dataclass(frozen=True)
class Comparison:
    """Metrics of several reports over the cases that all of them have.

    Args:
        reports: in the order given; the first is what the others are compared with.
        metrics: name to unit, better, judge, n, ``means`` (one for each report), ``differences`` and ``ci95`` (one for
            each report but the first: it less the first) and ``better_than_first`` (True, False, or None where the
            interval of the difference holds 0).
        left_out: metrics that are not compared, with the reason.
    """

    reports: tuple[Report, ...]
    metrics: Mapping[str, Mapping[str, Any]]
    left_out: Mapping[str, str]

    def as_dict(self) -> dict[str, Any]:
        """As a plain mapping, for JSON."""
        systems = [{"report": str(report.folder), **report.system} for report in self.reports]
        return {
            "pairs_sha256": self.reports[0].pairs_sha256,
            "systems": systems,
            "metrics": dict(self.metrics),
            "left_out": dict(self.left_out),
        }


def compare(folders: Sequence[str | Path], *, draws: int = 2000, seed: int = 0) -> Comparison:
    """Compare reports of ``lvc evaluate``.

    A metric is taken over the cases that have it in all reports, and differences case by case, with an interval
    clustered over source and target speakers as in each report.

    Args:
        folders: of the reports, two or more.
        draws: of the bootstrap.
        seed: of the bootstrap.

    Raises:
        ConfigurationError: if there are fewer than two, or their pairs, cases or measuring models differ.
    """
    if len(folders) < 2:
        raise ConfigurationError(f"a comparison needs two reports or more, not {len(folders)}")
    reports = tuple(read_report(folder) for folder in folders)
    first = reports[0]
    for other in reports[1:]:
        _check_same(first, other)
    left_out: dict[str, str] = {}
    known, metrics = known_metrics(), {}
    bootstrap = ClusterBootstrap(*_clusters(first), draws=draws, seed=seed)
    for name in dict.fromkeys(name for report in reports for name in report.metrics):
        try:
            metrics[name] = _compared(name, reports, known.get(name), bootstrap)
        except _LeftOutError as reason:
            left_out[name] = str(reason)
    return Comparison(reports, metrics, left_out)


class _LeftOutError(Exception):
    """Why a metric is not compared."""


def _check_same(first: Report, other: Report) -> None:
    def refuse(what: str, ours: object, theirs: object) -> None:
        raise ConfigurationError(
            f"{first.folder} and {other.folder} cannot be compared: {excerpt(what)} is {excerpt(ours)} in the one"
            f" and {excerpt(theirs)} in the other; evaluate both alike"
        )

    if first.pairs_sha256 != other.pairs_sha256:
        refuse("pairs_sha256", first.pairs_sha256, other.pairs_sha256)
    names = [[case["case"] for case in report.cases] for report in (first, other)]
    if names[0] != names[1]:
        odd = sorted(set(names[0]) ^ set(names[1]))
        detail = f" ({odd[0]}, for one, is only in one of them)" if odd else " (in another order)"
        refuse("the number of cases", len(names[0]), f"{len(names[1])}{detail}")
    for name in [name for name in first.metrics if name in other.metrics]:
        ours, theirs = first.metrics[name], other.metrics[name]
        if not (ours.get("n") and theirs.get("n")):
            continue  # a metric without a value has no measuring model either
        for field in SAME:
            left, right = ours.get(field), theirs.get(field)
            if isinstance(left, Mapping) and isinstance(right, Mapping):
                for part in ("name", "version", "sha256"):
                    if left.get(part) != right.get(part):
                        refuse(f"{name}: {field}.{part}", left.get(part), right.get(part))
            elif left != right:
                refuse(f"{name}: {field}", left, right)


def _clusters(report: Report) -> tuple[list[str], list[str]]:
    """As in the reports themselves: where a speaker is unknown, the recording counts as its own speaker."""
    return (
        [str(case.get("source_speaker") or case.get("source")) for case in report.cases],
        [str(case.get("target_speaker") or case.get("reference")) for case in report.cases],
    )


def _compared(
    name: str, reports: Sequence[Report], cls: type[Metric] | None, bootstrap: ClusterBootstrap
) -> dict[str, Any]:
    if absent := [str(report.folder) for report in reports if name not in report.metrics]:
        raise _LeftOutError(f"not in {', '.join(absent)}")
    if cls is None:
        raise _LeftOutError("the plugin that measures it is not installed")
    against = {str(report.metrics[name].get("against")) for report in reports}
    if len(against) > 1:
        raise _LeftOutError(f"computed against different recordings: {excerpt('; '.join(sorted(against)))}")
    better = reports[0].metrics[name].get("better")
    if better not in ("higher", "lower"):
        raise _LeftOutError("the report does not state whether higher or lower is better")
    scores = [[(case.get("scores") or {}).get(name) for case in report.cases] for report in reports]
    known = np.array([all(score is not None for score in of_case) for of_case in zip(*scores, strict=True)], dtype=bool)
    if not known.any():
        raise _LeftOutError("no case has it in all reports")
    tables = [
        np.array([score for score, keep in zip(column, known, strict=True) if keep], np.float64) for column in scores
    ]
    means = _means(cls, tables)
    differences: list[float] = []
    intervals: list[list[float | None]] = []
    verdicts: list[bool | None] = []
    shared: dict[str, Any] = {field: reports[0].metrics[name].get(field) for field in ("unit", "better", "judge")}
    for table, mean in zip(tables[1:], means[1:], strict=True):
        interval = bootstrap.interval(_difference(cls, tables[0], table), known=known, level=LEVEL)
        differences.append(mean - means[0])
        intervals.append([None, None] if interval is None else list(interval))
        verdicts.append(_verdict(interval, better))
    return shared | {
        "n": int(known.sum()),
        "means": means,
        "differences": differences,
        "ci95": intervals,
        "better_than_first": verdicts,
    }


def _means(cls: type[Metric], tables: Sequence[Floats]) -> list[float]:
    try:
        return [float(cls.summarize(table, np.ones((1, len(table))))[0]) for table in tables]
    except (IndexError, ValueError, ArithmeticError) as error:
        widths = ", ".join(str(table.shape[1]) for table in tables)
        raise _LeftOutError(f"its scores cannot be summed up, of {widths} numbers each: {error}") from error


def _difference(cls: type[Metric], first: Floats, other: Floats) -> Callable[[Floats], Floats]:
    def difference(weights: Floats) -> Floats:
        return cls.summarize(other, weights) - cls.summarize(first, weights)

    return difference


def _verdict(interval: tuple[float, float] | None, better: str) -> bool | None:
    if interval is None or interval[0] <= 0 <= interval[1]:
        return None
    return (interval[0] > 0) == (better == "higher")
