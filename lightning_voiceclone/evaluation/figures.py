"""What the report says: figures over all cases with their intervals, and every case with its reasons."""

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
    """Source and target speaker of each row; where one is unknown, its recording stands for it."""
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
    """Mean over the cases that have a score, its interval, and how many they are."""
    known = np.array([score is not None for score in scores], dtype=bool)
    told: dict[str, Any] = {"mean": None, "ci95": [None, None], "n": int(known.sum())}
    if known.any():
        table = np.array([score for score in scores if score is not None], dtype=np.float64)
        told["mean"] = _finite(cls.summarize(table, np.ones((1, len(table))))[0])
        interval = bootstrap.interval(lambda weights: cls.summarize(table, weights), known=known, level=LEVEL)
        told["ci95"] = [None, None] if interval is None else list(interval)
    told |= {"unit": cls.unit, "better": "higher" if cls.higher_is_better else "lower", "best": cls.best}
    return told


def _finite(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def write_metrics(
    folder: Path,
    pairs: Pairs,
    system: Mapping[str, Any],
    measures: Mapping[str, type[Metric]],
    judges: Mapping[str, MetricSource | None],
    absent: Mapping[str, str],
    entries: Sequence[Mapping[str, Any]],
    *,
    against: str,
    draws: int,
    seed: int,
) -> dict[str, Any]:
    """Write ``metrics.json``, and give what it holds.

    Args:
        folder: of the report.
        pairs: those that were asked for, in order.
        system: what was judged.
        measures: classes by name, those that are absent too.
        judges: of each measure that is there.
        absent: measures that are not there, with the reason.
        entries: of each pair, in the same order, what the journal holds.
        against: what measures lay the clone beside that fall back to the source.
        draws: of the bootstrap.
        seed: of the bootstrap.
    """
    bootstrap = ClusterBootstrap(*clusters(pairs.rows), draws=draws, seed=seed)
    metrics: dict[str, Any] = {}
    for name, cls in measures.items():
        scores = [entry.get("scores", {}).get(name) for entry in entries]
        judge = judges.get(name)
        metrics[name] = figure(cls, scores, bootstrap) | {"judge": None if judge is None else asdict(judge)}
        if cls.falls_back:
            metrics[name]["against"] = against
        if name in OF_WORDS:
            metrics[name]["normalizer"] = NORMALIZER
        if not metrics[name]["n"]:
            metrics[name]["reason"] = absent.get(name) or _shared_reason(name, entries)
    told = {
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
        "cases": [_case(row, entry, measures, absent) for row, entry in zip(pairs.rows, entries, strict=True)],
    }
    with atomic_file(folder / METRICS) as temporary:
        temporary.write_text(json.dumps(told, indent=1, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8")
    return told


def _shared_reason(name: str, entries: Sequence[Mapping[str, Any]]) -> str:
    reasons = {entry.get("reasons", {}).get(name) or entry.get("error") or "not judged" for entry in entries}
    return "; ".join(sorted(reasons)[:3])


def _case(
    row: Pair, entry: Mapping[str, Any], measures: Mapping[str, type[Metric]], absent: Mapping[str, str]
) -> dict[str, Any]:
    scores = entry.get("scores", {})
    reasons = {**absent, **entry.get("reasons", {})}
    told: dict[str, Any] = {"case": row.case}
    told |= {name: case_value(cls, scores.get(name)) for name, cls in measures.items()}
    told["error"] = entry.get("error") or _faults(entry, measures)
    told["notes"] = entry.get("notes", [])
    told |= {"source": str(row.source), "reference": str(row.reference)}
    told |= {"source_speaker": row.source_speaker, "target_speaker": row.target_speaker, "transcript": row.transcript}
    told |= {name: entry[name] for name in ("heard", "heard_source", "seconds") if name in entry}
    told["reasons"] = {name: reasons[name] for name in measures if name in reasons and name not in scores}
    told["scores"] = {name: scores[name] for name in measures if name in scores}
    return told


def _faults(entry: Mapping[str, Any], measures: Mapping[str, type[Metric]]) -> str | None:
    """What is wrong with the case, with the measures that it keeps from answering; None if nothing is."""
    by_reason: dict[str, list[str]] = {}
    for name in (name for name in measures if name in entry.get("faults", ())):
        by_reason.setdefault(entry["reasons"][name], []).append(name)
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()) or None
