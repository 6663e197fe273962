"""From a corpus to a manifest: check every recording; optionally transform it and store its features."""

import json
import math
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lightning_voiceclone.core.interfaces import AudioTransform, Corpus, FeatureExtractor, Recording
from lightning_voiceclone.core.part import describe
from lightning_voiceclone.data.jobs import PrepareJob, Settings, run_jobs
from lightning_voiceclone.data.manifest import Manifest, check_count, split_by_speaker, split_by_utterance
from lightning_voiceclone.data.manifest_file import row_fault
from lightning_voiceclone.data.packing import check_originals, pack
from lightning_voiceclone.data.prepare_summary import (
    PrepareSummary,
    counted,
    notes_of,
    reasons_of,
    summary_of,
    write_rejected,
)
from lightning_voiceclone.data.shards import INDEX_NAME, SHARDS_NAME
from lightning_voiceclone.data.stored_features import SPEC_NAME
from lightning_voiceclone.data.utterances import Utterance, file_name
from lightning_voiceclone.errors import ConfigurationError, LVCError, check_range, nearest
from lightning_voiceclone.utils.durable import sync_file_system
from lightning_voiceclone.utils.files import atomic_file, check_no_input
from lightning_voiceclone.utils.journal import Entry, Journal, key_of
from lightning_voiceclone.utils.leftovers import sweep
from lightning_voiceclone.utils.output_folder import locked, os_errors_in_one_line
from lightning_voiceclone.utils.processes import processors
from lightning_voiceclone.utils.progress import progress_bar

MANIFEST_NAME = "manifest.parquet"
REJECTED_NAME = "rejected.tsv"
JOURNAL_NAME = "progress.jsonl"
FACTS = 4  # version of the checks; recordings that an older one checked are checked again
# Columns that the journal stores for a recording; the rest of a manifest's row comes from the corpus.
FOUND = ("path", "start", "end", "rate", "bandwidth_hz", "snr_db", "hash", "channel", "offset")
MADE_AUDIO = re.compile(r"audio/[^/]+/[^/]+-[0-9a-f]{10}\.flac")  # as file_name names it
SPLITTERS = {"speaker": split_by_speaker, "utterance": split_by_utterance}
PARALLEL_SECONDS = 0.02  # maximum difference of the lengths of parallel recordings
WORTH_A_WORKER = 64  # recordings; a process takes longer to start than fewer take to check


def prepare(
    corpus: Corpus,
    output: str | os.PathLike[str],
    *,
    transforms: Sequence[AudioTransform] = (),
    features: FeatureExtractor | None = None,
    sample_rate: int | None = None,
    feature_type: str = "float32",
    min_seconds: float = 0.3,
    shards: bool = False,
    split_by: str | None = None,
    validation: float | None = None,
    test: float | None = None,
    seed: int = 0,
    workers: int = 0,
    progress: bool = True,
    wait_seconds: float = 0.0,
) -> PrepareSummary:
    """Write manifest.parquet and rejected.tsv into ``output``; with the same settings, do only what is new or changed.

    An interrupted run loses the work on a few recordings at most: call it again.

    Args:
        corpus: of the recordings.
        output: folder; created if missing.
        transforms: of the stage "prepare", in order. The result is written to audio/ as mono FLAC.
        features: extractor whose features of every utterance are kept in features/KEY/ as (F, T) arrays.
        sample_rate: in Hz, to which recordings are resampled and written to audio/; None leaves them as they are.
        feature_type: float32, or float16 for half the space.
        min_seconds: shorter recordings are rejected.
        shards: whether to pack the samples into shards/, from which training reads them without decoding; what is there
            is kept up to date later, too.
        split_by: speaker or utterance; None for speaker where there are two or more.
        validation: see :func:`split_by_speaker`.
        test: see :func:`split_by_speaker`.
        seed: of the splits.
        workers: processes; 0 for as many as there are processors, and fewer for few recordings.
        progress: whether to show a bar on the error output, if that is a terminal.
        wait_seconds: how long to wait for another preparation of the same output.

    Raises:
        ConfigurationError: if a setting cannot work, the corpus is not there, or another process prepares ``output``.
        LVCError: if no recording is left, the disk is full, a part fails, or packed recordings are gone.
    """
    output = Path(output)
    _check_settings(transforms, split_by, feature_type, sample_rate)
    check_range("min_seconds", min_seconds, 0, 86400)
    for name, asked in (("validation", validation), ("test", test)):
        check_count(name, asked)  # before the recordings are read, which may take hours
    recordings: Sequence[Recording] = list(corpus.recordings())
    if not recordings:
        raise ConfigurationError(f"{type(corpus).__name__} has no recordings at {corpus.root}; look at what lies there")
    check_no_input(output / "audio", [corpus.root])
    settings = Settings(output.resolve(), tuple(transforms), features, sample_rate, feature_type, min_seconds)
    with os_errors_in_one_line(output), locked(output, wait_seconds):
        journal = Journal(settings.output / JOURNAL_NAME, _is_result)
        recordings = _not_made(journal, settings.output, corpus.root, recordings)
        entries, reused = _results(corpus.root, recordings, settings, journal, workers, progress)
        kept = {str(entry["row"]["path"]) for entry in entries if "row" in entry}
        entries = _once(recordings, entries)
        rejected = [(r.path, str(e["reason"])) for r, e in zip(recordings, entries, strict=True) if "reason" in e]
        write_rejected(output / REJECTED_NAME, rejected)
        accepted = [(r, e["row"]) for r, e in zip(recordings, entries, strict=True) if "row" in e]
        notes = notes_of([(r.path, e.get("notes", ())) for r, e in zip(recordings, entries, strict=True) if "row" in e])
        if not accepted:
            raise LVCError(
                f"none of the {len(recordings)} recordings can be used: {counted(reasons_of(rejected))};"
                f" {output / REJECTED_NAME} lists them"
            )
        split_by = split_by or ("speaker" if len({r.speaker for r, _ in accepted}) > 1 else "utterance")
        splits = SPLITTERS[split_by]([r for r, _ in accepted], validation=validation, test=test, seed=seed)
        parallels = _parallels(recordings, accepted)
        utterances = tuple(
            Utterance(speaker=r.speaker, text=r.text, split=r.split, parallel=parallel, style=r.style, **row)
            for r, (_, row), parallel in zip(splits, accepted, parallels, strict=True)
        )
        manifest = Manifest(settings.output if settings.writes_audio else Path(corpus.root), utterances)
        unused: list[Path] = []
        if shards or (settings.output / SHARDS_NAME / INDEX_NAME).is_file():
            there = [
                r for r, e in zip(recordings, entries, strict=True) if "row" in e or (corpus.root / r.path).exists()
            ]
            _check_originals(settings.output, utterances, there)
            unused = pack(manifest.root, utterances, settings.output, workers=workers, progress=progress)
        manifest.write(output / MANIFEST_NAME)
        for shard in unused:  # of the manifest before
            shard.unlink()
        if settings.writes_audio:
            _remove_outdated(settings.output, kept)
    return summary_of(output / MANIFEST_NAME, utterances, rejected, reused, notes, corpus.passed_over)


