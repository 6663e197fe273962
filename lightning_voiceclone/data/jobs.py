"""Check, transform and extract features of single recordings, in worker processes.

Imports no torch, so that workers that only check recordings start fast; transforms and extractors import it.
"""

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lightning_voiceclone.audio.checks import RecordingFacts, check_recording
from lightning_voiceclone.audio.io import read_audio, write_audio
from lightning_voiceclone.audio.mixdown import measure_mixdown
from lightning_voiceclone.errors import ConfigurationError, LVCError, RecordingError
from lightning_voiceclone.utils.files import atomic_file, interruption_held
from lightning_voiceclone.utils.processes import side_by_side

CHUNK = 8  # recordings a task: an interruption loses at most so many, and a task each would cost a message each
Result = tuple[str, dict[str, Any]]


@dataclass(frozen=True)
class PrepareJob:
    """One recording to process: its key in the journal, its place, and the name of the audio made from it."""

    key: str
    file: Path
    path: str
    speaker: str
    start: float
    end: float | None
    name: str


@dataclass(frozen=True)
class Settings:
    """Processing of every recording; ``transforms`` and ``features`` are parts."""

    output: Path
    transforms: tuple[Any, ...]
    features: Any | None
    sample_rate: int | None
    feature_type: str
    min_seconds: float

    @property
    def writes_audio(self) -> bool:
        """Whether changed copies of the recordings are written; else the manifest names those of the corpus."""
        return bool(self.transforms) or self.sample_rate is not None

    @property
    def feature_folder(self) -> str:
        """Folder of the features, relative to the output; empty without an extractor."""
        from lightning_voiceclone.data.stored_features import features_key

        return "" if self.features is None else f"features/{features_key(self.features)}"


def run_jobs(jobs: Sequence[PrepareJob], settings: Settings, workers: int) -> Iterator[list[Result]]:
    """Yield results as they are ready, a few at once; with ``workers`` 1 in this process.

    Raises:
        OSError: as a job raises it (such as a full disk).
        LVCError: if a part fails, or a worker process dies.
    """
    chunks = [jobs[i : i + CHUNK] for i in range(0, len(jobs), CHUNK)]
    if workers <= 1:
        for chunk in chunks:
            results = []
            for job in chunk:
                with interruption_held():
                    results.append((job.key, _do(job, settings)))
            yield results
        return
    heavy = settings.transforms or settings.features is not None
    preload = [__name__, *(["lightning_voiceclone.core.interfaces"] if heavy else [])]
    for _, results in side_by_side(
        _do_chunk, chunks, workers, begin=_set_up, settings=settings, caller="prepare", preload=preload
    ):
        yield results


_settings: Settings | None = None


def _set_up(settings: Settings) -> None:
    global _settings  # noqa: PLW0603 - the only state of a worker process between calls
    _settings = settings


def _do_chunk(chunk: Sequence[PrepareJob]) -> list[Result]:
    if _settings is None:
        raise LVCError("a worker process was not set up")
    return [(job.key, _do(job, _settings)) for job in chunk]


def _do(job: PrepareJob, settings: Settings) -> dict[str, Any]:
    """The manifest's columns that are measured on the file, or the reason why it is rejected."""
    try:
        job.path.encode()
        facts = check_recording(job.file, min_seconds=settings.min_seconds, start=job.start, end=job.end)
        made = []
        row: dict[str, Any] = {"path": job.path, "start": job.start, "end": job.start + facts.seconds,
               "rate": facts.rate, "bandwidth_hz": facts.bandwidth_hz, "snr_db": facts.snr_db,
               "hash": facts.sha256, **_mixed(facts)}  # fmt: skip
        if settings.writes_audio:
            row = _written(job, settings, facts.bandwidth_hz)
            made.append(row["path"])
        if settings.features is not None:
            made.append(_extract(job, settings, row))
    except UnicodeEncodeError:
        return {"reason": "its name is not UTF-8; rename it"}
    except RecordingError as error:
        return {"reason": " ".join(str(error).removeprefix(f"{job.file}: ").split())}
    except (OSError, LVCError):
        raise
    except Exception as error:  # a transform's failure on one recording must not end the preparation of the others
        return {"reason": f"preparing it failed: {type(error).__name__}: {' '.join(str(error).split())}"}
    return (
        {"row": row}
        | ({"made": made} if made else {})
        | ({"notes": list(notes)} if (notes := facts.mixdown.notes) else {})
    )


def _written(job: PrepareJob, settings: Settings, bandwidth: float) -> dict[str, Any]:
    """Write the recording after all transforms as FLAC; returns its row."""
    audio, rate = read_audio(job.file, settings.sample_rate, start=job.start, end=job.end, mono=False)
    if settings.transforms:
        import torch

        with torch.inference_mode():
            tensor = torch.from_numpy(audio)
            for transform in settings.transforms:
                tensor = transform(tensor, rate)
        audio = tensor.numpy()
    audio = measure_mixdown([audio.T])(audio.T)
    if not np.isfinite(audio).all():
        raise RecordingError("samples are NaN or infinite after the transforms")
    path = f"audio/{job.name}.flac"
    write_audio(settings.output / path, audio, rate, durable=False)  # all together: see prepare
    try:
        facts = check_recording(settings.output / path, min_seconds=settings.min_seconds)
    except RecordingError as error:
        (settings.output / path).unlink()
        reason = str(error).removeprefix(f"{settings.output / path}: ")
        raise RecordingError(f"{reason} (after the transforms)") from error
    return {"path": path, "start": 0.0, "end": facts.seconds, "rate": rate,
            "bandwidth_hz": min(bandwidth, rate / 2), "snr_db": facts.snr_db, "hash": facts.sha256,
            **_mixed(facts)}  # fmt: skip


def _mixed(facts: RecordingFacts) -> dict[str, Any]:
    """The columns of the file's mixdown, so that training need not decode all of it to determine that again."""
    channel = facts.mixdown.channel
    return {"channel": 0 if channel is None else channel + 1, "offset": facts.mixdown.offset}


def _extract(job: PrepareJob, settings: Settings, row: dict[str, Any]) -> str:
    """Store features (F, T) of the whole utterance, from the samples that a loader would read; returns the file."""
    import torch

    from lightning_voiceclone.data.utterances import derived_name

    extractor: Any = settings.features
    file = settings.output / row["path"] if settings.writes_audio else job.file
    audio, _ = read_audio(file, extractor.spec.sample_rate, start=row["start"], end=row["end"])
    with torch.inference_mode():
        features = extractor(torch.from_numpy(audio)[None])[0].numpy()
    expected = (extractor.spec.channels, len(audio) // extractor.spec.hop_length)
    if features.shape != expected:
        raise ConfigurationError(
            f"{type(extractor).__name__} gives {features.shape} of {len(audio)} samples, but by its spec it must give"
            f" {expected}; fix the extractor"
        )
    name = derived_name(row["path"], job.speaker, row["start"], row["end"])
    made = f"{settings.feature_folder}/{name}.npy"
    encoded = io.BytesIO()  # numpy's error for a full disk does not name the cause
    np.save(encoded, features.astype(settings.feature_type))
    with atomic_file(settings.output / made, durable=False) as temporary:
        temporary.write_bytes(encoded.getbuffer())
    return made
