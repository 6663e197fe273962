"""What a model costs on this machine, and how good its clones are: size, memory, time, and the judges of evaluation."""

import contextlib
import resource
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.figures import case_value
from lightning_voiceclone.evaluation.pairs import Pair
from lightning_voiceclone.evaluation.panel import Panel, PanelSettings
from lightning_voiceclone.evaluation.workers import RATE
from lightning_voiceclone.utils.processes import side_by_side
from lightning_voiceclone.utils.reading import excerpt

JUDGES = ("similarity_reference", "wer", "dnsmos_ovrl")
ROUNDS = 3
LEAST = 0.97  # of the size or the time before: what saves less is noise
COLUMNS = {"size": "size MB", "memory": "memory MB", "rtf": "real-time factor", "similarity_reference": "similarity",
           "wer": "WER", "dnsmos_ovrl": "DNSMOS"}  # fmt: skip


@dataclass(frozen=True)
class Candidate:
    """A model to measure.

    Args:
        name: in the table.
        folder: of the model or, with ``onnx``, of the export.
        size: bytes of its files, with those that it refers to.
        onnx: whether ONNX Runtime computes it.
        compiled: whether ``torch.compile`` does.
    """

    name: str
    folder: str
    size: int
    onnx: bool = False
    compiled: bool = False


def converted_by(candidate: Candidate) -> Callable[[Path, Path], Callable[[], tuple[Any, int]]]:
    """Load a model; returns a function that analyses a reference and returns the conversion of a source to it."""
    torch.set_num_threads(1)
    if candidate.onnx:
        from lightning_voiceclone.inference.onnx_engine import OnnxModel

        model = OnnxModel(candidate.folder, note=lambda line: None, threads=1)

        def by_onnx(source: Path, reference: Path) -> Callable[[], tuple[Any, int]]:
            speaker = model.speaker(str(reference))
            return lambda: (model.convert(str(source), speaker), model.runtime.sample_rate)

        return by_onnx
    from lightning_voiceclone.inference.converter import load_model

    converter = load_model(candidate.folder, note=lambda line: None)
    if candidate.compiled:
        for part in (converter.voice.content_encoder, converter.voice.generator, converter.voice.vocoder):
            if part is not None:
                part.compile(dynamic=True)

    def by_torch(source: Path, reference: Path) -> Callable[[], tuple[Any, int]]:
        with _explained(candidate):
            speaker = converter.speaker(reference)

        def convert() -> tuple[Any, int]:
            with _explained(candidate):
                samples, rate = converter.convert(source, speaker)
            return samples, rate

        return convert

    return by_torch


@contextlib.contextmanager
def _explained(candidate: Candidate) -> Iterator[None]:
    """Raise what ``torch.compile`` could not do as an error of one line.

    Raises:
        LVCError: names the reason.
    """
    try:
        yield
    except Exception as error:
        if not candidate.compiled or isinstance(error, LVCError):
            raise
        raise LVCError(
            f"torch.compile fails here: {excerpt(' '.join(str(error).split()))}; leave --compile out"
        ) from error


def measured(candidates: Sequence[Candidate], pairs: Sequence[Pair]) -> list[dict[str, float | None]]:
    """Figures of each candidate by the names of :data:`COLUMNS`; None where a judge is not installed or has no answer.

    The real-time factor is seconds of CPU for a second of the source, with one thread; the candidates take turns, and
    the best round of each pair counts. The memory is the peak of a process of its own that loads the model and converts
    the first pair.

    Raises:
        LVCError: if a model cannot be loaded, or a recording not be used.
    """
    loaded = [converted_by(candidate) for candidate in candidates]
    panel = Panel(PanelSettings(JUDGES))
    factors: list[list[float]] = [[] for _ in candidates]
    scores: list[dict[str, list[float]]] = [{name: [] for name in JUDGES} for _ in candidates]
    for pair in pairs:
        calls = [each(pair.source, pair.reference) for each in loaded]
        source = torch.from_numpy(read_audio(pair.source, RATE)[0])
        for place, clone in enumerate(call() for call in calls):  # which also makes all caches
            _judge(panel, pair, source, clone, scores[place])
        for place, seconds in enumerate(_times(calls)):
            factors[place].append(seconds * RATE / len(source))
    memory = [_peak_of(candidate, pairs[0]) for candidate in candidates]
    return [{"size": candidate.size / 1e6, "memory": memory[place], "rtf": statistics.mean(factors[place]),
             **{name: statistics.mean(found) if found else None for name, found in scores[place].items()}}
            for place, candidate in enumerate(candidates)]  # fmt: skip


def _times(calls: Sequence[Callable[[], Any]]) -> list[float]:
    """Least seconds of CPU of each call."""
    best = [float("inf")] * len(calls)
    for _ in range(ROUNDS):
        for place, call in enumerate(calls):
            begin = time.process_time()
            call()
            best[place] = min(best[place], time.process_time() - begin)
    return best


def _judge(
    panel: Panel, pair: Pair, source: torch.Tensor, clone: tuple[Any, int], into: dict[str, list[float]]
) -> None:
    import soxr

    audio, rate = clone
    samples = soxr.resample(audio if not isinstance(audio, torch.Tensor) else audio.numpy(), rate, RATE, quality="HQ")
    reference = torch.from_numpy(read_audio(pair.reference, RATE)[0])
    case = Case(pair.case, source, reference, torch.as_tensor(samples, dtype=torch.float32), RATE, pair.transcript)
    found = panel.measure(case, [name for name in JUDGES if name in panel.metrics])["scores"]
    for name, score in found.items():
        if (value := case_value(type(panel.metrics[name]), score)) is not None:
            into[name].append(value)


def _peak_of(candidate: Candidate, pair: Pair) -> float:
    """Peak of memory of a process that loads the model and converts a pair, in MB."""
    ((_, peak),) = side_by_side(_convert_once, [(candidate, pair)], 1, caller="compress")
    return peak


def _convert_once(job: tuple[Candidate, Pair]) -> float:
    candidate, pair = job
    converted_by(candidate)(pair.source, pair.reference)()
    unit = 1 if sys.platform == "darwin" else 1024  # bytes there, kilobytes elsewhere
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def table(rows: Mapping[str, Mapping[str, float | None]]) -> str:
    """Figures of models as text, one line each, by name."""
    width = max(map(len, rows))
    lines = [" " * width + "".join(f"{title:>18}" for title in COLUMNS.values())]
    for name, figures in rows.items():
        cells = ("-" if value is None else f"{value:.3f}" if column != "memory" else f"{value:.0f}"
                 for column, value in ((column, figures[column]) for column in COLUMNS))  # fmt: skip
        lines.append(f"{name:<{width}}" + "".join(f"{cell:>18}" for cell in cells))
    return "\n".join(lines)


def worth_it(before: Mapping[str, float | None], after: Mapping[str, float | None]) -> bool:
    """Whether a model is smaller or faster than before, by more than noise."""
    return any((after[name] or 0) < LEAST * (before[name] or 0) for name in ("size", "rtf"))
