"""What more recordings of a speaker bring: the parts ``references`` and ``adaptation`` of ``cloning.py``."""

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from torch import Tensor

from lightning_voiceclone.audio.io import read_audio, write_audio
from lightning_voiceclone.checkpoints.voice_folder import load_voice, voice_path
from lightning_voiceclone.evaluation.bootstrap import ClusterBootstrap, Floats
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.sources import embedding_of, metric_source
from lightning_voiceclone.evaluation.metrics.words import WordErrorRate
from lightning_voiceclone.evaluation.pairs import Pair, Pairs, read_pairs
from lightning_voiceclone.evaluation.recognizers.whisper import WhisperRecognizer
from lightning_voiceclone.evaluation.systems import path_sha256
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.recordings import read
from lightning_voiceclone.networks.speaker_encoders.resemblyzer import ResemblyzerSpeakerEncoder
from lightning_voiceclone.training.adaptation import adapt
from lightning_voiceclone.utils.journal import Journal, key_of
from lightning_voiceclone.voice.model import VoiceModel

RATE = 16000  # of the metrics' models
MORE = 3  # references beside the pair's
SECONDS = 30.0  # of a speaker, to adapt to
LEAST_SECONDS = 1.0  # of a recording that is used
GREATEST_WER_RISE, GREATEST_MINUTES = 0.03, 10.0


class Evaluator:
    """Judges of clones: Resemblyzer of whose voice it is, Whisper of the words."""

    def __init__(self) -> None:
        self.encoder = ResemblyzerSpeakerEncoder()
        self.words = WordErrorRate(WhisperRecognizer())

    @property
    def names(self) -> list[str]:
        """The models that measure: the key of their results."""
        return [str(metric_source(self.encoder)), str(self.words.source)]

    def similarity(self, clone: Tensor, others: Sequence[Path]) -> float:
        """Mean cosine of a clone to recordings."""
        ours = embedding_of(self.encoder, clone)
        return float(np.mean([float(ours @ embedding_of(self.encoder, samples(path, RATE))) for path in others]))

    def errors(self, clone: Tensor, pair: Pair) -> tuple[float, float]:
        """Wrong words of a clone, and the words of its text."""
        source = samples(pair.source, RATE)
        return self.words.score(Case(pair.case, source, source, clone, RATE, pair.transcript))


def samples(path: Path, rate: int) -> Tensor:
    return torch.from_numpy(read_audio(path, rate)[0])


def utterances(options: argparse.Namespace, speaker: str) -> list[Path]:
    """A speaker's recordings, in order."""
    return sorted((options.speech / "LibriSpeech/test-other" / speaker).rglob("*.flac"))


def cloned(voice: VoiceModel, source: Path, references: Sequence[Path]) -> Tensor:
    """The clone (N,) at the metrics' rate, made as ``lvc clone`` makes it; no reference for an adapted model's own."""
    converter = Converter(voice, note=lambda note: None)
    clone = converter.convert(source, converter.speaker(*references) if references else None)
    return torch.as_tensor(read(clone, RATE).samples)


