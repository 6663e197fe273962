"""Reports as ``lvc evaluate`` writes them, made of synthetic sounds: for tests of what reads them."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lightning_voiceclone.testing.signals import speech_like

JUDGE = {"name": "Judge", "version": "1.2", "sha256": "ab" * 32}
MEASURES = {"mcd_db": ("dB", "lower", None), "similarity_reference": ("", "higher", JUDGE), "wer": ("", "lower", JUDGE)}


def write_report(
    folder: Path,
    cases: Sequence[str] = ("a-to-b", "b-to-c", "c-to-a"),
    *,
    system: dict[str, Any] | None = None,
    pairs_sha256: str = "12" * 32,
    seconds: float = 0.6,
    seed: int = 0,
) -> dict[str, Any]:
    """Write ``metrics.json`` and ``audio/`` with a source, a reference and a clone for each case.

    Figures and clones follow from ``seed``; sources and references from the cases alone, as for systems evaluated on
    the same pairs.

    Returns:
        What ``metrics.json`` holds.
    """
    import soundfile

    (folder / "audio").mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    rows: list[dict[str, Any]] = []
    for index, case in enumerate(cases):
        sounds = {
            "source": speech_like(seconds, speaker=index, seed=index),
            "reference": speech_like(1.5 * seconds, speaker=index + 1, seed=100 + index),
            "clone": speech_like(seconds, speaker=index + 1, seed=1000 * (seed + 1) + index),
        }
        for role, sound in sounds.items():
            soundfile.write(folder / "audio" / f"{case}.{role}.wav", sound.audio, sound.sample_rate, subtype="PCM_16")
        source, _, target = case.partition("-to-")
        figures = {name: round(float(random.uniform(0.1, 0.9)), 4) for name in MEASURES}
        rows.append({"case": case, "source_speaker": source, "target_speaker": target, "transcript": f"WORDS {index}",
                     **figures, "error": None})  # fmt: skip
    metrics = {}
    for name, (unit, better, judge) in MEASURES.items():
        mean = sum(row[name] for row in rows) / max(len(rows), 1)
        metrics[name] = {"mean": mean, "ci95": [mean - 0.1, mean + 0.1], "n": len(rows), "unit": unit,
                         "better": better, "judge": judge}  # fmt: skip
    report = {
        "pairs_sha256": pairs_sha256,
        "system": {"name": folder.name} if system is None else system,
        "metrics": metrics,
        "cases": rows,
    }
    (folder / "metrics.json").write_text(json.dumps(report), encoding="utf-8")
    return report
