"""Whose voice a clone speaks with, as a speaker encoder hears it."""

import numpy as np

from lightning_voiceclone.core.interfaces import MetricSource, SpeakerEncoder
from lightning_voiceclone.errors import UndefinedMeasureError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Floats, Metric
from lightning_voiceclone.evaluation.metrics.sources import check_speaker_judge, identify, voice_of


class _SpeakerMeasure(Metric):
    def __init__(self, speaker_encoder: SpeakerEncoder) -> None:
        super().__init__()
        self.encoder = check_speaker_judge(speaker_encoder)
        self._judge = identify(speaker_encoder)

    @property
    def judge(self) -> MetricSource:
        """The speaker encoder."""
        return self._judge

    def similarity(self, case: Case, left: str, right: str) -> float:
        """Cosine of the voices of two of the case's recordings."""
        ours, theirs = (voice_of(self.encoder, getattr(case, role)) for role in (left, right))
        return float(ours @ theirs)


class ReferenceSimilarity(_SpeakerMeasure):
    """Cosine of the embeddings of the clone and of the reference: cos(e(clone), e(reference)).

    From -1 to 1 (0 to 1 with Resemblyzer); higher is better. Two recordings of one speaker do not reach 1 either.

    Args:
        speaker_encoder: the judge, of audio; not the one that the model was trained with.
    """

    name = "similarity_reference"
    unit = "cosine"
    higher_is_better = True
    best = 1.0

    def score(self, case: Case) -> float:
        """Cosine to the reference."""
        return self.similarity(case, "clone", "reference")


class SourceSimilarity(_SpeakerMeasure):
    """Cosine of the embeddings of the clone and of the source: how much of the source's voice is left.

    From -1 to 1 (0 to 1 with Resemblyzer); lower is better for a conversion, down to that of two different speakers.

    Args:
        speaker_encoder: the judge, of audio; not the one that the model was trained with.
    """

    name = "similarity_source"
    unit = "cosine"
    higher_is_better = False

    def score(self, case: Case) -> float:
        """Cosine to the source."""
        return self.similarity(case, "clone", "source")


class NearerReference(_SpeakerMeasure):
    """Share of clones that are nearer to the reference than to the source: cos to the one above cos to the other.

    From 0 to 1; higher is better.

    Args:
        speaker_encoder: the judge, of audio; not the one that the model was trained with.
    """

    name = "nearer_reference"
    unit = "share"
    higher_is_better = True
    best = 1.0

    def score(self, case: Case) -> float:
        """1 or 0."""
        return float(self.similarity(case, "clone", "reference") > self.similarity(case, "clone", "source"))


class SpeakerEqualErrorRate(_SpeakerMeasure):
    """Equal-error rate of the judge where clones try to pass for the reference's speaker.

    Each case gives two trials against its reference: genuine, another recording of that speaker; impostor, the clone.
    The rate is that at the threshold where as large a share of genuine trials is refused as of clones is let in. From
    0 (no clone passes) to 1; 0.5 means that the judge cannot tell clones from the speaker: higher is better. Undefined
    where no other recording of the speaker is known.

    Args:
        speaker_encoder: the judge, of audio; not the one that the model was trained with.
    """

    name = "speaker_eer"
    unit = "share"
    higher_is_better = True
    per_case = False

    def score(self, case: Case) -> tuple[float, float]:
        """Cosine to the reference of another recording of its speaker, and of the clone."""
        if case.genuine is None:
            raise UndefinedMeasureError("the table of pairs has no other recording of the reference's speaker")
        return self.similarity(case, "genuine", "reference"), self.similarity(case, "clone", "reference")

    @classmethod
    def summarize(cls, scores: Floats, weights: Floats) -> Floats:
        """The rate, once for each row of weights."""
        return equal_error_rate(scores[:, 0], scores[:, 1], weights, weights)


def equal_error_rate(
    genuine: Floats, impostor: Floats, genuine_weights: Floats | None = None, impostor_weights: Floats | None = None
) -> Floats:
    """The rate (D,) at which as many genuine trials are refused as impostors accepted, interpolated between thresholds.

    Args:
        genuine: (n,) scores of trials that should be accepted.
        impostor: (m,) scores of trials that should be refused.
        genuine_weights: (D, n), not negative; None for one row of ones.
        impostor_weights: (D, m); likewise.
    """
    ours = np.ones((1, len(genuine))) if genuine_weights is None else genuine_weights
    theirs = np.ones((1, len(impostor))) if impostor_weights is None else impostor_weights
    scores = np.concatenate([genuine, impostor])
    order = np.argsort(scores, kind="stable")
    # Trials of one score fall on the same side of every threshold.
    last = np.searchsorted(scores[order], np.unique(scores), side="right") - 1
    zeros = np.zeros((len(ours), 1))
    with np.errstate(invalid="ignore", divide="ignore"):
        refused, kept_out = (
            np.hstack([zeros, np.cumsum(weights[:, order], axis=1)[:, last] / weights.sum(1, keepdims=True)])
            for weights in (np.hstack([ours, 0 * theirs]), np.hstack([0 * ours, theirs]))
        )
        gap = (1 - kept_out) - refused  # from 1 to -1, never rising
        after = (gap <= 0).argmax(1)[:, None]
        above, below = (np.take_along_axis(gap, index, 1) for index in (after - 1, after))
        low, high = (np.take_along_axis(refused, index, 1) for index in (after - 1, after))
        return (low + (high - low) * above / (above - below))[:, 0]
