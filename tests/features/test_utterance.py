"""What the whole utterance says, alone and beside several time scales."""

import math

import pytest
import torch

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.prosody import UNKNOWN_REGISTER, Pitch, median_f0
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.features.stack import Stack
from lightning_voiceclone.features.utterance import Utterance
from lightning_voiceclone.testing import FeatureExtractorConformance, speech_like

RATE = 16000


class TestUtterance(FeatureExtractorConformance):
    part = Utterance
    arguments = {"n_mels": 10}


def tone(hertz, level, seconds=1.0):
    """A sound of four harmonics."""
    time = torch.arange(round(seconds * RATE)) / RATE
    wave = sum(torch.sin(2 * math.pi * hertz * number * time) for number in range(1, 5))
    return (level * wave / wave.square().mean().sqrt())[None]


def test_register_and_level_are_those_of_the_sound_and_each_frame_has_them():
    made = Utterance()(tone(200.0, 0.1))
    assert made.shape == (1, 22, 100)
    assert (made == made[..., :1]).all()
    assert float(made[0, 0, 0].exp()) == pytest.approx(200.0, rel=0.01)
    assert float(made[0, 1, 0].exp()) == pytest.approx(0.1, rel=0.02)


def test_shares_sum_to_one_and_do_not_depend_on_the_level():
    quiet, loud = (Utterance()(tone(150.0, level))[0, :, 0] for level in (0.01, 0.3))
    torch.testing.assert_close(quiet[2:], loud[2:], atol=1e-3, rtol=0)
    assert float(loud[2:].exp().sum()) == pytest.approx(1.0, abs=1e-3)
    assert float((loud[1] - quiet[1]).exp()) == pytest.approx(30.0, rel=1e-3)
    assert int(loud[2:].argmax()) < 5


def test_the_register_is_the_median_that_conversion_uses():
    audio = torch.from_numpy(speech_like(2.0).audio)[None]
    f0, voicing = Pitch()(audio).unbind(1)
    assert float(Utterance()(audio)[0, 0, 0].exp()) == pytest.approx(float(median_f0(f0 * (voicing > 0.5))), rel=1e-5)


def test_silence_around_the_speech_changes_little_and_silence_alone_is_defined():
    audio = torch.from_numpy(speech_like(2.0).audio)[None]
    padded = torch.cat([torch.zeros(1, RATE), audio, torch.zeros(1, 2 * RATE)], 1)
    alone, beside = (Utterance()(sound)[0, :, 0] for sound in (audio, padded))
    assert (alone - beside).abs().max() < 0.05
    silent = Utterance()(torch.zeros(1, RATE))[0, :, 0].exp()
    torch.testing.assert_close(silent, torch.tensor([UNKNOWN_REGISTER, *[1e-5] * 21]))


def test_gradients_are_finite_in_silence():
    silence = torch.zeros(1, 2000, requires_grad=True)
    Utterance()(silence).sum().backward()
    assert silence.grad.isfinite().all()


def test_a_floor_that_is_not_above_0_is_refused():
    with pytest.raises(ConfigurationError, match="floor is 0"):
        Utterance(floor=0)


def test_several_time_scales_line_up_on_one_hop():
    """A click is sharp with a short window, and wide with a long one, at the same frame."""
    audio = torch.zeros(1, RATE)
    audio[0, 8080] = 1.0  # the centre of frame 50
    scales = [MelSpectrogram(n_fft=n_fft, n_mels=20, floor=1e-9) for n_fft in (1024, 256, 4096)]
    stack = Stack([*scales, Utterance()])
    assert math.isinf(stack.context.right)
    parts = stack(audio).split([20, 20, 20, 22], 1)[:3]
    reached = [(part[0].amax(0) > -20).nonzero()[:, 0] for part in parts]
    assert [int(frames.float().mean().round()) for frames in reached] == [50, 50, 50]
    middle, short, long = map(len, reached)
    assert short < middle < long
