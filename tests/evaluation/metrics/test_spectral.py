"""Measures of spectra, against formulas and another implementation."""

import math
from dataclasses import replace

import librosa
import numpy as np
import pytest
import scipy.fft
import torch
from scipy.spatial.distance import cdist

from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics import spectral
from lightning_voiceclone.evaluation.metrics.alignment import Frames, warping_path
from lightning_voiceclone.evaluation.metrics.spectral import (
    LogSpectralRMSE,
    MelCepstralDistortion,
    SpectralCorrelation,
    correlation,
)
from lightning_voiceclone.testing.signals import speech_like


def copy_of(audio, clone):
    source = torch.from_numpy(audio)
    return Case("a", source, source, torch.as_tensor(clone), 16000, parallel=source)


@pytest.fixture
def speech():
    return speech_like(2.0, speaker=1).audio


def test_a_gain_is_its_decibels_and_nothing_else(speech):
    case = copy_of(speech, 0.5 * speech)
    assert LogSpectralRMSE().score(case) == pytest.approx(20 * math.log10(2), abs=1e-3)
    assert SpectralCorrelation().score(case) == pytest.approx(1, abs=1e-6)
    assert MelCepstralDistortion().score(case) == pytest.approx(0, abs=1e-3)


def test_distortion_of_one_coefficient(monkeypatch):
    cepstra = np.zeros((5, 24), np.float32)
    other = cepstra.copy()
    other[:, 3] = 0.3
    monkeypatch.setattr(spectral, "frames", lambda case, role: Frames(cepstra, cepstra if role == "clone" else other))
    monkeypatch.setattr(spectral, "warping_path", lambda case: (np.arange(5), np.arange(5)))
    # 10 / ln 10 * sqrt(2 * 0.3^2)
    assert MelCepstralDistortion().score(None) == pytest.approx(1.842556, abs=1e-5)


def test_distortion_equals_another_implementation(speech):
    noisy = (speech + 0.02 * np.random.default_rng(0).standard_normal(len(speech))).astype(np.float32)
    clone = noisy[2000:30000]

    def cepstra(audio):
        padded = np.pad(audio, (432, 432), mode="reflect")
        mel = librosa.feature.melspectrogram(
            y=padded, sr=16000, n_fft=1024, hop_length=160, n_mels=80, power=1.0, center=False
        )
        bands = np.log(np.maximum(mel, mel.max() / 1000))
        return scipy.fft.dct(bands, type=2, axis=0)[1:25].T / 80

    left, right = cepstra(speech), cepstra(clone)
    cost = cdist(left, right)
    _, path = librosa.sequence.dtw(C=cost)
    expected = np.mean([10 / math.log(10) * math.sqrt(2) * cost[i, j] for i, j in path])
    case = replace(copy_of(speech, clone), parallel=None)
    assert MelCepstralDistortion().score(case) == pytest.approx(expected, rel=1e-3)


def test_warping_forgives_a_pause_that_frames_do_not(speech):
    late = np.concatenate([np.zeros(3200, np.float32), speech])
    case = replace(copy_of(speech, late), parallel=None)
    ours, theirs = warping_path(case)
    assert (ours[0], theirs[0], ours[-1], theirs[-1]) == (0, 0, 199, 219)
    shifted = copy_of(speech, late[: len(speech)])  # as long as its parallel recording: frame by frame
    assert LogSpectralRMSE().score(case) < 0.5 * LogSpectralRMSE().score(shifted)


def test_correlation_by_hand():
    assert correlation(np.array([1.0, 2, 3]), np.array([2.0, 2, 5])) == pytest.approx(3 / math.sqrt(2 * 6))
    with pytest.raises(RecordingError, match="is constant"):
        correlation(np.ones(3), np.array([1.0, 2, 3]))
