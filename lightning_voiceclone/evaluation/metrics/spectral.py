"""Distances of a clone's spectra, frame by frame, from those of what it is compared with."""

import math

import numpy as np

from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.alignment import Floats, frames, paired_frames, warping_path
from lightning_voiceclone.evaluation.metrics.metric import Metric


def _paired_spectra(case: Case) -> tuple[Floats, Floats]:
    ours, theirs = paired_frames(case)
    return frames(case, "compared").spectrum[ours], frames(case, "clone").spectrum[theirs]


class LogSpectralRMSE(Metric):
    """Root mean square difference of log spectra: sqrt(mean over frames and bins of (20 log10 |X| / |Y|)^2).

    STFT of 64 ms every 10 ms at 16 kHz, with a floor at 60 dB below each recording's loudest level. X is the
    parallel recording, frame by frame; without one, it is the source along a DTW path. Then the change of voice
    counts too: compare systems by it, but do not minimise it. In dB, from 0 (a perfect copy); lower is better.
    """

    name = "log_spectral_rmse_db"
    unit = "dB"
    higher_is_better = False
    best = 0.0
    falls_back = True

    def score(self, case: Case) -> float:
        """Log-spectral RMSE in dB."""
        compared, clone = _paired_spectra(case)
        return float(np.sqrt(np.mean(np.square(compared - clone), dtype=np.float64)))


class SpectralCorrelation(Metric):
    """Pearson's correlation of log spectra over all frames and bins, paired as for ``log_spectral_rmse_db``.

    From -1 to 1 (a perfect copy, at whatever gain); higher is better. Undefined for a constant spectrum.
    """

    name = "spectral_correlation"
    unit = "correlation"
    higher_is_better = True
    best = 1.0
    falls_back = True

    def score(self, case: Case) -> float:
        """Correlation of log spectra."""
        return correlation(*_paired_spectra(case))


def correlation(left: Floats, right: Floats) -> float:
    """Pearson's, over all numbers of two equal shapes.

    Raises:
        RecordingError: if one of the two does not vary.
    """
    left, right = (values.astype(np.float64) - values.mean(dtype=np.float64) for values in (left, right))
    scale = math.sqrt(float((left**2).sum() * (right**2).sum()))
    if scale < 1e-9:
        raise RecordingError("one of the two is constant, so there is no correlation")
    return float((left * right).sum() / scale)


class MelCepstralDistortion(Metric):
    """Mel-cepstral distortion (Kubichek 1993): the mean of 10 / ln 10 * sqrt(2 sum_d (c_d - c'_d)^2), d = 1 to 24.

    The mean is over the DTW path between the two. c are the cepstra of 80 mel bands, in the convention in which the
    result is the root mean square difference of the smoothed log spectra in dB; c0, the level, is left out. Against
    the parallel recording, or else the source; then the change of voice counts too: compare systems by it, but do not
    minimise it. In dB, from 0 (a perfect copy); lower is better.
    """

    name = "mcd_db"
    unit = "dB"
    higher_is_better = False
    best = 0.0
    falls_back = True

    def score(self, case: Case) -> float:
        """MCD in dB."""
        ours, theirs = warping_path(case)
        gap = frames(case, "compared").cepstra[ours] - frames(case, "clone").cepstra[theirs]
        return float(10 / math.log(10) * np.sqrt(2 * np.square(gap, dtype=np.float64).sum(1)).mean())
