"""The outcome of a preparation: counts, reasons of rejections, and notes."""

import collections
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lightning_voiceclone.data.utterances import Utterance
from lightning_voiceclone.utils.files import atomic_file


@dataclass(frozen=True)
class PrepareSummary:
    """Result of a preparation.

    Args:
        manifest_path: path of the manifest.
        accepted: number of utterances in it.
        rejected: number of recordings listed in rejected.tsv.
        seconds: total length of the accepted utterances.
        reasons: number of rejected recordings by reason.
        speakers: number of speakers by split.
        utterances: number of utterances by split.
        reused: number of recordings whose result an earlier run had stored.
        passed_over: number of recordings that the corpus left out, by reason.
        notes: paths of accepted recordings by note, such as channels that cancel each other.
    """

    manifest_path: Path
    accepted: int
    rejected: int
    seconds: float
    reasons: Mapping[str, int]
    speakers: Mapping[str, int]
    utterances: Mapping[str, int]
    reused: int
    notes: Mapping[str, Sequence[str]]
    passed_over: collections.Counter[str]


def summary_of(
    path: Path,
    utterances: Sequence[Utterance],
    rejected: Sequence[tuple[str, str]],
    reused: int,
    notes: Mapping[str, Sequence[str]],
    passed_over: collections.Counter[str],
) -> PrepareSummary:
    """The summary of a preparation, whose manifest is at ``path``; the other values are the summary's own."""
    by_split: dict[str, list[Utterance]] = collections.defaultdict(list)
    for utterance in utterances:
        by_split[utterance.split].append(utterance)
    return PrepareSummary(
        manifest_path=path,
        accepted=len(utterances),
        rejected=len(rejected),
        seconds=sum(utterance.seconds for utterance in utterances),
        reasons=reasons_of(rejected),
        speakers={split: len({u.speaker for u in found}) for split, found in by_split.items()},
        utterances={split: len(found) for split, found in by_split.items()},
        reused=reused,
        notes=notes,
        passed_over=passed_over,
    )


def write_rejected(path: Path, rejected: Sequence[tuple[str, str]]) -> None:
    """Write paths and reasons as a tab-separated table.

    Raises:
        OSError: if it cannot be written.
    """
    with atomic_file(path) as temporary, temporary.open("w", encoding="utf-8", errors="backslashreplace") as file:
        file.write("path\treason\n")
        file.writelines("\t".join(" ".join(cell.split()) for cell in row) + "\n" for row in rejected)


def reasons_of(rejected: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Number of recordings by reason, without the values that follow it; most frequent first."""
    return dict(collections.Counter(reason.partition(":")[0] for _, reason in rejected).most_common())


def notes_of(found: Sequence[tuple[str, Sequence[str]]]) -> dict[str, list[str]]:
    """Paths by note, without the values that follow it."""
    notes = collections.defaultdict(list)
    for path, ours in found:
        for note in ours:
            notes[note.partition(":")[0]].append(path)
    return dict(notes)


def counted(reasons: Mapping[str, int]) -> str:
    """Counts and reasons in one line."""
    return ", ".join(f"{count} {reason}" for reason, count in reasons.items())
