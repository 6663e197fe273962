"""Convert many recordings by one command: the model and each reference are loaded once in each process."""

import functools
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from lightning_voiceclone.audio.checks import digest_of
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.inference.batch_jobs import CloneJob
from lightning_voiceclone.inference.converter import Converter, Speaker, load_model
from lightning_voiceclone.utils.files import explain_os_error, unwritable_above
from lightning_voiceclone.utils.journal import Journal, key_of
from lightning_voiceclone.utils.processes import side_by_side
from lightning_voiceclone.utils.progress import progress_bar

JOURNAL = ".lvc-clones.jsonl"  # in the output folder: what was made of what
MOST_SPEAKERS = 64  # kept in each process
PRELOAD = ("lightning_voiceclone.inference.batch",)


@dataclass(frozen=True)
class BatchSettings:
    """What all conversions share.

    Args:
        output: the folder.
        model: arguments of :func:`~lightning_voiceclone.inference.converter.load_model`, beside ``note``.
        options: of :meth:`~lightning_voiceclone.inference.converter.Converter.convert`.
        done: keys of the conversions whose output is there.
    """

    output: Path
    model: dict[str, Any] = field(default_factory=dict)
    options: dict[str, Any] = field(default_factory=dict)
    done: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Outcome:
    """What became of one conversion.

    Args:
        key: of all on which the output depends; empty if that could not be read.
        error: why it failed, in one line; empty if it did not.
        skipped: whether the output was there already.
        notes: lines on what was done to the recordings.
    """

    key: str = ""
    error: str = ""
    skipped: bool = False
    notes: tuple[str, ...] = ()


@dataclass
class Summary:
    """How many conversions were made, skipped because they were made before, and failed."""

    converted: int = 0
    skipped: int = 0
    failed: int = 0

    def __str__(self) -> str:
        """In one line."""
        return f"{self.converted} converted, {self.skipped} skipped as done before, {self.failed} failed"


class _Worker:
    """The model in one process, and the speakers that it has analysed."""

    def __init__(self, settings: BatchSettings) -> None:
        self.settings = settings
        self._notes: list[str] = []
        self.model: Converter = load_model(**settings.model, note=self._notes.append)
        self._speaker = functools.lru_cache(maxsize=MOST_SPEAKERS)(self._analysed)
        self._hash = functools.lru_cache(maxsize=MOST_SPEAKERS)(_sha256)

    def _analysed(self, references: tuple[str, ...]) -> Speaker | LVCError:
        try:
            return self.model.speaker(*references)
        except LVCError as error:  # kept, so that it is not analysed for each of its sources again
            return error

    def convert(self, job: CloneJob) -> Outcome:
        """Convert one recording, unless its output is there."""
        self._notes.clear()
        key = ""
        try:
            key = self._key(job)
            if key in self.settings.done:
                return Outcome(key, skipped=True)
            speaker = self._speaker(job.references) if job.references else None
            if isinstance(speaker, LVCError):
                raise speaker
            self.model.convert_file(job.source, speaker, self.settings.output / job.output, **self.settings.options)
        except (LVCError, MemoryError) as error:
            return Outcome(key, error=" ".join(str(error).split()) or "out of memory", notes=tuple(self._notes))
        except OSError as error:
            return Outcome(key, error=explain_os_error(error, job.source), notes=tuple(self._notes))
        return Outcome(key, notes=tuple(self._notes))

    def _key(self, job: CloneJob) -> str:
        options = sorted((name, str(value)) for name, value in self.settings.options.items())
        hashes = [_sha256(job.source), *(self._hash(path) for path in job.references)]
        return key_of(self.model.fingerprint, self.model.denoise, options, job.output, hashes)


_here: list[_Worker] = []  # of this process, if it is one of several


def _begin(settings: BatchSettings) -> None:
    _here[:] = [_Worker(settings)]


def _convert(job: CloneJob) -> Outcome:
    return _here[0].convert(job)


def convert_many(
    jobs: Sequence[CloneJob],
    output: str | os.PathLike[str],
    *,
    model: dict[str, Any],
    options: dict[str, Any],
    workers: int = 1,
    note: Callable[[str], None] = print,
    progress: bool = False,
) -> Summary:
    """Convert recordings to files in a folder; what fails is noted, and the rest go on.

    An output that an earlier call made of the same source, references, model and options is skipped.

    Args:
        jobs: as of :func:`~lightning_voiceclone.inference.batch_jobs.clone_jobs`.
        output: the folder.
        model: arguments of :func:`~lightning_voiceclone.inference.converter.load_model`.
        options: of :meth:`~lightning_voiceclone.inference.converter.Converter.convert`.
        workers: processes, each with a model of its own and, if there are several, one thread.
        note: called with each line on a recording, and with each failure.
        progress: whether to show a bar on a terminal.

    Raises:
        ConfigurationError: if the folder cannot be written, or the number of processes is below 1.
        LVCError: if the model cannot be loaded, or a process dies.
    """
    output = Path(output)
    if workers < 1:
        raise ConfigurationError(f"--jobs is {workers}; give 1 or more processes")
    if output.exists() and not output.is_dir():
        raise ConfigurationError(f"{output} is a file; for several sources, name a folder")
    if (above := unwritable_above(output / "c.wav")) is not None:
        raise ConfigurationError(f"{output} cannot be written: {above} is no folder that you may write to")
    output.mkdir(parents=True, exist_ok=True)
    journal = Journal(output / JOURNAL)
    done = frozenset(key for key in journal.entries if journal.is_done(key, output))
    settings = BatchSettings(output, model, options, done)
    summary, told = Summary(), set[str]()
    with progress_bar("Converting", len(jobs), shown=progress) as advance:
        for job, outcome in _outcomes(jobs, settings, min(workers, len(jobs))):
            for line in outcome.notes:
                if line not in told:
                    note(f"note: {line}")
            told.update(outcome.notes)
            if outcome.error:
                summary.failed += 1
                note(f"error: {output / job.output} was not made: {outcome.error}")
            elif outcome.skipped:
                summary.skipped += 1
            else:
                summary.converted += 1
                journal.append([(outcome.key, {"made": [job.output]})])
            advance(1)
    return summary


def _outcomes(jobs: Sequence[CloneJob], settings: BatchSettings, workers: int) -> Iterator[tuple[CloneJob, Outcome]]:
    if workers > 1:
        yield from side_by_side(_convert, jobs, workers, begin=_begin, settings=settings, caller="convert_many",
                                preload=PRELOAD)  # fmt: skip
        return
    worker = _Worker(settings)
    for job in jobs:
        yield job, worker.convert(job)


def _sha256(path: str) -> str:
    with open(path, "rb") as file:
        return digest_of(file.fileno())
