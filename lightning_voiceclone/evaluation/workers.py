"""Cases judged side by side, each process with a panel of its own."""

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

RATE = 16000  # at which everything is judged: what lies above 8 kHz is not heard


@dataclass(frozen=True)
class MetricJob:
    """One case to judge: its recordings as files, and the measures that are wanted.

    Args:
        key: in the journal.
        case: its name.
        source: file.
        reference: file.
        clone: file.
        parallel: file, or None.
        genuine: file, or None.
        transcript: of the source.
        source_speaker: name, or empty.
        target_speaker: name, or empty.
        measures: names.
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
    measures: tuple[str, ...]

    def load(self) -> Case:
        """The case with its samples, at the judges' rate; without ``genuine`` where that cannot be read.

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
        """It is another pair's recording, whose fault is told there, and of use to a single measure here."""
        try:
            return None if self.genuine is None else _samples(self.genuine)
        except RecordingError:
            return None


def _samples(path: Path) -> torch.Tensor:
    return torch.from_numpy(read_audio(path, RATE)[0])


def judge_all(
    jobs: Sequence[MetricJob], settings: PanelSettings, workers: int
) -> Iterator[tuple[MetricJob, dict[str, Any]]]:
    """Each job with what the panel says, as they come; ``workers`` 1 judges in this process.

    Raises:
        LVCError: if a worker process dies.
    """
    workers = min(workers, len(jobs))
    if workers > 1:
        yield from side_by_side(_judge_here, jobs, workers, begin=_set_up, settings=settings, caller="evaluate")
    elif jobs:
        panel = Panel(settings)
        for job in jobs:
            yield job, _judge(panel, job)


_panel: Panel | None = None


def _set_up(settings: PanelSettings) -> None:
    global _panel  # noqa: PLW0603 - a worker process has no other place that outlives a call
    _panel = Panel(settings)


def _judge_here(job: MetricJob) -> dict[str, Any]:
    if _panel is None:
        raise LVCError("a worker process was not set up")
    return _judge(_panel, job)


def _judge(panel: Panel, job: MetricJob) -> dict[str, Any]:
    try:
        case = job.load()
    except RecordingError as error:
        return {"error": " ".join(str(error).split())}
    told = panel.judge(case, [name for name in job.measures if name in panel.measures])
    seconds = {role: len(getattr(case, role)) / RATE for role in ("source", "reference", "clone")}
    return told | {"seconds": {role: round(value, 3) for role, value in seconds.items()}}
