"""Error rates over all words together, with a recogniser whose answers are known."""

import pytest
import torch

from lightning_voiceclone.core.interfaces import MetricSource, Recognizer
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.words import CharacterErrorRate, SelfWordErrorRate, WordErrorRate

pytest.importorskip("jiwer", reason="jiwer is not installed")


class Scripted(Recognizer):
    """Hears what it was told to, by the number of samples."""

    source = MetricSource("scripted", "1")

    def __init__(self, *texts):
        super().__init__()
        self.texts, self.asked = texts, 0

    def transcribe(self, audio, sample_rate):
        self.asked += 1
        return self.texts[len(audio) - 1]


def case(clone, transcript, source=1):
    return Case("a", torch.ones(source), torch.ones(1), torch.ones(clone), 16000, transcript)


def test_all_errors_over_all_words():
    recognizer = Scripted("the cat sat mat", "No, no!")
    measure = WordErrorRate(recognizer)
    measure.update(case(1, "The cat sat on the mat."))  # two words of six are missing
    assert float(measure.compute()) == pytest.approx(2 / 6)
    measure.update(case(2, "yes no"))  # one word of two is another
    assert float(measure.compute()) == pytest.approx(3 / 8)


def test_insertions_may_exceed_the_words():
    measure = WordErrorRate(Scripted("a b c d"))
    measure.update(case(1, "a"))
    assert float(measure.compute()) == 3


def test_an_empty_transcript_misses_every_word():
    measure = WordErrorRate(Scripted(""))
    measure.update(case(1, "five words that were said"))
    assert float(measure.compute()) == 1


def test_characters():
    measure = CharacterErrorRate(Scripted("bat"))
    measure.update(case(1, "cats"))  # c is another, s is missing
    assert float(measure.compute()) == pytest.approx(2 / 4)


def test_against_what_is_recognised_in_the_source():
    measure = SelfWordErrorRate(Scripted("mister smith went", "Mr. Smith won"))
    measure.update(case(2, "", source=1))
    assert float(measure.compute()) == pytest.approx(1 / 3)


def test_a_transcript_is_needed():
    with pytest.raises(RecordingError, match="the transcript is empty"):
        WordErrorRate(Scripted("a")).update(case(1, " ... "))
    with pytest.raises(RecordingError, match="found no words in the source"):
        SelfWordErrorRate(Scripted("", "b")).update(case(2, "a"))


def test_one_transcription_serves_all_three():
    recognizer = Scripted("a b", "a b")
    for cls in (WordErrorRate, CharacterErrorRate, SelfWordErrorRate):
        cls(recognizer).update(case(2, "a b"))
    assert recognizer.asked == 2  # clone and source
