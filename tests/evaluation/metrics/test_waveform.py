"""Measures of samples, against values worked out by hand."""

import math

import pytest
import torch

from lightning_voiceclone.errors import RecordingError, UndefinedMeasureError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.waveform import SegmentalSignalToNoise, SignalToNoise, WaveformRMSE


def case(clone, parallel):
    return Case("a", torch.ones(16000), torch.ones(16000), clone, 16000, parallel=parallel)


def value(measure, *cases):
    for one in cases:
        measure.update(one)
    return float(measure.compute())


def test_by_hand():
    ones = torch.ones(16000)
    # A tenth of full scale is off everywhere: 10 log10(1 / 0.01) = 20 dB, in every frame too.
    assert value(SignalToNoise(), case(0.9 * ones, ones)) == pytest.approx(20, abs=1e-5)
    assert value(SegmentalSignalToNoise(), case(0.9 * ones, ones)) == pytest.approx(20, abs=1e-5)
    assert value(WaveformRMSE(), case(0.9 * ones, ones)) == pytest.approx(0.1, abs=1e-6)


def test_segments_are_held_and_silent_ones_left_out():
    loud, silent = torch.ones(512 * 10), torch.zeros(512 * 10)
    parallel = torch.cat([loud, loud, silent])
    clone = torch.cat([loud, 11 * loud, 5 + silent])
    # Frames of 512 samples, 256 apart. 19 lie in the first stretch: perfect, held to 35 dB. One straddles: noise of 100
    # on half of it, 10 log10(512 / 25600) = -17 dB, held to -10. 19 in the second: -20, held to -10. One straddles into
    # silence, -10, and those within silence are left out.
    assert value(SegmentalSignalToNoise(), case(clone, parallel)) == pytest.approx((19 * 35 - 21 * 10) / 40, abs=1e-6)


def test_mean_over_cases():
    ones = torch.ones(16000)
    cases = [case(0.9 * ones, ones), case(0.99 * ones, ones)]
    assert value(SignalToNoise(), *cases) == pytest.approx(30, abs=1e-3)


def test_a_perfect_copy_is_finite_and_a_lost_clone_too():
    ones = torch.ones(16000)
    assert value(SignalToNoise(), case(ones, ones)) == 100
    assert value(SignalToNoise(), case(ones, torch.zeros(16000))) == -100
    assert math.isfinite(value(SegmentalSignalToNoise(), case(ones, ones)))


def test_cut_to_the_shorter_within_a_vocoders_frames():
    ones = torch.ones(16000)
    assert value(WaveformRMSE(), case(0.5 * ones[:15900], ones)) == pytest.approx(0.5)
    with pytest.raises(RecordingError, match=r"0\.90 s and its parallel recording 1\.00 s"):
        WaveformRMSE().update(case(ones[:14400], ones))


@pytest.mark.parametrize("measure", [SignalToNoise, SegmentalSignalToNoise, WaveformRMSE])
def test_undefined_without_a_parallel_recording(measure):
    with pytest.raises(UndefinedMeasureError, match="no parallel recording"):
        measure().update(case(torch.ones(16000), None))
