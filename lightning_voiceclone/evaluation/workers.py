"""Cases measured in parallel, each process with a panel of its own."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.errors import LVCError, RecordingError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.panel import Panel, PanelSettings
from lightning_voiceclone.utils.processes import side_by_side

RATE = 16000  # of all measurements: what lies above 8 kHz is not measured


@dataclass(frozen=True)
class MetricJob:
    """One case to measure: its recordings as files, and the requested metrics.

    Args:
        key: of the case in the journal.
        case: its name.
        source: file.
        reference: file.
        clone: file.
        parallel: file, or None.
        genuine: file, or None.
        transcript: of the source.
        source_speaker: name, or empty.
        target_speaker: name, or empty.
        metrics: names.
    """

    key: str
    case: str
    source: Path
    reference: Path
    clone: Path
    parallel: Path | None
    genuine: Path | None
    transcript: str
    source_speaker: str
    target_speaker: str
    metrics: tuple[str, ...]

    def load(self) -> Case:
        """The case with its samples at ``RATE``; without ``genuine`` where that cannot be read.

        Raises:
            RecordingError: if another file cannot be read.
        """
        return Case(
            name=self.case,
            source=_samples(self.source),
            reference=_samples(self.reference),
            clone=_samples(self.clone),
            sample_rate=RATE,
            transcript=self.transcript,
            parallel=None if self.parallel is None else _samples(self.parallel),
            genuine=self._genuine(),
            source_speaker=self.source_speaker,
            target_speaker=self.target_speaker,
        )

    def _genuine(self) -> torch.Tensor | None:
        """The recording belongs to another pair, which reports its fault; here only one metric uses it."""
        try:
            return None if self.genuine is None else _samples(self.genuine)
        except RecordingError:
            return None


def _samples(path: Path) -> torch.Tensor:
    return torch.from_numpy(read_audio(path, RATE)[0])


def measure_all(
    jobs: Sequence[MetricJob], settings: PanelSettings, workers: int
) -> Iterator[tuple[MetricJob, dict[str, Any]]]:
    """Each job with the panel's results, as they finish; ``workers`` 1 measures in this process.

    Raises:
        LVCError: if a worker process dies.
    """
    workers = min(workers, len(jobs))
    if workers > 1:
        yield from side_by_side(_measure_here, jobs, workers, begin=_set_up, settings=settings, caller="evaluate")
    elif jobs:
        panel = Panel(settings)
        for job in jobs:
            yield job, _measure(panel, job)


_panel: Panel | None = None


def _set_up(settings: PanelSettings) -> None:
    global _panel  # noqa: PLW0603 - in a worker process nothing else outlives a call
    _panel = Panel(settings)


def _measure_here(job: MetricJob) -> dict[str, Any]:
    if _panel is None:
        raise LVCError("a worker process was not set up")
    return _measure(_panel, job)


def _measure(panel: Panel, job: MetricJob) -> dict[str, Any]:
    try:
        case = job.load()
    except RecordingError as error:
        return {"error": " ".join(str(error).split())}
    results = panel.measure(case, [name for name in job.metrics if name in panel.metrics])
    seconds = {role: len(getattr(case, role)) / RATE for role in ("source", "reference", "clone")}
    return results | {"seconds": {role: round(value, 3) for role, value in seconds.items()}}
