"""A learner's attempt at a sentence, phoneme by phoneme: how good, how long and how high."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import torch
from torch import Tensor

from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.features.prosody import VOICED, Pitch, median_f0
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.recordings import Recording
from lightning_voiceclone.inference.screening import screen_references, screen_source
from lightning_voiceclone.inference.synthesis import Synthesizer
from lightning_voiceclone.inference.timestamps import timed_words
from lightning_voiceclone.networks.aligner import FRAME_RATE
from lightning_voiceclone.networks.goodness import Goodness, Path, goodness, said
from lightning_voiceclone.networks.phone_classifier import SAMPLE_RATE, PhoneClassifier, at_classifier_rate
from lightning_voiceclone.text.pronounced import Pronounced, Word
from lightning_voiceclone.text.sentences import Sentences
from lightning_voiceclone.text.variants import Pronunciation, accepted

LONGEST_SECONDS = 60.0  # of an attempt: a sentence or a few
FLAGGED = 0.02  # share of native speakers' phonemes that are flagged
LEAST_CLEAR = 0.35  # of the phonemes must be more probable than all others; else something else is said
LEAST_FRAMES = 2  # voiced, of a phoneme that has a pitch


class Scores(Protocol):
    """What scores an attempt: ``phone_classifier.PhoneScores``."""

    @property
    def classifier(self) -> PhoneClassifier:
        """Knows how good native speakers' phonemes are."""
        ...

    def __call__(self, audio: Tensor) -> Tensor:
        """Logarithms of the classes' probabilities (T, 40), 100 a second, of samples (N,) at 16 kHz."""
        ...


@dataclass(frozen=True)
class AssessedPhoneme:
    """A phoneme of an attempt.

    Args:
        phoneme: that should be there; a vowel with its stress.
        start: in seconds.
        end: in seconds.
        score: share of native speakers whose same phoneme is worse, 0 to 1.
        goodness: logarithm of how much more probable it is than the most probable other phoneme.
        nearest: that other phoneme.
        expected_seconds: its length as the text encoder predicts it, at the attempt's own tempo.
        pitch: semitones above the attempt's register; None where it is not voiced.
        expected_pitch: the same of the text encoder's reading; None where that is not voiced.
    """

    phoneme: str
    start: float
    end: float
    score: float
    goodness: float
    nearest: str
    expected_seconds: float
    pitch: float | None
    expected_pitch: float | None

    @property
    def flagged(self) -> bool:
        """Whether hardly any native speaker says it like that."""
        return self.score < FLAGGED


@dataclass(frozen=True)
class AssessedWord:
    """A word of an attempt.

    Args:
        word: with the pronunciation that was said, or came nearest.
        accepted: all pronunciations that would do.
        phonemes: of that pronunciation.
    """

    word: Word
    accepted: tuple[Pronunciation, ...]
    phonemes: tuple[AssessedPhoneme, ...]


@dataclass(frozen=True)
class Assessment:
    """An attempt at a text.

    Args:
        text: as it was given.
        seconds: of the attempt.
        tempo: times as fast as the text encoder's reading.
        register: median of the attempt's f0 in Hz; NaN if nothing is voiced.
        words: in order.
        f0: (T,) of the attempt in Hz, 100 a second, 0 where unvoiced.
    """

    text: str
    seconds: float
    tempo: float
    register: float
    words: tuple[AssessedWord, ...]
    f0: Tensor

    @property
    def phonemes(self) -> list[AssessedPhoneme]:
        """Of all words."""
        return [one for word in self.words for one in word.phonemes]

    @property
    def score(self) -> float:
        """Mean of the phonemes', 0 to 1; about 0.5 for native speakers."""
        return sum(one.score for one in self.phonemes) / len(self.phonemes)