def _check_settings(
    transforms: Sequence[AudioTransform], split_by: str | None, feature_type: str, sample_rate: int | None
) -> None:
    for transform in transforms:
        if transform.stage != "prepare":
            raise ConfigurationError(
                f"{type(transform).__name__} varies batches in training and cannot prepare recordings; use it in a"
                " recipe, and here one of NormalizeLoudness, TrimSilence, …"
            )
    if split_by not in {None, *SPLITTERS}:
        raise ConfigurationError(f"split_by is {split_by!r}{nearest(str(split_by), SPLITTERS)}; speaker or utterance")
    if feature_type not in {"float16", "float32"}:
        raise ConfigurationError(f"feature_type is {feature_type!r}; float16 or float32")
    if sample_rate is not None and not 1000 <= sample_rate <= 384000:
        raise ConfigurationError(f"sample_rate is {sample_rate}; give samples a second, such as 16000")


def _not_made(journal: Journal, output: Path, root: Path, recordings: Sequence[Recording]) -> Sequence[Recording]:
    """Recordings without the output of an earlier preparation below the same root, which would count as speakers.

    Raises:
        ConfigurationError: if no others are there.
    """
    place = Path(root).resolve()
    if not output.is_relative_to(place):
        return recordings
    made = {(output / path).relative_to(place) for path in journal.made()}
    found = [recording for recording in recordings if Path(recording.path) not in made]
    if not found:
        raise ConfigurationError(f"all recordings in {root} were made by an earlier preparation; name its own input")
    return found


def _results(
    root: Path,
    recordings: Sequence[Recording],
    settings: Settings,
    journal: Journal,
    workers: int,
    progress: bool,
) -> tuple[list[Entry], int]:
    """The journal's entry for each recording, and the number of entries that were stored before."""
    jobs = _jobs(root, recordings, settings)
    pending = {job.key: job for job in jobs if not journal.is_done(job.key, settings.output)}
    for folder in ("audio", "features"):
        sweep(settings.output / folder, below=True)
    reused = sum(job.key not in pending for job in jobs)
    workers = workers or min(processors(), math.ceil(len(pending) / WORTH_A_WORKER))
    with progress_bar("preparing", len(jobs), reused, shown=progress and bool(pending)) as advance:
        for results in run_jobs(list(pending.values()), settings, workers):
            journal.append(results)
            advance(len(results))
    if pending and (settings.writes_audio or settings.features is not None):
        sync_file_system(settings.output)  # before a manifest names them
    if settings.features is not None:
        with atomic_file(settings.output / settings.feature_folder / SPEC_NAME) as temporary:
            temporary.write_text(yaml.safe_dump(settings.features.spec.to_mapping(), sort_keys=False))
    return [journal.entries[job.key] for job in jobs], reused


