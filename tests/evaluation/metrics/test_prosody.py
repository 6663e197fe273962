"""Measures of melody and pace, on sounds whose melody is known."""

import math

import numpy as np
import pytest
import torch

from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.prosody import F0RMSE, DurationRatio, F0Correlation, VoicingError


def sung(f0, seconds=2.0):
    """Ten harmonics of f0 in Hz, a number or a function of time."""
    times = torch.arange(round(seconds * 16000), dtype=torch.float64) / 16000
    pitch = f0(times) if callable(f0) else torch.full_like(times, f0)
    phase = 2 * math.pi * torch.cumsum(pitch, 0) / 16000
    return 0.05 * sum(torch.sin(k * phase) for k in range(1, 11)).float()


def wave(depth, centre=150.0):
    return lambda times: centre + depth * torch.sin(2 * math.pi * times)


def hiss(seconds):
    return 0.1 * torch.from_numpy(np.random.default_rng(0).standard_normal(round(seconds * 16000))).float()


def case(clone, source, reference=None, parallel=True):
    return Case("a", source, source if reference is None else reference, clone, 16000,
                parallel=source if parallel else None)  # fmt: skip


def test_f0_rmse_is_the_difference_in_hz():
    assert F0RMSE().score(case(sung(112.0), sung(100.0))) == pytest.approx(12, abs=0.3)


@pytest.mark.slow
def test_f0_rmse_of_a_conversion_is_against_the_melody_in_the_references_register():
    source, reference = sung(wave(10, 100.0)), sung(200.0)
    right = case(sung(wave(20, 200.0)), source, reference, parallel=False)
    low = case(sung(wave(18, 180.0)), source, reference, parallel=False)
    assert F0RMSE().score(right) == pytest.approx(0, abs=3)
    assert F0RMSE().score(low) == pytest.approx(20, abs=3)


def test_f0_correlation():
    assert F0Correlation().score(case(sung(wave(30, 200.0)), sung(wave(20)))) == pytest.approx(1, abs=0.01)
    assert F0Correlation().score(case(sung(wave(-20)), sung(wave(20)))) == pytest.approx(-1, abs=0.02)
    with pytest.raises(RecordingError, match="only 0 frames are voiced in both"):
        F0Correlation().score(case(hiss(2.0), sung(100.0)))


def test_voicing_error_is_a_share_of_frames():
    half = torch.cat([sung(120.0, 1.0), hiss(1.0)])
    assert VoicingError().score(case(half, sung(120.0))) == pytest.approx(0.5, abs=0.04)


def test_duration_ratio():
    audio = sung(100.0)
    assert DurationRatio().score(case(audio[:16000], audio)) == 0.5
    assert DurationRatio().score(case(torch.cat([audio, audio]), audio, parallel=False)) == 0.5


def test_a_reference_without_voice_has_no_register():
    with pytest.raises(RecordingError, match="no frame of the reference is voiced"):
        F0RMSE().score(case(sung(100.0), sung(100.0), hiss(1.0), parallel=False))
