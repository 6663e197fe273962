"""Whether the metrics of ``lvc evaluate`` measure what they should, and how long they take.

    python benchmarks/metrics.py --speech ../shared/speech [--time OUT]

Prints, of real speech that no model here was trained with: the equal-error rate of the speaker encoder over all pairs
of recordings of LibriSpeech test-other (goal: below 1%); the corpus word error rate over the distinct sources of
eval_pairs.tsv (goal: at most 11.5%); for each metric, its values for a corruption that grows (goal: they never rise
and fall); and with ``--time``, the minutes and the memory of all metrics over the pairs, and over the same pairs three
times (goal: at most 12 minutes on 2 processors for the pairs, and the same memory). Needs the extras ``judges`` and
``pesq``.
"""

import argparse
import itertools
import multiprocessing
import resource
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.sources import embedding_of, transcript_of
from lightning_voiceclone.evaluation.metrics.speaker import equal_error_rate
from lightning_voiceclone.evaluation.metrics.words import corpus_error_rate
from lightning_voiceclone.evaluation.pairs import Pair, read_pairs
from lightning_voiceclone.evaluation.panel import Panel, PanelSettings, chosen_metrics
from lightning_voiceclone.evaluation.run import evaluate
from lightning_voiceclone.evaluation.systems import GroundTruth

RATE = 16000
REPEATS = 3
NOISES = ("clean", "20 dB", "10 dB", "0 dB")
VOICES = ("same speaker", "a third", "the source's")
PITCHES = ("0", "1", "2", "4 semitones")
PACES = ("1", "1.1", "1.3", "1.6 as slow")
BY_VOICE = ("nearer_reference", "speaker_eer")
BY_WORDS = ("wer", "cer", "wer_self")
SOURCES = ("the reference's", "the source's speaker again", "the source itself")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--speech", type=Path, required=True, help="folder with LibriSpeech/test-other, eval_pairs.tsv")
    parser.add_argument("--time", type=Path, metavar="OUT", help="measure time and memory too, with reports in OUT")
    options = parser.parse_args()
    torch.set_num_threads(1)
    pairs = options.speech / "eval_pairs.tsv"
    if options.time:
        print_time(pairs, options.time)
    panel = Panel(PanelSettings(chosen_metrics()))
    for name, reason in panel.absent.items():
        print(f"{name} is not measured: {reason}")
    print_equal_error_rate(panel, options.speech / "LibriSpeech/test-other")
    print_word_error_rate(panel, pairs)
    print_gradings(panel, pairs)


def samples(path: Path) -> torch.Tensor:
    return torch.from_numpy(read_audio(path, RATE)[0])


def print_equal_error_rate(panel: Panel, folder: Path) -> None:
    """Of the speaker encoder, each recording against each other one."""
    encoder: Any = panel.metrics["similarity_reference"].encoder
    files = sorted(folder.rglob("*.flac"))
    voices = torch.stack([embedding_of(encoder, samples(path)) for path in files])
    speakers = [path.stem.partition("-")[0] for path in files]
    cosines = (voices @ voices.T).numpy()
    trials = [(cosines[i, j], speakers[i] == speakers[j]) for i, j in itertools.combinations(range(len(files)), 2)]
    genuine, impostor = (np.array([score for score, same in trials if same == kind]) for kind in (True, False))
    rate = float(equal_error_rate(genuine, impostor)[0])
    print(f"speaker encoder: equal-error rate {rate:.2%} over {len(genuine)} genuine and {len(impostor)} impostor"
          f" trials, {len(files)} recordings of {len(set(speakers))} speakers (goal below 1%)")  # fmt: skip


def print_word_error_rate(panel: Panel, pairs: Path) -> None:
    """Of the recogniser, over the distinct sources."""
    recognizer: Any = panel.metrics["wer"].recognizer
    said = {row.source: row.transcript for row in read_pairs(pairs).rows}
    transcripts = [transcript_of(recognizer, samples(path), RATE) for path in said]
    rate = corpus_error_rate(list(said.values()), transcripts)
    print(f"recogniser: corpus word error rate {rate:.2%} over {len(said)} distinct sources (goal at most 11.5%)")


# Corruptions that grow -----------------------------------------------------------------------------------------------


def print_gradings(panel: Panel, pairs: Path) -> None:
    """Each metric's figure at each grade, over one pair of each source speaker."""
    rows = {row.source_speaker: row for row in reversed(read_pairs(pairs).rows)}
    cases = [copy(row) for row in rows.values()]
    other = (*BY_VOICE, *BY_WORDS, "similarity_reference", "similarity_source", "duration_ratio")
    noise = [name for name in panel.metrics if name not in other]
    grade("noise added to a copy of the source", NOISES, noise, panel, [list(noisy(case)) for case in cases])
    # Ten sources are 119 words, of which one more or less is nearly 1%: words are counted over all distinct sources.
    copies = [copy(row) for row in {row.source: row for row in read_pairs(pairs).rows}.values()]
    grade("noise added to a copy of the source", NOISES, BY_WORDS, panel, [list(noisy(case)) for case in copies])
    recorded = [replace(case, clone=case.genuine, parallel=None) for case in cases]
    grade("noise added to another recording of the reference's speaker", NOISES, ["similarity_reference"], panel,
          [list(noisy(case)) for case in recorded])  # fmt: skip
    grade("a copy of the source moved in pitch", PITCHES, ["f0_rmse_hz"], panel,
          [list(changed(case, higher, (0, 1, 2, 4))) for case in cases])  # fmt: skip
    unpaired = [replace(case, parallel=None) for case in cases]
    grade("a copy of the source made slower", PACES, ["duration_ratio"], panel,
          [list(changed(case, slower, (1, 1.1, 1.3, 1.6))) for case in unpaired])  # fmt: skip
    others = {row.source_speaker: samples(row.source) for row in read_pairs(pairs).rows}
    speakers = list(rows)
    voices = [voiced(case, others[speakers[place - 2]]) for place, case in enumerate(recorded)]
    grade("whose voice it is", VOICES, ["similarity_reference", *BY_VOICE], panel, voices)
    left = [[case, replace(case, clone=others[speaker]), replace(case, clone=case.source)]
            for case, speaker in zip(recorded, speakers, strict=True)]  # fmt: skip
    grade("how much of the source's voice is left", SOURCES, ["similarity_source"], panel, left)


