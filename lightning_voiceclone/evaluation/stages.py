"""The two stages of an evaluation: recordings into the report's folder, then the panel's results into its journal."""

from collections.abc import Sequence
from os.path import isfile  # False where a path cannot be one; Path.is_file raises for a name that is too long
from pathlib import Path
from typing import Any

from lightning_voiceclone.audio.checks import check_recording
from lightning_voiceclone.audio.io import read_audio, write_audio
from lightning_voiceclone.errors import LVCError, RecordingError
from lightning_voiceclone.evaluation.pairs import Pair
from lightning_voiceclone.evaluation.panel import PanelSettings
from lightning_voiceclone.evaluation.report import ROLES, recording_path
from lightning_voiceclone.evaluation.systems import LEAST_SECONDS, System, check_clone
from lightning_voiceclone.evaluation.workers import RATE, MetricJob, measure_all
from lightning_voiceclone.utils.journal import Journal, key_of
from lightning_voiceclone.utils.progress import progress_bar

Entry = dict[str, Any]


def clone_pairs(rows: Sequence[Pair], system: System, output: Path, journal: Journal, *, progress: bool) -> list[Entry]:
    """Write source, reference and clone of each pair into ``output``; one entry each, with ``error`` where that failed.

    Entries have ``key``, which changes with any file that the clone depends on, and ``notes``.
    """
    keys = [_clone_key(row, system) for row in rows]
    known = [journal.is_done(key, output) for key in keys]
    entries: list[Entry] = []
    with progress_bar("cloning", len(rows), sum(known), shown=progress and not all(known)) as advance:
        for row, key, done in zip(rows, keys, known, strict=True):
            if done:
                entries.append(journal.entries[key] | {"key": key})
                continue
            entry = _clone(row, system, output)
            if "error" not in entry:  # a failed case is tried again the next time
                journal.append([(key, entry)])
            entries.append(entry | {"key": key})
            advance(1)
    return entries


def _clone_key(row: Pair, system: System) -> str:
    files = [row.source, row.reference, *system.made_from(row)]
    return key_of("clone", row.case, [_state(path) for path in files])


def _state(path: Path | None) -> tuple[str, int, int] | None:
    """Path, size and modification time of a file, which change with it."""
    if path is None:
        return None
    try:
        found = path.stat()
    except OSError:
        return str(path), -1, -1
    return str(path), found.st_size, found.st_mtime_ns


def _clone(row: Pair, system: System, output: Path) -> Entry:
    try:
        for role, path in (("source", row.source), ("reference", row.reference), ("target", row.target)):
            if path is not None:
                _checked(role, path)
        audio = {"source": read_audio(row.source), "reference": read_audio(row.reference)}
        audio["clone"] = system.convert(row)
        check_clone(*audio["clone"])
    except LVCError as error:
        return {"error": " ".join(str(error).split())}
    except (OSError, MemoryError):
        raise
    except Exception as error:  # an unexpected error for one pair must not end the others' evaluation
        return {"error": f"cloning failed: {type(error).__name__}: {' '.join(str(error).split())[:300]}"}
    made = []
    for role in ROLES:
        made.append(recording_path(row.case, role))
        write_audio(output / made[-1], *audio[role])
    rate = audio["clone"][1]
    notes = [] if rate == RATE else [f"the clone is at {rate} Hz and was measured at {RATE} Hz"]
    return {"made": made, "notes": notes}


def _checked(role: str, path: Path) -> None:
    try:
        check_recording(path, min_seconds=LEAST_SECONDS)
    except RecordingError as error:
        raise RecordingError(f"{role}: {error}") from error


def measure_pairs(
    rows: Sequence[Pair],
    clones: Sequence[Entry],
    system: System,
    output: Path,
    journal: Journal,
    settings: PanelSettings,
    names: Sequence[str],
    *,
    workers: int,
    progress: bool,
) -> list[Entry]:
    """The panel's results for each pair that has a clone, by these metrics; only missing ones are computed."""
    entries = list(clones)
    places, jobs = {}, []
    for place, (row, clone) in enumerate(zip(rows, clones, strict=True)):
        if "error" in clone:
            continue
        key = key_of("judge", clone["key"], row.transcript, _state(row.target), _state(row.genuine),
                     row.source_speaker, row.target_speaker)  # fmt: skip
        known = journal.entries.get(key, {})
        entries[place] = clone | known
        done = set(known.get("scores", {})) | set(known.get("reasons", {}))
        if missing := tuple(name for name in names if name not in done):
            places[row.case] = place
            jobs.append(_job(key, row, system, output, missing))
    with progress_bar("measuring", len(rows), len(rows) - len(jobs), shown=progress and bool(jobs)) as advance:
        for job, results in measure_all(jobs, settings, workers):
            place = places[job.case]
            entry = _merged(journal.entries.get(job.key, {}), results)
            if "error" not in results:
                journal.append([(job.key, _without_failures(entry))])
            entries[place] = clones[place] | entry
            advance(1)
    return entries


def _job(key: str, row: Pair, system: System, output: Path, metrics: tuple[str, ...]) -> MetricJob:
    files = {role: output / recording_path(row.case, role) for role in ROLES}
    genuine = row.genuine if row.genuine is not None and isfile(row.genuine) else None
    parallel = files["source"] if system.parallel else row.target
    return MetricJob(key=key, case=row.case, **files, parallel=parallel, genuine=genuine, transcript=row.transcript,
               source_speaker=row.source_speaker, target_speaker=row.target_speaker, metrics=metrics)  # fmt: skip


def _merged(known: Entry, results: Entry) -> Entry:
    merged = {**known, **results}
    for name in ("scores", "reasons"):
        merged[name] = {**known.get(name, {}), **results.get(name, {})}
    for name in ("faults", "failed"):
        merged[name] = [*known.get(name, []), *results.get(name, [])]
    return merged


def _without_failures(entry: Entry) -> Entry:
    """The entry without metrics that failed unexpectedly, so that they are computed again the next time."""
    failed = set(entry["failed"])
    return entry | {
        "reasons": {name: reason for name, reason in entry["reasons"].items() if name not in failed},
        "faults": [name for name in entry["faults"] if name not in failed],
        "failed": [],
    }
