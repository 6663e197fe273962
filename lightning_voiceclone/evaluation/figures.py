"""The contents of a report: metrics over all cases with their intervals, and every case with its reasons."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lightning_voiceclone import __version__
from lightning_voiceclone.core.interfaces import MetricSource
from lightning_voiceclone.evaluation.bootstrap import ClusterBootstrap
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.evaluation.pairs import Pair, Pairs
from lightning_voiceclone.evaluation.recognizers.text_normalization import NORMALIZER
from lightning_voiceclone.evaluation.report import METRICS
from lightning_voiceclone.utils.files import atomic_file

LEVEL = 0.95
OF_WORDS = ("wer", "cer", "wer_self")


def clusters(rows: Sequence[Pair]) -> tuple[list[str], list[str]]:
    """Source and target speaker of each row; where one is unknown, its recording counts as its own speaker."""
    return (
        [row.source_speaker or str(row.source) for row in rows],
        [row.target_speaker or str(row.reference) for row in rows],
    )


def case_value(cls: type[Metric], score: Sequence[float] | None) -> float | None:
    """A single case's value, or None where it has none."""
    if score is None or not cls.per_case:
        return None
    return _finite(cls.summarize(np.array([score], dtype=np.float64), np.ones((1, 1)))[0])


def figure(cls: type[Metric], scores: Sequence[Sequence[float] | None], bootstrap: ClusterBootstrap) -> dict[str, Any]:
    """Mean over the cases that have a score, its interval, and their number."""
    known = np.array([score is not None for score in scores], dtype=bool)
    summary: dict[str, Any] = {"mean": None, "ci95": [None, None], "n": int(known.sum())}
    if known.any():
        table = np.array([score for score in scores if score is not None], dtype=np.float64)
        summary["mean"] = _finite(cls.summarize(table, np.ones((1, len(table))))[0])
        interval = bootstrap.interval(lambda weights: cls.summarize(table, weights), known=known, level=LEVEL)
        summary["ci95"] = [None, None] if interval is None else list(interval)
    summary |= {"unit": cls.unit, "better": "higher" if cls.higher_is_better else "lower", "best": cls.best}
    return summary


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def write_metrics(
    folder: Path,
    pairs: Pairs,
    system: Mapping[str, Any],
    classes: Mapping[str, type[Metric]],
    sources: Mapping[str, MetricSource | None],
    absent: Mapping[str, str],
    entries: Sequence[Mapping[str, Any]],
    *,
    against: str,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Write ``metrics.json``, and return its contents.

    Args:
        folder: of the report.
        pairs: the requested ones, in order.
        system: description of what was measured.
        classes: metrics by name, including absent ones.
        sources: the model behind each metric that is there.
        absent: metrics that are not there, with the reason.
        entries: the journal's entry of each pair, in the same order.
        against: what metrics that fall back to the source compare the clone with.
        draws: of the bootstrap.
        seed: of the bootstrap.
    """
    bootstrap = ClusterBootstrap(*clusters(pairs.rows), draws=draws, seed=seed)
    metrics: dict[str, Any] = {}
    for name, cls in classes.items():
        scores = [entry.get("scores", {}).get(name) for entry in entries]
        source = sources.get(name)
        metrics[name] = figure(cls, scores, bootstrap) | {"judge": None if source is None else asdict(source)}
        if cls.falls_back:
            metrics[name]["against"] = against
        if name in OF_WORDS:
            metrics[name]["normalizer"] = NORMALIZER
        if not metrics[name]["n"]:
            metrics[name]["reason"] = absent.get(name) or _shared_reason(name, entries)
    contents = {
        "version": __version__,
        "pairs_sha256": pairs.sha256,
        "pairs": str(pairs.path),
        "system": dict(system),
        "bootstrap": {
            "draws": draws,
            "seed": seed,
            "level": LEVEL,
            "source_speakers": bootstrap.clusters[0],
            "target_speakers": bootstrap.clusters[1],
        },
        "metrics": metrics,
        "cases": [_case(row, entry, classes, absent) for row, entry in zip(pairs.rows, entries, strict=True)],
    }
    with atomic_file(folder / METRICS) as temporary:
        temporary.write_text(
            json.dumps(contents, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )
    return contents


def _shared_reason(name: str, entries: Sequence[Mapping[str, Any]]) -> str:
    reasons = {entry.get("reasons", {}).get(name) or entry.get("error") or "not measured" for entry in entries}
    return "; ".join(sorted(reasons)[:3])


def _case(
    row: Pair, entry: Mapping[str, Any], classes: Mapping[str, type[Metric]], absent: Mapping[str, str]
) -> dict[str, Any]:
    scores = entry.get("scores", {})
    reasons = {**absent, **entry.get("reasons", {})}
    case: dict[str, Any] = {"case": row.case}
    case |= {name: case_value(cls, scores.get(name)) for name, cls in classes.items()}
    case["error"] = entry.get("error") or _faults(entry, classes)
    case["notes"] = entry.get("notes", [])
    case |= {"source": str(row.source), "reference": str(row.reference)}
    case |= {"source_speaker": row.source_speaker, "target_speaker": row.target_speaker, "transcript": row.transcript}
    case |= {name: entry[name] for name in ("heard", "heard_source", "seconds") if name in entry}
    case["reasons"] = {name: reasons[name] for name in classes if name in reasons and name not in scores}
    case["scores"] = {name: scores[name] for name in classes if name in scores}
    return case


def _faults(entry: Mapping[str, Any], classes: Mapping[str, type[Metric]]) -> str | None:
    """What is wrong with the case, with the metrics that it affects; None if nothing is."""
    by_reason: dict[str, list[str]] = {}
    for name in (name for name in classes if name in entry.get("faults", ())):
        by_reason.setdefault(entry["reasons"][name], []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()) or None
