"""Cases judged side by side, each process with a panel of its own."""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightning_voiceclone.audio.recordings import read_audio
from lightning_voiceclone.errors import LVCError, RecordingError
from lightning_voiceclone.evaluation.panel import Panel, PanelSettings
from lightning_voiceclone.interfaces import Case

RATE = 16000  # at which everything is judged: what lies above 8 kHz is not heard


@dataclass(frozen=True)
class Job:
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
    measures: tuple[str, ...]

    def load(self) -> Case:
        """The case with its samples, at the judges' rate.

        Raises:
            RecordingError: if a file cannot be read.
        """

        def samples(path: Path) -> torch.Tensor:
            return torch.from_numpy(read_audio(path, RATE)[0])

        return Case(
            name=self.case,
            source=samples(self.source),
            reference=samples(self.reference),
            clone=samples(self.clone),
            sample_rate=RATE,
            transcript=self.transcript,
            parallel=None if self.parallel is None else samples(self.parallel),
            genuine=None if self.genuine is None else samples(self.genuine),
        )


def judge_all(jobs: Sequence[Job], settings: PanelSettings, workers: int) -> Iterator[tuple[Job, dict[str, Any]]]:
    """Each job with what the panel says, as they come; ``workers`` 1 judges in this process.

    Raises:
        LVCError: if a worker process dies.
    """
    workers = min(workers, len(jobs))
    if workers <= 1:
        panel = Panel(settings) if jobs else None
        for job in jobs:
            assert panel is not None
            yield job, _judge(panel, job)
        return
    # Forking a process that has used torch's threads may hang; a server that has not is forked instead, or nothing.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin_worker, initargs=(settings,)
    )
    try:
        waiting = {pool.submit(_judge_here, job): job for job in jobs}
        for future in concurrent.futures.as_completed(waiting):
            yield waiting.pop(future), future.result()
            del future  # what is done is kept in the journal, not here
    except BrokenProcessPool as error:
        raise LVCError(
            "a judging process did not start or died, perhaps for lack of memory; try fewer --workers, or, from a"
            ' script of your own, call evaluate below `if __name__ == "__main__":`; what is done is kept'
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_panel: Panel | None = None


def _begin_worker(settings: PanelSettings) -> None:
    global _panel  # noqa: PLW0603 - a worker process has no other place that outlives a call
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends the workers in order
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(1)
    _panel = Panel(settings)


def _end_with_parent() -> None:
    """A parent that is killed outright cannot end its workers, which would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)


def _judge_here(job: Job) -> dict[str, Any]:
    if _panel is None:
        raise LVCError("a worker process was not set up")
    return _judge(_panel, job)


def _judge(panel: Panel, job: Job) -> dict[str, Any]:
    try:
        case = job.load()
    except RecordingError as error:
        return {"error": " ".join(str(error).split())}
    told = panel.judge(case, [name for name in job.measures if name in panel.measures])
    seconds = {role: len(getattr(case, role)) / RATE for role in ("source", "reference", "clone")}
    return told | {"seconds": {role: round(value, 3) for role, value in seconds.items()}}
