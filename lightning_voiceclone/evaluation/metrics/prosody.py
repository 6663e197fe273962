"""Pitch contour, voicing and pace of a clone against what it is compared with."""

import numpy as np

from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.alignment import Floats, paired_pitch, pitch_track
from lightning_voiceclone.evaluation.metrics.metric import Metric
from lightning_voiceclone.evaluation.metrics.spectral import correlation

LEAST_FRAMES = 10  # voiced in both, for a pitch contour to be compared


def _voiced_in_both(case: Case) -> tuple[Floats, Floats]:
    """f0 in Hz of the compared recording and of the clone, where both are voiced.

    Raises:
        RecordingError: if these are fewer than 10 frames.
    """
    compared, clone = paired_pitch(case)
    both = (compared > 0) & (clone > 0)
    if both.sum() < LEAST_FRAMES:
        raise RecordingError(f"only {int(both.sum())} frames are voiced in both; a pitch contour needs {LEAST_FRAMES}")
    return compared[both], clone[both]


class F0RMSE(Metric):
    """Root mean square difference of f0 over frames voiced in both: sqrt(mean (f - f')^2).

    f is the parallel recording's f0. Without one it is the source's, moved to the reference's register (times the
    ratio of their medians), which is what a clone should have; frames are then paired along a DTW path. f0 by YIN
    every 10 ms, 60 to 500 Hz. In Hz, from 0 (a perfect copy); lower is better. Undefined with fewer than 10 such
    frames.
    """

    name = "f0_rmse_hz"
    unit = "Hz"
    higher_is_better = False
    best = 0.0
    falls_back = True

    def score(self, case: Case) -> float:
        """RMSE of f0 in Hz."""
        expected, clone = _voiced_in_both(case)
        if case.parallel is None:
            expected = expected * (_median(case, "reference") / _median(case, "source"))
        return float(np.sqrt(np.mean(np.square(expected - clone), dtype=np.float64)))


def _median(case: Case, role: str) -> float:
    f0 = pitch_track(getattr(case, role), case.sample_rate)
    if not (f0 > 0).any():
        raise RecordingError(f"no frame of the {role} is voiced, so its register is unknown")
    return float(np.median(f0[f0 > 0]))


class F0Correlation(Metric):
    """Pearson's correlation of f0 in Hz over frames voiced in both, whatever the register.

    Against the parallel recording or, along a DTW path, the source. From -1 to 1 (the same contour); higher is better.
    Undefined with fewer than 10 such frames.
    """

    name = "f0_correlation"
    unit = "correlation"
    higher_is_better = True
    best = 1.0
    falls_back = True

    def score(self, case: Case) -> float:
        """Correlation of f0."""
        return correlation(*_voiced_in_both(case))


class VoicingError(Metric):
    """Share of frames that are voiced in one recording and unvoiced in the other.

    Against the parallel recording or, along a DTW path, the source. From 0 (a perfect copy) to 1; lower is better.
    """

    name = "voicing_error"
    unit = "share"
    higher_is_better = False
    best = 0.0
    falls_back = True

    def score(self, case: Case) -> float:
        """Share of frames."""
        compared, clone = paired_pitch(case)
        return float(((compared > 0) != (clone > 0)).mean())


class DurationRatio(Metric):
    """Length of the clone and of what it is compared with, the shorter over the longer: min(a, b) / max(a, b).

    So a clone at half the pace and one at twice the pace do not cancel in the mean. From 0 to 1
    (equally long); higher is better.
    """

    name = "duration_ratio"
    unit = "ratio"
    higher_is_better = True
    best = 1.0

    def score(self, case: Case) -> float:
        """Ratio of lengths."""
        lengths = sorted((len(case.compared), len(case.clone)))
        return lengths[0] / lengths[1]
