"""Intelligibility of a clone: error rates of a recogniser's transcript."""

from collections.abc import Sequence
from typing import Any

from lightning_voiceclone.core.interfaces import MetricSource, Recognizer
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.evaluation.metrics.sources import metric_source, transcript_of
from lightning_voiceclone.evaluation.recognizers.text_normalization import normalize
from lightning_voiceclone.utils.optional import need


class _ErrorRate(Metric):
    """Errors over all units of all cases together (corpus-level)."""

    unit = "share"
    higher_is_better = False
    best = 0.0

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self.recognizer = recognizer
        self._jiwer: Any = need("jiwer")
        self._source = metric_source(recognizer)

    @property
    def source(self) -> MetricSource:
        """The recogniser."""
        return self._source

    def expected(self, case: Case) -> str:
        """The words that the clone should contain, normalised."""
        words = normalize(case.transcript)
        if not words:
            raise RecordingError("the transcript is empty; give one in the table of pairs")
        return words

    def recognized(self, case: Case) -> str:
        """The recogniser's transcript of the clone, normalised."""
        return normalize(transcript_of(self.recognizer, case.clone, case.sample_rate))

    def count(self, expected: str, recognized: str) -> Any:
        """jiwer's alignment of the two."""
        return self._jiwer.process_words(expected, recognized)

    def score(self, case: Case) -> tuple[float, float]:
        """Errors, and the number of expected units."""
        counted = self.count(self.expected(case), self.recognized(case))
        errors = counted.substitutions + counted.deletions + counted.insertions
        return float(errors), float(counted.hits + counted.substitutions + counted.deletions)


class WordErrorRate(_ErrorRate):
    """Word error rate against the transcript: (substitutions + deletions + insertions) / words of the transcript.

    Over all cases together (corpus-level): long ones count for more. Both texts are normalised first, see
    ``normalize``. From 0, and above 1 with many insertions; lower is better.

    Args:
        recognizer: gives the transcript.
    """

    name = "wer"


class CharacterErrorRate(_ErrorRate):
    """Character error rate against the transcript: errors / characters of the transcript, spaces included.

    Corpus-level and normalised as ``wer`` is. From 0, and above 1 with many insertions; lower is better.

    Args:
        recognizer: gives the transcript.
    """

    name = "cer"

    def count(self, expected: str, recognized: str) -> Any:
        """jiwer's alignment of the characters."""
        return self._jiwer.process_characters(expected, recognized)


class SelfWordErrorRate(_ErrorRate):
    """Word error rate against the recogniser's own transcript of the source: for pairs without transcripts.

    The recogniser's own errors on the source do not count, so it is not comparable with ``wer``. Corpus-level and
    normalised as ``wer`` is. From 0 (a perfect copy), and above 1 with many insertions; lower is better.

    Args:
        recognizer: gives the transcript.
    """

    name = "wer_self"

    def expected(self, case: Case) -> str:
        """The recogniser's transcript of the source, normalised."""
        words = normalize(transcript_of(self.recognizer, case.source, case.sample_rate))
        if not words:
            raise RecordingError("the recogniser found no words in the source")
        return words


def corpus_error_rate(expected: Sequence[str], recognized: Sequence[str]) -> float:
    """Word error rate of many texts together, normalised."""
    return float(need("jiwer").wer([normalize(text) for text in expected], [normalize(text) for text in recognized]))
