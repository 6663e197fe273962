import numpy as np
import pytest
import torch

from lightning_voiceclone.audio.noise import speech_power
from lightning_voiceclone.inference.level import with_speech_power

RATE = 16000


def bursts(seconds=2.0, level=0.1):
    """(N,): 300 Hz for half of every second, whose mean square is level^2 / 2 while it sounds."""
    times = torch.arange(round(seconds * RATE)) / RATE
    return level * torch.sin(2 * torch.pi * 300 * times) * (times % 1 < 0.5)


def test_the_power_of_speech_does_not_count_the_pauses():
    assert speech_power(bursts().numpy(), RATE) == pytest.approx(0.005, rel=0.05)
    assert speech_power(bursts()[:100].numpy(), RATE) > 0  # less than a frame
    assert speech_power(np.zeros(RATE, np.float32), RATE) == 0


@pytest.mark.parametrize("decibels", [-40, -20, 0, 12])
def test_a_gain_gives_speech_the_wanted_power(decibels):
    wanted = 0.005 * 10 ** (decibels / 10)
    made = with_speech_power(bursts(), RATE, wanted)
    assert speech_power(made.numpy(), RATE) == pytest.approx(wanted, rel=0.05)
    np.testing.assert_allclose(made, bursts() * 10 ** (decibels / 20), rtol=0.03, atol=1e-7)


def test_a_gain_never_clips():
    made = with_speech_power(bursts(), RATE, 1.0)
    assert float(made.abs().max()) == pytest.approx(0.99, abs=1e-6)


def test_silence_is_not_amplified():
    quiet = bursts(level=5e-4)
    assert with_speech_power(quiet, RATE, 0.005) is quiet
