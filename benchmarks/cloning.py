"""The figures of a cloning model, each with its interval and its goal.

    python benchmarks/cloning.py --speech ../shared/speech --output runs/cloning [--voice VOICE] [--part PART]

``--voice`` is a checkpoint, a model folder, or ``default``, which ships. Of speakers that no model here was trained
with (LibriSpeech test-other, the pairs of eval_pairs.tsv); parts, all of them by default:

- ``pairs``: voice, words and quality of the clones beside those of the source recordings (goals: similarity_reference
  at least 0.87, nearer_reference at least 0.95, wer at most the recordings' and 0.05, dnsmos_ovrl not below the
  recordings'). ``--second-encoder NAME:settings`` measures the voice once more by another speaker encoder
  (goal: nearer_reference at least 0.95).
- ``references``: the pair's reference alone against it and three more recordings of its speaker, by the mean
  Resemblyzer cosine to the speaker's recordings that neither was given (goal: not lower).
- ``noise``: as pairs, with pink noise at 10 dB in the source, then in the reference, which is denoised as ``lvc clone``
  does by itself; beside the same pairs clean. Metrics get the clean recordings.
- ``speed`` (for a quiet machine): real-time factor with 2 threads (goal: at most 0.06), seconds of ``lvc clone`` from
  the shell (at most 3), peak memory (at most 1 GB), megabytes of weights (at most 30), equal samples for equal seeds.
- ``adaptation``: each speaker's first 30 s, ``lvc adapt`` against zero-shot with the same recordings as references, by
  the mean Resemblyzer cosine to the speaker's other recordings, and Whisper (goals: cosine up, with an interval above
  0; wer up by at most 0.03; at most 10 minutes a speaker).

Reports go to ``--output``; what is there already is not done again, so that an interrupted run is resumed.
Figures of another model need another folder. Needs the extra ``judges``.
"""

import argparse
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from cloning_speakers import print_adaptation, print_references
from cloning_speed import print_speed

from lightning_voiceclone.audio.augmentation import AddNoise
from lightning_voiceclone.audio.io import read_audio, write_audio
from lightning_voiceclone.evaluation.compare import compare
from lightning_voiceclone.evaluation.pairs import Pair
from lightning_voiceclone.evaluation.report import Report
from lightning_voiceclone.evaluation.run import evaluate
from lightning_voiceclone.evaluation.systems import ClonedBy, GroundTruth, System
from lightning_voiceclone.training.adaptation import STRENGTH

PARTS = ("pairs", "references", "noise", "speed", "adaptation")
BY_VOICE = ("similarity_reference", "similarity_source", "nearer_reference")
MEASURES = (*BY_VOICE, "wer", "wer_self", "dnsmos_ovrl")
NOISE_DB, NOISY_PAIRS = 10.0, 30
Goal = tuple[str, bool]  # what is wanted, and whether it is reached


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--voice", default="default", help="checkpoint, voice folder, or default")
    parser.add_argument("--speech", type=Path, default=Path("../shared/speech"),
                        help="folder with LibriSpeech/test-other and eval_pairs.tsv")  # fmt: skip
    parser.add_argument("--output", type=Path, required=True, help="folder of the reports")
    parser.add_argument("--part", default="all", choices=(*PARTS, "all"))
    parser.add_argument("--limit", type=int, help=f"so many pairs only, evenly spread (noise: {NOISY_PAIRS})")
    parser.add_argument("--second-encoder", metavar="NAME:settings", help="another speaker encoder, for pairs")
    parser.add_argument("--speakers", type=int, help="adapt to so many speakers only")
    parser.add_argument("--steps", type=int, default=300, help="of each adaptation")
    parser.add_argument("--strength", type=float, default=STRENGTH, help="of each adaptation")
    parser.add_argument("--workers", type=int, default=0, help="processes that measure; 0 for one a processor")
    options = parser.parse_args()
    options.pairs = options.speech / "eval_pairs.tsv"
    # Speed first: metrics in the same process, and the memory that they keep, are no part of it.
    parts: dict[str, Callable[[argparse.Namespace], None]] = {
        "speed": print_speed, "pairs": print_pairs, "noise": print_noise, "references": print_references,
        "adaptation": print_adaptation,
    }  # fmt: skip
    for name, run in parts.items():
        if options.part in (name, "all"):
            run(options)


def evaluated(options: argparse.Namespace, system: System, name: str, **settings: Any) -> Report:
    """The report of a system, in the output's folder of that name."""
    settings = {"limit": options.limit, "measures": MEASURES, "workers": options.workers, **settings}
    return evaluate(options.pairs, system, options.output / name, **settings)


