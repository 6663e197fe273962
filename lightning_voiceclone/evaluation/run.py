"""``lvc evaluate`` as a function: clone every pair, measure the clones, and write the report."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning_voiceclone.core.interfaces import MetricSource
from lightning_voiceclone.core.registry import constructor_parameters
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError
from lightning_voiceclone.evaluation.figures import write_metrics
from lightning_voiceclone.evaluation.metrics.sources import provenance
from lightning_voiceclone.evaluation.pairs import Pairs, read_pairs
from lightning_voiceclone.evaluation.panel import (
    RECOGNIZER,
    SPEAKER_ENCODER,
    Panel,
    PanelSettings,
    chosen_metrics,
    known_metrics,
)
from lightning_voiceclone.evaluation.report import AUDIO, Report, read_report
from lightning_voiceclone.evaluation.stages import clone_pairs, measure_pairs
from lightning_voiceclone.evaluation.systems import System
from lightning_voiceclone.utils.files import check_no_input
from lightning_voiceclone.utils.journal import Journal
from lightning_voiceclone.utils.leftovers import sweep
from lightning_voiceclone.utils.output_folder import locked, os_errors_in_one_line
from lightning_voiceclone.utils.processes import processors

JOURNAL = "progress.jsonl"
IDENTITY = "identity"
SOURCE_ITSELF = "the source, frame by frame"
SOURCE_WARPED = "the source, time-warped (or a parallel recording, where the pairs name one)"


@dataclass(frozen=True)
class Sources:
    """The model behind each metric that is there, and why other metrics are absent."""

    by_metric: Mapping[str, MetricSource | None]
    absent: Mapping[str, str]


def evaluate(
    pairs: str | Path,
    system: System,
    output: str | Path,
    *,
    measures: Sequence[str] = (),
    without: Sequence[str] = (),
    recognizer: str | None = None,
    speaker_encoder: str | None = None,
    limit: int | None = None,
    workers: int = 0,
    draws: int = 2000,
    seed: int = 0,
    progress: bool = True,
) -> Report:
    """Clone and measure pairs, and write metrics.json, index.html and audio/ into ``output``.

    An interrupted run loses at most one case's work: call it again, and it computes only what is missing.

    Args:
        pairs: the table, see :func:`read_pairs`.
        system: what is measured.
        output: folder of the report; it is made.
        measures: names of the metrics; all for none.
        without: names of metrics to leave out.
        recognizer: speech recogniser, as ``NAME:setting=value``; None for Whisper tiny.en.
        speaker_encoder: likewise; None for Resemblyzer.
        limit: use only that many pairs, evenly spread.
        workers: processes that measure; 0 for as many as there are processors.
        draws: of the bootstrap.
        seed: of the bootstrap.
        progress: whether to show progress bars on the error output, if that is a terminal.

    Raises:
        ConfigurationError: if a setting cannot work, or ``output`` holds a report of other pairs, systems or models.
        PluginError: if a model that was requested by name is not installed.
        LVCError: if no case can be measured; the report is written first.
    """
    table, output = read_pairs(pairs).limited(limit), Path(output)
    inputs = [path for row in table.rows for path in (row.source, row.reference, row.target, *system.made_from(row))]
    check_no_input(output / AUDIO, {path for path in inputs if path is not None})
    settings = PanelSettings(
        chosen_metrics(measures, without), recognizer or RECOGNIZER, speaker_encoder or SPEAKER_ENCODER
    )
    requested = [role for role, given in (("recognizer", recognizer), ("speaker_encoder", speaker_encoder)) if given]
    sources = _sources(settings, requested, by_name=bool(measures))
    description, known = system.describe(), known_metrics()
    with os_errors_in_one_line(output), locked(output, 0.0):
        for folder in (output, output / AUDIO):
            sweep(folder)
        journal = Journal(output / JOURNAL)
        _check_identity(journal, output, table, description, sources)
        clones = clone_pairs(table.rows, system, output, journal, progress=progress)
        entries = measure_pairs(
            table.rows, clones, system, output, journal, settings, list(sources.by_metric),
            workers=workers or processors(), progress=progress,
        )  # fmt: skip
        description["warnings"] = _warnings(table, system, sources, entries)
        write_metrics(
            output, table, description, {name: known[name] for name in settings.metrics}, sources.by_metric,
            sources.absent, entries, against=SOURCE_ITSELF if system.parallel else SOURCE_WARPED, draws=draws,
            seed=seed,
        )  # fmt: skip
        from lightning_voiceclone.evaluation.page import write_page

        write_page(output)
    if all("error" in entry for entry in entries):
        raise LVCError(f"none of the {len(entries)} cases could be measured: {entries[0]['error']}; {output} lists why")
    return read_report(output)


def _sources(settings: PanelSettings, requested: Sequence[str], *, by_name: bool) -> Sources:
    """Models and metrics requested by name must be installed; default ones may be absent, which is reported."""
    panel, known = Panel(settings), known_metrics()
    for name, reason in panel.absent.items():
        if by_name or set(requested) & set(constructor_parameters(known[name])):
            raise PluginError(f"{name} cannot be measured: {reason}")
    used = {role for name in settings.metrics for role in constructor_parameters(known[name])}
    if idle := [role.replace("_", "-") for role in requested if role not in used]:
        raise ConfigurationError(f"--{idle[0]} has no effect, since none of the metrics uses it; leave it out")
    if not panel.metrics:
        raise PluginError(f"nothing can be measured: {'; '.join(sorted(set(panel.absent.values())))}")
    return Sources({name: provenance(metric) for name, metric in panel.metrics.items()}, panel.absent)


def _check_identity(journal: Journal, output: Path, pairs: Pairs, system: Mapping[str, Any], sources: Sources) -> None:
    """Refuse to continue a report of something else.

    Raises:
        ConfigurationError: names what differs, and both values.
    """
    ours: dict[str, Any] = {"pairs": pairs.sha256}
    identity = ("kind", "name", "sha256", "vocoder_sha256", "seed", "guidance")
    ours |= {f"system {name}": system[name] for name in identity if name in system}
    for name, source in sources.by_metric.items():
        ours[f"judge of {name}"] = None if source is None else asdict(source)
    theirs = journal.entries.get(IDENTITY, {})
    for name, mine in ours.items():
        if name in theirs and mine != theirs[name]:
            raise ConfigurationError(
                f"{output} holds a report of another {name}: {theirs[name]} there, {mine} now; choose another"
                " --output, or remove that one"
            )
    if ours.keys() - theirs.keys():
        output.mkdir(parents=True, exist_ok=True)
        journal.append([(IDENTITY, {**theirs, **ours})])


def _warnings(pairs: Pairs, system: System, sources: Sources, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    warnings = []
    for encoder in [encoder for encoder in system.speaker_encoders() if encoder in sources.by_metric.values()]:
        warnings.append(
            f"similarity is measured by {encoder.name}, the speaker encoder that the model was trained with, so it is"
            " biased upwards; measure with another (--speaker-encoder)"
        )
    if unknown := sum(not (row.source_speaker and row.target_speaker) for row in pairs.rows):
        warnings.append(
            f"{unknown} of {len(pairs.rows)} pairs do not name their speakers: for the intervals each of their"
            " recordings counts as a speaker of its own; add the columns source_speaker and target_speaker to the pairs"
        )
    for reason in sorted(set(sources.absent.values())):
        names = [name for name, why in sources.absent.items() if why == reason]
        warnings.append(f"not measured: {', '.join(names)}: {reason}")
    if failed := sum("error" in entry for entry in entries):
        warnings.append(f"{failed} of {len(entries)} cases could not be measured and count nowhere: see their reasons")
    if partly := sum(bool(entry.get("faults")) for entry in entries):
        warnings.append(f"{partly} of {len(entries)} cases lack some of the metrics: see their reasons")
    return warnings