def copy(row: Pair) -> Case:
    """The source itself as the clone."""
    audio = samples(row.source)
    genuine = samples(row.genuine or row.reference)
    return Case(row.case, audio, samples(row.reference), audio, RATE, row.transcript, audio, genuine)


def noisy(case: Case) -> Iterator[Case]:
    """The clone, clean and with white noise at 20, 10 and 0 dB."""
    random = torch.Generator().manual_seed(0)
    noise = torch.randn(case.clone.shape, generator=random) * case.clone.square().mean().sqrt()
    for decibels in (np.inf, 20.0, 10.0, 0.0):
        yield replace(case, clone=(case.clone + noise * 10 ** (-decibels / 20)).clamp(-1, 1))


def higher(audio: Any, steps: float) -> Any:
    return librosa.effects.pitch_shift(audio, sr=RATE, n_steps=steps)


def slower(audio: Any, pace: float) -> Any:
    return librosa.effects.time_stretch(audio, rate=1 / pace)


def changed(case: Case, function: Callable[[Any, float], Any], degrees: Sequence[float]) -> Iterator[Case]:
    """The clone, changed to growing degrees; the first leaves it as it is."""
    for degree in degrees:
        audio = case.clone.numpy()
        yield case if degree == degrees[0] else replace(case, clone=torch.from_numpy(function(audio, degree)).float())


def voiced(case: Case, third: torch.Tensor) -> list[Case]:
    """Clones in the reference's voice, in a third speaker's, and in the source's."""
    return [case, replace(case, clone=third), replace(case, clone=case.source)]


def grade(title: str, degrees: Sequence[str], names: Sequence[str], panel: Panel, graded: list[list[Case]]) -> None:
    """Print a table of figures by degrees, and whether each only gets worse."""
    table = Table(title=f"{title}; {len(graded)} cases", title_justify="left")
    for heading in ("measure", *degrees, "answer"):
        table.add_column(heading, justify="left" if heading in ("measure", "answer") else "right")
    for name in names:
        measure, figures = panel.metrics.get(name), []
        if measure is None:
            continue
        for column in zip(*graded, strict=True):
            measure.reset()
            for case in column:
                update(measure, case)
            figures.append(float(measure.compute()))
        steps = np.diff(figures) * (1 if measure.higher_is_better else -1)
        trend = "monotone" if (steps < 0).all() else "no worse" if (steps <= 0).all() else "NOT MONOTONE"
        table.add_row(name, *(f"{figure:.4g}" for figure in figures), trend)
    Console(width=120).print(table)


def update(measure: Any, case: Case) -> None:
    try:
        measure.update(case)
    except Exception as error:
        print(f"{measure.name} has no answer for {case.name}: {error}")


# Time and memory ----------------------------------------------------------------------------------------------------


def print_time(pairs: Path, output: Path) -> None:
    """Minutes and the largest process's memory, of all pairs and of the same pairs REPEATS times over."""
    context = multiprocessing.get_context("spawn")  # a process's peak never falls again: each run has its own
    for repeats in (1, REPEATS):
        receiver, sender = context.Pipe(duplex=False)
        runner = context.Process(target=evaluate_repeated, args=(pairs, output, repeats, sender))
        runner.start()
        count, minutes, peak = receiver.recv()
        runner.join()
        print(f"{count} pairs with all measures: {minutes:.1f} minutes, largest process {peak:.0f} MB", flush=True)


def evaluate_repeated(pairs: Path, output: Path, repeats: int, sender: Any) -> None:
    """Judge the sources themselves, each pair ``repeats`` times, and send pairs, minutes and peak megabytes."""
    folder = output / f"{repeats}-times-{time.time_ns()}"
    folder.mkdir(parents=True)
    rows = read_pairs(pairs).rows
    lines = [f"{row.case}-{number}\t{row.source.resolve()}\t{row.reference.resolve()}\t{row.transcript}"
             for number in range(repeats) for row in rows]  # fmt: skip
    table = folder / "pairs.tsv"
    table.write_text("\n".join(["case\tsource\treference\ttranscript", *lines]) + "\n", encoding="utf-8")
    begun = time.monotonic()
    evaluate(table, GroundTruth(), folder / "report")
    minutes = (time.monotonic() - begun) / 60
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) / 1024
    sender.send((len(lines), minutes, peak))


if __name__ == "__main__":
    main()