def show(report: Report, title: str, goals: Mapping[str, Goal] | None = None) -> None:
    """Print a report's figures, a line each."""
    failed = sum(bool(case["error"]) for case in report.cases)
    print(f"{title}, {len(report.cases)} pairs, {failed} with a fault, report in {report.folder}:")
    for name, metric in report.metrics.items():
        source = metric["judge"]
        by = f" by {source['name']} {source['version']}" if source else ""
        goal = ""
        if goals and name in goals:
            wanted, reached = goals[name]
            goal = f"; goal {wanted}: {'reached' if reached else 'not reached'}"
        print(f"  {name} {figure(metric['mean'], metric['ci95'])}{by}{goal}", flush=True)


def figure(mean: float | None, interval: Sequence[float | None] | None, sign: str = "") -> str:
    """Mean and interval, as far as they are known."""
    if mean is None:
        return "unknown"
    low, high = interval or (None, None)
    ends = "no interval" if low is None or high is None else f"{low:{sign}.3f} to {high:{sign}.3f}"
    return f"{mean:{sign}.3f} ({ends})"


# Voice, words and quality ---------------------------------------------------------------------------------------------


def print_pairs(options: argparse.Namespace) -> None:
    """The recordings, then the model beside its goals, then by the second encoder."""
    recordings = evaluated(options, GroundTruth(), "recordings")
    show(recordings, "pairs, the recordings themselves")
    cloned = evaluated(options, ClonedBy(options.voice), "pairs")
    show(cloned, "pairs, the voice", goals(mean(cloned), mean(recordings)))
    if options.second_encoder:
        name = f"pairs-{re.sub(r'[^A-Za-z0-9]+', '-', options.second_encoder)}"
        second = evaluated(
            options, ClonedBy(options.voice), name, measures=BY_VOICE, speaker_encoder=options.second_encoder
        )
        share = mean(second)["nearer_reference"]
        show(second, "pairs, the voice by the second encoder", {"nearer_reference": ("at least 0.95", share >= 0.95)})


def mean(report: Report) -> dict[str, float]:
    """Figures by name; what is unknown is no number, and reaches no goal."""
    return {name: float("nan") if metric["mean"] is None else metric["mean"] for name, metric in report.metrics.items()}


def goals(ours: Mapping[str, float], theirs: Mapping[str, float]) -> dict[str, Goal]:
    """What the voice's figures are to be, beside the recordings'."""
    words, quality = theirs["wer"] + 0.05, theirs["dnsmos_ovrl"]
    return {
        "similarity_reference": ("at least 0.87", ours["similarity_reference"] >= 0.87),
        "nearer_reference": ("at least 0.95", ours["nearer_reference"] >= 0.95),
        "wer": (f"at most {words:.3f}, the recordings' and 0.05", ours["wer"] <= words),
        "dnsmos_ovrl": (f"at least {quality:.3f}, the recordings'", ours["dnsmos_ovrl"] >= quality),
    }


# Noise ----------------------------------------------------------------------------------------------------------------


class ClonedFromNoise(ClonedBy):
    """A model that gets one of the pair's recordings with pink noise; the table, and so the metrics, have it clean.

    Args:
        voice: as for :class:`ClonedBy`.
        role: source or reference.
    """

    def __init__(self, voice: str, role: str) -> None:
        super().__init__(voice)
        self.role = role

    def describe(self) -> dict[str, Any]:
        described = super().describe()
        return described | {"name": f"{described['name']}, pink noise at {NOISE_DB:g} dB in the {self.role}"}

    def convert(self, pair: Pair) -> tuple[np.ndarray, int]:
        audio, rate = read_audio(getattr(pair, self.role))
        with torch.random.fork_rng(devices=[]), TemporaryDirectory() as folder:
            torch.manual_seed(zlib.crc32(f"{pair.case} {self.role}".encode()))
            noisy = AddNoise(NOISE_DB, NOISE_DB, noise="pink", probability=1.0)(torch.from_numpy(audio)[None], rate)[0]
            path = Path(folder) / f"{self.role}.wav"
            write_audio(path, noisy.numpy(), rate)
            noise: dict[str, Any] = {self.role: path}
            return super().convert(replace(pair, **noise))


def print_noise(options: argparse.Namespace) -> None:
    """Clean, with noise in the source, with noise in the reference, and what the noise takes away."""
    limit = min(options.limit or NOISY_PAIRS, NOISY_PAIRS)
    clean = evaluated(options, ClonedBy(options.voice), "noise-none", limit=limit)
    show(clean, "noise in neither recording")
    noisy = []
    for role in ("source", "reference"):
        noisy.append(evaluated(options, ClonedFromNoise(options.voice, role), f"noise-{role}", limit=limit))
        show(noisy[-1], f"noise at {NOISE_DB:g} dB in the {role}")
    metrics = compare([report.folder for report in (clean, *noisy)]).metrics
    for place, role in enumerate(("source", "reference")):
        print(f"noise in the {role}, less clean, paired:")
        for name, metric in metrics.items():
            print(f"  {name} {figure(metric['differences'][place], metric['ci95'][place], '+')}", flush=True)


if __name__ == "__main__":
    main()
