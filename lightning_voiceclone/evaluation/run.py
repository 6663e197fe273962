"""``lvc evaluate`` as a function: clone every pair, judge it, and write the report."""

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lightning_voiceclone.core.interfaces import MetricSource
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError
from lightning_voiceclone.evaluation.figures import write_metrics
from lightning_voiceclone.evaluation.pairs import Pairs, read_pairs
from lightning_voiceclone.evaluation.panel import (
    RECOGNIZER,
    SPEAKER_ENCODER,
    Panel,
    PanelSettings,
    chosen_measures,
    known_measures,
)
from lightning_voiceclone.evaluation.report import AUDIO, Report, read_report
from lightning_voiceclone.evaluation.stages import clone_pairs, judge_pairs
from lightning_voiceclone.evaluation.systems import System
from lightning_voiceclone.utils.files import check_no_input
from lightning_voiceclone.utils.journal import Journal
from lightning_voiceclone.utils.leftovers import sweep
from lightning_voiceclone.utils.output_folder import locked, told_in_one_line
from lightning_voiceclone.utils.processes import processors

JOURNAL = "progress.jsonl"
IDENTITY = "identity"
SOURCE_ITSELF = "the source, frame by frame"
SOURCE_WARPED = "the source, time-warped (or a parallel recording, where the pairs name one)"


@dataclass(frozen=True)
class Judges:
    """Who sits on the panel: the judge of each measure that is there, and why others are not."""

    by_measure: Mapping[str, MetricSource | None]
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
    """Clone and judge pairs, and write metrics.json, index.html and audio/ into ``output``.

    An interrupted run loses a case's work at most: call it again. What is there already is not done again.

    Args:
        pairs: table of them, see :func:`read_pairs`.
        system: what is judged.
        output: folder of the report; it is made.
        measures: names of the figures; all for none.
        without: names of figures to leave out.
        recognizer: who listens to words, as ``NAME:setting=value``; None for Whisper tiny.en.
        speaker_encoder: who tells voices apart, likewise; None for Resemblyzer.
        limit: judge so many pairs only, evenly spread.
        workers: processes that judge; 0 for as many as there are processors.
        draws: of the bootstrap.
        seed: of the bootstrap.
        progress: whether to show bars on the error output, if that is a terminal.

    Raises:
        ConfigurationError: if a setting cannot work, or ``output`` holds a report of other pairs, systems or judges.
        PluginError: if a judge that was asked for by name is not there.
        LVCError: if no case at all can be judged; the report is written before.
    """
    table, output = read_pairs(pairs).limited(limit), Path(output)
    inputs = [path for row in table.rows for path in (row.source, row.reference, row.target, *system.made_from(row))]
    check_no_input(output / AUDIO, {path for path in inputs if path is not None})
    settings = PanelSettings(
        chosen_measures(measures, without), recognizer or RECOGNIZER, speaker_encoder or SPEAKER_ENCODER
    )
    asked = [role for role, given in (("recognizer", recognizer), ("speaker_encoder", speaker_encoder)) if given]
    judges = _judges(settings, asked, by_name=bool(measures))
    told, known = system.describe(), known_measures()
    with told_in_one_line(output), locked(output, 0.0):
        for folder in (output, output / AUDIO):
            sweep(folder)
        journal = Journal(output / JOURNAL)
        _check_identity(journal, output, table, told, judges)
        clones = clone_pairs(table.rows, system, output, journal, progress=progress)
        entries = judge_pairs(
            table.rows, clones, system, output, journal, settings, list(judges.by_measure),
            workers=workers or processors(), progress=progress,
        )  # fmt: skip
        told["warnings"] = _warnings(table, system, judges, entries)
        write_metrics(
            output, table, told, {name: known[name] for name in settings.measures}, judges.by_measure, judges.absent,
            entries, against=SOURCE_ITSELF if system.parallel else SOURCE_WARPED, draws=draws, seed=seed,
        )  # fmt: skip
        from lightning_voiceclone.evaluation.page import write_page

        write_page(output)
    if all("error" in entry for entry in entries):
        raise LVCError(f"none of the {len(entries)} cases could be judged: {entries[0]['error']}; {output} lists why")
    return read_report(output)


def _judges(settings: PanelSettings, asked: Sequence[str], *, by_name: bool) -> Judges:
    """What is asked for by name must be there; what comes by default may be absent, and is reported."""
    panel, known = Panel(settings), known_measures()
    for name, reason in panel.absent.items():
        if by_name or set(asked) & set(inspect.signature(known[name]).parameters):
            raise PluginError(f"{name} cannot be measured: {reason}")
    if not panel.measures:
        raise PluginError(f"nothing can be measured: {'; '.join(sorted(set(panel.absent.values())))}")
    return Judges({name: measure.judge for name, measure in panel.measures.items()}, panel.absent)


def _check_identity(journal: Journal, output: Path, pairs: Pairs, system: Mapping[str, Any], judges: Judges) -> None:
    """Refuse to go on with a report of something else.

    Raises:
        ConfigurationError: names what differs, and both values.
    """
    ours: dict[str, Any] = {"pairs": pairs.sha256}
    identity = ("kind", "name", "sha256", "vocoder_sha256", "seed", "guidance")
    ours |= {f"system {name}": system[name] for name in identity if name in system}
    for name, judge in judges.by_measure.items():
        ours[f"judge of {name}"] = None if judge is None else asdict(judge)
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


def _warnings(pairs: Pairs, system: System, judges: Judges, entries: Sequence[Mapping[str, Any]]) -> list[str]:
    told = []
    for judge in [judge for judge in system.speaker_encoders() if judge in judges.by_measure.values()]:
        told.append(
            f"the speaker encoder that judges, {judge.name}, is the one that the model was trained with: its figures"
            " say how well the model has learnt to please it; judge with another (--speaker-encoder)"
        )
    if unknown := sum(not (row.source_speaker and row.target_speaker) for row in pairs.rows):
        told.append(
            f"{unknown} of {len(pairs.rows)} pairs do not tell who speaks: for the intervals each of their recordings"
            " counts as a speaker of its own; add the columns source_speaker and target_speaker to the pairs"
        )
    for reason in sorted(set(judges.absent.values())):
        names = [name for name, why in judges.absent.items() if why == reason]
        told.append(f"not measured: {', '.join(names)}: {reason}")
    if failed := sum("error" in entry for entry in entries):
        told.append(f"{failed} of {len(entries)} cases could not be judged and are in no figure: see their reasons")
    if partly := sum(bool(entry.get("faults")) for entry in entries):
        told.append(f"{partly} of {len(entries)} cases lack some of the figures: see their reasons")
    return told