class Coach:
    """Compare attempts with what should be said.

    Args:
        synthesizer: of the learner's voice; its front end pronounces the text.
        scores: probabilities of phonemes.
        own: all pronunciations of the lexicon, by word (``lexicon.read_variants``).
    """

    def __init__(
        self, synthesizer: Synthesizer, scores: Scores, own: Mapping[str, Sequence[Pronunciation]] | None = None
    ) -> None:
        self.synthesizer, self.scores, self.own = synthesizer, scores, own or {}
        self._pitch = Pitch()

    @torch.inference_mode()
    def assess(self, text: str, attempt: Tensor, name: str = "the attempt") -> Assessment:
        """Assess an attempt (N,) at 16 kHz at a text, with or without markup.

        Raises:
            TextError: if the text cannot be spoken.
            RecordingError: if the attempt is too short for the text, too long, or says something else.
        """
        sentences = [one.spoken for one in Sentences(self.synthesizer.front, text) if one.spoken is not None]
        words = [word for one in sentences for word in one.words]
        choices = [accepted(word, self.own) for word in words]
        check_length(attempt, name)
        table = self.scores(attempt)
        chosen, path = said(table, choices)
        found = goodness(table, path)
        check_said(found, name)
        words = [replace(word, phonemes=tuple(one)) for word, one in zip(words, chosen, strict=True)]
        expected = self._expected(sentences, words)
        f0, voicing = self._pitch(attempt[None])[0]
        f0 = f0 * (voicing > VOICED)
        phonemes, tempo, register = self._phonemes(words, path, found, expected, f0)
        made, done = [], iter(phonemes)
        for word, choice in zip(words, choices, strict=True):
            made.append(AssessedWord(word, tuple(choice), tuple(next(done) for _ in word.phonemes)))
        return Assessment(text, len(attempt) / SAMPLE_RATE, tempo, register, tuple(made), f0)

    def _expected(self, sentences: Sequence[Pronounced], words: Sequence[Word]) -> list[tuple[float, float | None]]:
        """Seconds and semitones above the register of each phoneme, as the text encoder reads the words."""
        rest, rate = iter(words), self.synthesizer.encoder.frame_rate
        seconds, pitches = list[float](), list[float]()
        for one in sentences:
            planned = self.synthesizer.plan(one.with_words(rest))
            f0 = self.synthesizer.script(planned).f0
            for span in (span for word in timed_words([(0.0, planned)], rate) for span in word.phonemes):
                seconds.append(span.end - span.start)
                pitches.append(math.nan if f0 is None else _f0_within(f0[0].cpu(), span.start, span.end, rate))
        register = _median(pitches)
        return [(length, _semitones(f0, register)) for length, f0 in zip(seconds, pitches, strict=True)]

    def _phonemes(
        self, words: Sequence[Word], path: Path, found: Sequence[Goodness],
        expected: Sequence[tuple[float, float | None]], f0: Tensor,
    ) -> tuple[list[AssessedPhoneme], float, float]:  # fmt: skip
        """Every phoneme; the tempo; and the register in Hz."""
        times = [(first / FRAME_RATE, last / FRAME_RATE) for _, first, last in path]
        tempo = sum(seconds for seconds, _ in expected) / sum(end - start for start, end in times)
        register = float(median_f0(f0[None])[0])
        made = []
        names = [phoneme for word in words for phoneme in word.phonemes]
        for name, (start, end), one, (seconds, pitch) in zip(names, times, found, expected, strict=True):
            score = self.scores.classifier.percentile(name, one.value)
            own = _semitones(_f0_within(f0, start, end, FRAME_RATE), register)
            made.append(AssessedPhoneme(name, start, end, score, one.value, one.nearest, seconds / tempo, own, pitch))
        return made, tempo, register


def read_attempt(model: Converter, recording: Recording, name: str = "the attempt") -> Tensor:
    """Samples (N,) at 16 kHz of an attempt that has speech, denoised where speech is less than 15 dB above the noise.

    Args:
        model: screens the recording.
        recording: a path, or a pair of samples (N,) or (channels, N) and their rate.
        name: of samples, for notes and errors.

    Raises:
        RecordingError: if it cannot be read, is empty, silent, too short or too long, or has no speech.
    """
    named = model.read(recording, name)
    check_length(named[1], named[0], model.sample_rate)
    screen_references([named], model.voice.spec, denoise=model.denoise)
    audio = screen_source(named[1], model.voice.spec, named[0], denoise=model.denoise).audio.cpu()
    return at_classifier_rate(audio, model.sample_rate)


def check_length(attempt: Tensor, name: str, sample_rate: int = SAMPLE_RATE) -> None:
    """Refuse an attempt that is too long.

    Raises:
        RecordingError: names it.
    """
    if len(attempt) > LONGEST_SECONDS * sample_rate:
        raise RecordingError(
            f"{name} lasts {len(attempt) / sample_rate:.0f} s; it may last {LONGEST_SECONDS:.0f} s at most: give a"
            " sentence at a time"
        )


def check_said(found: Sequence[Goodness], name: str) -> None:
    """Refuse an attempt at another text.

    Raises:
        RecordingError: names it.
    """
    clear = sum(one.value > 0 for one in found) / len(found)
    if clear < LEAST_CLEAR:
        raise RecordingError(
            f"{name} does not seem to say this text: {clear:.0%} of its phonemes are where they should be, at least"
            f" {LEAST_CLEAR:.0%} are needed; check the text, and that the recording has the whole of it"
        )


def _f0_within(f0: Tensor, start: float, end: float, frame_rate: float) -> float:
    """Median of f0 (T,) in Hz from one second to another; NaN where hardly anything is voiced."""
    some = f0[round(start * frame_rate) : round(end * frame_rate)]
    return float(median_f0(some[None])[0]) if int((some > 0).sum()) >= LEAST_FRAMES else math.nan


def _median(values: Sequence[float]) -> float:
    return float(torch.tensor(values or [math.nan]).nanmedian())


def _semitones(f0: float, register: float) -> float | None:
    """Of f0 above the register, both in Hz; None where one is not a number."""
    return None if math.isnan(f0 / register) else 12 * math.log2(f0 / register)