def difference(pairs: Sequence[Pair], before: Floats, after: Floats) -> tuple[float, tuple[float, float] | None]:
    """Of a figure, after less before, each a table (cases, 2) of numerators and denominators; and its interval."""

    def figure(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore"):  # of draws without a case
            (one, all_one), (two, all_two) = ((weights @ table).T for table in (before, after))
            return two / all_two - one / all_one

    bootstrap = ClusterBootstrap([pair.source_speaker for pair in pairs], [pair.target_speaker for pair in pairs])
    return float(figure(np.ones((1, len(pairs))))[0]), bootstrap.interval(figure)


def table(values: Sequence[float]) -> Floats:
    """Values of which the mean is the figure."""
    return np.stack([np.array(values, dtype=np.float64), np.ones(len(values))], 1)


def line(name: str, before: Floats, after: Floats, pairs: Sequence[Pair], goal: str, reached: Any) -> None:
    """Print a figure before and after, their difference, and whether the goal is ``reached`` (of mean and low end)."""
    mean, interval = difference(pairs, before, after)
    one, two = (each[:, 0].sum() / each[:, 1].sum() for each in (before, after))
    ends = "no interval" if interval is None else f"{interval[0]:+.3f} to {interval[1]:+.3f}"
    met = reached(mean, float("nan") if interval is None else interval[0])
    print(f"  {name} {one:.3f}, then {two:.3f}: {mean:+.3f} ({ends}); goal {goal}:"
          f" {'reached' if met else 'not reached'}", flush=True)  # fmt: skip


def journal_in(folder: Path) -> Journal:
    folder.mkdir(parents=True, exist_ok=True)
    return Journal(folder / "progress.jsonl")


# Several references ---------------------------------------------------------------------------------------------------


def print_references(options: argparse.Namespace) -> None:
    """One reference against four."""
    pairs = read_pairs(options.pairs).limited(options.limit).rows
    voice, evaluator = load_voice(options.voice), Evaluator()
    journal, sha256 = journal_in(options.output / "references"), path_sha256(voice_path(options.voice))
    found = []
    for pair in pairs:
        key = key_of("references", evaluator.names, sha256, pair.case, str(pair.source), str(pair.reference), MORE)
        if key not in journal.entries:
            four, held_out = split(pair, utterances(options, pair.target_speaker))
            similarity = {name: evaluator.similarity(cloned(voice, pair.source, given), held_out)
                        for name, given in (("one", four[:1]), ("four", four))}  # fmt: skip
            journal.append([(key, {"case": pair.case, **similarity})])
        found.append(journal.entries[key])
    print(f"references, {len(pairs)} pairs, one and then {1 + MORE} of the speaker:")
    one, four = (table([entry[name] for entry in found]) for name in ("one", "four"))
    line("mean cosine to the speaker's other recordings", one, four, pairs, "not lower", lambda mean, low: mean >= 0)


def split(pair: Pair, recordings: Sequence[Path]) -> tuple[list[Path], list[Path]]:
    """The pair's reference with those that come after it in the speaker's order, round to the first; and the rest."""
    names = [path.name for path in recordings]
    place = names.index(pair.reference.name) + 1
    others = [*recordings[place:], *recordings[: place - 1]]
    return [pair.reference, *others[:MORE]], others[MORE:]


# Adaptation -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Outcome:
    """Of a pair: cosine to the speaker's other recordings, wrong words and words, of either clone."""

    zero: tuple[float, float, float]
    adapted: tuple[float, float, float]


def print_adaptation(options: argparse.Namespace) -> None:
    """Adapted against zero-shot, speaker by speaker."""
    every, evaluator = read_pairs(options.pairs), Evaluator()
    speakers = sorted({row.target_speaker for row in every.rows})[: options.speakers]
    journal, sha256 = journal_in(options.output / "adaptation"), path_sha256(voice_path(options.voice))
    print(f"adaptation, {SECONDS:g} s of each of {len(speakers)} speakers, {options.steps} steps, strength"
          f" {options.strength:g}, zero-shot and then adapted:")  # fmt: skip
    pairs: list[Pair] = []
    found: list[dict[str, Any]] = []
    minutes = []
    for speaker in speakers:
        rows = of_speaker(every, speaker, options.limit)
        key = key_of("adaptation", evaluator.names, sha256, options.steps, options.strength, SECONDS, speaker,
                     [row.case for row in rows])  # fmt: skip
        if key not in journal.entries:
            journal.append([(key, adapted_to(options, evaluator, speaker, rows))])
        entry = journal.entries[key]
        minutes.append(entry["minutes"])
        pairs += rows
        found += entry["outcomes"]
        cosines = [np.mean([outcome[name][0] for outcome in entry["outcomes"]]) for name in ("zero", "adapted")]
        print(f"  {speaker}: {entry['seconds']:.1f} s, {minutes[-1]:.1f} minutes, mean cosine {cosines[0]:.3f}, then"
              f" {cosines[1]:.3f}", flush=True)  # fmt: skip
    values = {name: np.array([outcome[name] for outcome in found]) for name in ("zero", "adapted")}
    line("mean cosine to the speaker's other recordings", *(table(v[:, 0]) for v in values.values()), pairs,
         "up, with an interval above 0", lambda mean, low: low > 0)  # fmt: skip
    line("wer", *(v[:, 1:] for v in values.values()), pairs, f"up by at most {GREATEST_WER_RISE}",
         lambda mean, low: mean <= GREATEST_WER_RISE)  # fmt: skip
    reached = "reached" if max(minutes) <= GREATEST_MINUTES else "not reached"
    print(f"  minutes a speaker {np.median(minutes):.1f} (median; {min(minutes):.1f} to {max(minutes):.1f}); goal at"
          f" most {GREATEST_MINUTES:g} each: {reached}", flush=True)  # fmt: skip


def of_speaker(pairs: Pairs, speaker: str, limit: int | None) -> tuple[Pair, ...]:
    """The pairs whose reference is this speaker's, so many of them at most, evenly spread."""
    rows = tuple(row for row in pairs.rows if row.target_speaker == speaker)
    return Pairs(pairs.path, pairs.sha256, rows).limited(limit).rows


def adapted_to(options: argparse.Namespace, evaluator: Evaluator, speaker: str, rows: Sequence[Pair]) -> dict[str, Any]:
    """What the journal keeps of a speaker; the adapted weights are thrown away."""
    with TemporaryDirectory() as folder:
        recordings = utterances(options, speaker)
        given = list(first_seconds(recordings, Path(folder)))
        seconds = sum(len(samples(path, RATE)) for path in given) / RATE
        others = [path for path in recordings if path.stem not in {used.stem for used in given}]
        zero = load_voice(options.voice)
        before = [measured(evaluator, zero, row, given, others) for row in rows]
        begun = time.monotonic()
        ours = adapt(load_voice(options.voice), given, steps=options.steps, strength=options.strength,
                     progress=False)  # fmt: skip
        minutes = (time.monotonic() - begun) / 60
        after = [measured(evaluator, ours, row, [], others) for row in rows]
    outcomes = [asdict(Outcome(*both)) for both in zip(before, after, strict=True)]
    return {"speaker": speaker, "seconds": seconds, "minutes": minutes, "outcomes": outcomes}


def measured(
    evaluator: Evaluator, voice: VoiceModel, pair: Pair, given: Sequence[Path], others: Sequence[Path]
) -> tuple[float, float, float]:
    """Cosine, wrong words and words of the clone of a pair's source."""
    clone = cloned(voice, pair.source, given)
    return evaluator.similarity(clone, others), *evaluator.errors(clone, pair)


def first_seconds(recordings: Sequence[Path], folder: Path) -> Iterator[Path]:
    """Recordings in order until they last long enough, the last one cut, written under their names into the folder."""
    left = round(SECONDS * RATE)
    for path in recordings:
        audio = samples(path, RATE)[:left]
        if len(audio) < LEAST_SECONDS * RATE:
            return
        left -= len(audio)
        write_audio(folder / f"{path.stem}.wav", audio.numpy(), RATE)
        yield folder / f"{path.stem}.wav"
