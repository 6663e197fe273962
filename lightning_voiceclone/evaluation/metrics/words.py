"""What is understood of a clone, as a recogniser hears it."""

from collections.abc import Sequence
from typing import Any

from lightning_voiceclone.core.interfaces import MetricSource, Recognizer
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.evaluation.metrics.sources import heard_text, identify
from lightning_voiceclone.evaluation.recognizers.text_normalization import normalize
from lightning_voiceclone.utils.optional import need


class _ErrorRate(Metric):
    """Errors over all units of all cases together."""

    unit = "share"
    higher_is_better = False
    best = 0.0

    def __init__(self, recognizer: Recognizer) -> None:
        super().__init__()
        self.recognizer = recognizer
        self._jiwer: Any = need("jiwer")
        self._judge = identify(recognizer)

    @property
    def judge(self) -> MetricSource:
        """The recogniser."""
        return self._judge

    def said(self, case: Case) -> str:
        """The words that the clone should say, normalised."""
        words = normalize(case.transcript)
        if not words:
            raise RecordingError("the transcript is empty; give one in the table of pairs")
        return words

    def heard(self, case: Case) -> str:
        """The words that the recogniser hears in the clone, normalised."""
        return normalize(heard_text(self.recognizer, case.clone, case.sample_rate))

    def count(self, said: str, heard: str) -> Any:
        """jiwer's alignment of the two."""
        return self._jiwer.process_words(said, heard)

    def score(self, case: Case) -> tuple[float, float]:
        """Errors, and the units that should have been said."""
        counted = self.count(self.said(case), self.heard(case))
        errors = counted.substitutions + counted.deletions + counted.insertions
        return float(errors), float(counted.hits + counted.substitutions + counted.deletions)


class WordErrorRate(_ErrorRate):
    """Word error rate against the transcript: (substitutions + deletions + insertions) / words of the transcript.

    Over all cases together (corpus-level): long ones count for more. Both texts are normalised first, see
    ``normalize``. From 0, and above 1 where much is inserted; lower is better.

    Args:
        recognizer: who listens.
    """

    name = "wer"


class CharacterErrorRate(_ErrorRate):
    """Character error rate against the transcript: errors / characters of the transcript, spaces included.

    Corpus-level and normalised as ``wer`` is. From 0, and above 1 where much is inserted; lower is better.

    Args:
        recognizer: who listens.
    """

    name = "cer"

    def count(self, said: str, heard: str) -> Any:
        """jiwer's alignment of the characters."""
        return self._jiwer.process_characters(said, heard)


class SelfWordErrorRate(_ErrorRate):
    """Word error rate against what the recogniser itself hears in the source: for systems without transcripts.

    The recogniser's own faults on the source do not count, so that it is not comparable with ``wer``. Corpus-level and
    normalised as ``wer`` is. From 0 (a perfect copy), and above 1 where much is inserted; lower is better.

    Args:
        recognizer: who listens.
    """

    name = "wer_self"

    def said(self, case: Case) -> str:
        """What is heard in the source."""
        words = normalize(heard_text(self.recognizer, case.source, case.sample_rate))
        if not words:
            raise RecordingError("the recogniser hears no words in the source")
        return words


def corpus_error_rate(said: Sequence[str], heard: Sequence[str]) -> float:
    """Word error rate of many texts together, normalised."""
    return float(need("jiwer").wer([normalize(text) for text in said], [normalize(text) for text in heard]))