def _parallels(recordings: Sequence[Recording], accepted: Sequence[tuple[Recording, Mapping[str, Any]]]) -> list[str]:
    """Current path of each accepted recording's parallel one; empty where it has none, or where that was rejected.

    Raises:
        ConfigurationError: if a parallel recording is not in the corpus, or has another length.
    """
    known, rows = {(r.path, r.start) for r in recordings}, {(r.path, r.start): row for r, row in accepted}
    paths = []
    for recording, row in accepted:
        place = (recording.parallel, recording.start)
        if recording.parallel and place not in known:
            raise ConfigurationError(
                f"{recording.path} has the parallel recording {recording.parallel!r}, which is not in the corpus; add a"
                " line for it, or leave the column empty"
            )
        other = rows.get(place)
        if other is not None:
            lengths = [float(r["end"]) - float(r["start"]) for r in (row, other)]
            if abs(lengths[0] - lengths[1]) > PARALLEL_SECONDS:
                raise ConfigurationError(
                    f"{recording.path} lasts {lengths[0]:.2f} s but its parallel recording {recording.parallel}"
                    f" {lengths[1]:.2f} s; both must have the same words at the same times: leave the column empty"
                )
        paths.append("" if other is None else str(other["path"]))
    return paths


def _jobs(root: Path, recordings: Sequence[Recording], settings: Settings) -> list[PrepareJob]:
    transforms = json.dumps([describe(transform) for transform in settings.transforms])
    features = json.dumps(settings.features and [describe(settings.features), settings.feature_type])
    jobs = []
    for recording in recordings:
        file = root / recording.path
        try:
            found = file.stat()
            state = (found.st_size, found.st_mtime_ns)
        except OSError:
            state = (-1, -1)
        place = (recording.path, recording.speaker, recording.start, recording.end)
        # Audio gets a new name if anything that it depends on has changed: an old manifest never names new audio.
        audio = key_of(f"{FACTS} {transforms}", settings.sample_rate, str(root.resolve()), *place, *state)
        key = key_of(audio, settings.min_seconds, features)
        jobs.append(PrepareJob(key, file, *place, file_name(recording.path, recording.speaker, audio)))
    return jobs


def _is_result(entry: Entry) -> bool:
    """Whether a journal's entry is a valid result of a job: a row, or a reason."""
    row, notes = entry.get("row"), entry.get("notes", [])
    if not isinstance(notes, list) or not all(isinstance(note, str) for note in notes):
        return False
    if row is None:
        return isinstance(entry.get("reason"), str)
    return isinstance(row, dict) and sorted(row) == sorted(FOUND) and not row_fault(row, FOUND)


def _check_originals(output: Path, utterances: Sequence[Utterance], recordings: Sequence[Recording]) -> None:
    """Refuse to delete packed samples whose recordings are gone; ``recordings`` are those that are there.

    Raises:
        LVCError: if there are any.
    """
    try:
        before = Manifest.read(output / MANIFEST_NAME)
    except LVCError:
        return  # without a manifest nothing can be read from the shards
    made = {f"audio/{file_name(r.path, r.speaker, '')}" for r in recordings}

    def is_there(path: str) -> bool:
        if MADE_AUDIO.fullmatch(path):  # its name without the digest, which changes with the original
            return path[: -len("0123456789.flac")] in made
        return (before.root / path).exists()

    check_originals(before, utterances, output, is_there)


def _remove_outdated(output: Path, kept: set[str]) -> None:
    """Delete audio of earlier settings that no current result uses."""
    for path in Journal(output / JOURNAL_NAME, _is_result).made():
        if MADE_AUDIO.fullmatch(path) and path not in kept:
            (output / path).unlink(missing_ok=True)


def _once(recordings: Sequence[Recording], entries: Sequence[Entry]) -> list[Entry]:
    """The entries, with those rejected whose audio is identical to that of an earlier one."""
    first: dict[tuple[object, ...], Recording] = {}
    kept: list[Entry] = []
    for recording, entry in zip(recordings, entries, strict=True):
        if "row" not in entry:
            kept.append(entry)
            continue
        earlier = first.setdefault(tuple(entry["row"][name] for name in ("hash", "start", "end")), recording)
        same = f"the same sound as {earlier.path}"
        if earlier is recording:
            kept.append(entry)
        elif earlier.speaker == recording.speaker:
            kept.append({"reason": f"listed twice: {same}"})
        else:
            kept.append({"reason": f"listed under two speakers: {same} of {earlier.speaker}"})
    return kept
