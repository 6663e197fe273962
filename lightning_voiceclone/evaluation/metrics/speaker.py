"""Speaker similarity of a clone, by a speaker encoder."""

import numpy as np

from lightning_voiceclone.core.interfaces import MetricSource, SpeakerEncoder
from lightning_voiceclone.errors import UndefinedMeasureError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Floats, Metric
from lightning_voiceclone.evaluation.metrics.sources import check_speaker_encoder, embedding_of, metric_source


class _SpeakerMetric(Metric):
    def __init__(self, speaker_encoder: SpeakerEncoder) -> None:
        super().__init__()
        self.encoder = check_speaker_encoder(speaker_encoder)
        self._source = metric_source(speaker_encoder)

    @property
    def source(self) -> MetricSource:
        """The speaker encoder."""
        return self._source

    def similarity(self, case: Case, left: str, right: str) -> float:
        """Cosine of the embeddings of two of the case's recordings."""
        ours, theirs = (embedding_of(self.encoder, getattr(case, role)) for role in (left, right))
        return float(ours @ theirs)


class ReferenceSimilarity(_SpeakerMetric):
    """Cosine of the embeddings of the clone and of the reference: cos(e(clone), e(reference)).

    From -1 to 1 (0 to 1 with Resemblyzer); higher is better. Two real recordings of one speaker do not reach 1 either.

    Args:
        speaker_encoder: takes audio; should not be the one that the model was trained with.
    """

    name = "similarity_reference"
    unit = "cosine"
    higher_is_better = True
    best = 1.0

    def score(self, case: Case) -> float:
        """Cosine to the reference."""
        return self.similarity(case, "clone", "reference")


class SourceSimilarity(_SpeakerMetric):
    """Cosine of the embeddings of the clone and of the source: how much of the source's voice is left.

    From -1 to 1 (0 to 1 with Resemblyzer); lower is better for a conversion, down to that of two different speakers.

    Args:
        speaker_encoder: takes audio; should not be the one that the model was trained with.
    """

    name = "similarity_source"
    unit = "cosine"
    higher_is_better = False

    def score(self, case: Case) -> float:
        """Cosine to the source."""
        return self.similarity(case, "clone", "source")


class NearerReference(_SpeakerMetric):
    """Share of clones that are nearer to the reference than to the source: cos to the one above cos to the other.

    From 0 to 1; higher is better.

    Args:
        speaker_encoder: takes audio; should not be the one that the model was trained with.
    """

    name = "nearer_reference"
    unit = "share"
    higher_is_better = True
    best = 1.0

    def score(self, case: Case) -> float:
        """1 or 0."""
        return float(self.similarity(case, "clone", "reference") > self.similarity(case, "clone", "source"))


class SpeakerEqualErrorRate(_SpeakerMetric):
    """Equal-error rate of speaker verification with clones as impostors.

    Each case gives two trials against its reference: genuine, another recording of that speaker; impostor, the clone.
    At the rate's threshold, the share of genuine trials that are rejected equals the share of clones that are accepted.
    From 0 (no clone is accepted) to 1; 0.5 means that the encoder cannot distinguish clones from the speaker: higher is
    better. Undefined where no other recording of the speaker is known.

    Args:
        speaker_encoder: takes audio; should not be the one that the model was trained with.
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
    """The rate (D,) at which genuine trials are rejected as often as impostors are accepted, interpolated.

    Args:
        genuine: (n,) scores of trials that should be accepted.
        impostor: (m,) scores of trials that should be rejected.
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
        false_rejections, true_rejections = (
            np.hstack([zeros, np.cumsum(weights[:, order], axis=1)[:, last] / weights.sum(1, keepdims=True)])
            for weights in (np.hstack([ours, 0 * theirs]), np.hstack([0 * ours, theirs]))
        )
        gap = (1 - true_rejections) - false_rejections  # from 1 to -1, never rising
        after = (gap <= 0).argmax(1)[:, None]
        above, below = (np.take_along_axis(gap, index, 1) for index in (after - 1, after))
        low, high = (np.take_along_axis(false_rejections, index, 1) for index in (after - 1, after))
        return (low + (high - low) * above / (above - below))[:, 0]
