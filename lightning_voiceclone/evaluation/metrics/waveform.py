"""Distances of a clone's waveform, sample by sample, from its parallel recording's."""

import math

import numpy as np
import torch
from torch import Tensor

from lightning_voiceclone.errors import RecordingError, UndefinedMeasureError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.metric import Metric

LENGTH_TOLERANCE = 0.05  # seconds by which a vocoder may fall short of whole frames
CEILING_DB = 100.0  # of the SNR, which is infinite for a perfect copy and would have no mean


def parallel_pair(case: Case) -> tuple[Tensor, Tensor]:
    """The parallel recording and the clone, cut to the shorter one: (N,) each.

    Raises:
        UndefinedMeasureError: if the case has no parallel recording.
        RecordingError: if the two differ in length by more than 50 ms, so that samples do not correspond.
    """
    if case.parallel is None:
        raise UndefinedMeasureError(
            "no parallel recording: samples of a clone have no counterpart in another speaker's source; name a"
            " recording of the target speaker in the column target, or measure --copy"
        )
    lengths = len(case.parallel), len(case.clone)
    if abs(lengths[0] - lengths[1]) > LENGTH_TOLERANCE * case.sample_rate:
        clone, parallel = (length / case.sample_rate for length in reversed(lengths))
        raise RecordingError(
            f"the clone lasts {clone:.2f} s and its parallel recording {parallel:.2f} s: samples do not correspond"
        )
    return case.parallel[: min(lengths)].double(), case.clone[: min(lengths)].double()


class SignalToNoise(Metric):
    """Signal-to-noise ratio against the parallel recording: 10 log10(sum x^2 / sum (x - y)^2).

    x is the parallel recording, y the clone, cut to the shorter. In dB, from -100 to 100 (a perfect copy); higher is
    better. Undefined without a parallel recording: the source of a conversion is another waveform altogether. No
    gain is fitted, and a shift by a fraction of a period ruins it: useful for copies only.
    """

    name = "snr_db"
    unit = "dB"
    higher_is_better = True
    best = CEILING_DB

    def score(self, case: Case) -> float:
        """SNR in dB."""
        parallel, clone = parallel_pair(case)
        signal, noise = float(parallel.square().sum()), float((parallel - clone).square().sum())
        return float(np.clip(10 * math.log10(max(signal, 1e-30) / max(noise, 1e-30)), -CEILING_DB, CEILING_DB))


class SegmentalSignalToNoise(Metric):
    """Mean over frames of the SNR in each, clipped to -10 to 35 dB (Hansen & Pellom, ICSLP 1998).

    Frames of 32 ms, half overlapping; those 60 dB and more below the loudest of the parallel recording are left out.
    In dB; higher is better; 35 for a perfect copy. Undefined where ``snr_db`` is.
    """

    name = "segsnr_db"
    unit = "dB"
    higher_is_better = True
    best = 35.0

    def score(self, case: Case) -> float:
        """Segmental SNR in dB."""
        parallel, clone = parallel_pair(case)
        length = round(0.032 * case.sample_rate)
        if len(parallel) < length:
            raise RecordingError(f"lasts {len(parallel) / case.sample_rate:.3f} s, less than a frame of 0.032 s")
        frames = [row.unfold(0, length, length // 2).square().sum(1) for row in (parallel, parallel - clone)]
        loud = frames[0] > 1e-6 * frames[0].max()
        ratios = 10 * torch.log10(frames[0][loud] / frames[1][loud].clamp_min(1e-30))
        return float(ratios.clamp(-10, 35).mean())


class WaveformRMSE(Metric):
    """Root mean square of the difference of samples against the parallel recording: sqrt(mean (x - y)^2).

    In units of full scale, from 0 (a perfect copy) to 2; lower is better. Undefined where ``snr_db`` is.
    """

    name = "rmse"
    unit = "full scale"
    higher_is_better = False
    best = 0.0

    def score(self, case: Case) -> float:
        """RMSE of samples."""
        parallel, clone = parallel_pair(case)
        return float((parallel - clone).square().mean().sqrt())
