"""Pitch moved by stated semitones, whatever share of a change the generator follows."""

import pytest
import torch

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.inference.pitch_shift import shifted


def script(frames=90):
    f0 = torch.where(torch.arange(frames) % 10 < 7, 120.0, 0.0)
    return Script(torch.tensor([frames]), torch.zeros(1, 4, frames), f0=f0[None], register=torch.tensor([120.0]))


def follows(share, lowest=0.0):
    """A renderer whose f0 changes by that share of the script's change, and has a lowest value."""

    def f0_of(rendered):
        f0 = rendered.f0[0]
        return torch.where(f0 > 0, 120 * (f0 / 120) ** share, 0.0).clamp_min(lowest) * (f0 > 0)

    return f0_of


@pytest.mark.parametrize("share", [1.0, 0.75, 0.6])
def test_what_is_rendered_has_the_wanted_shift(share):
    wanted = torch.zeros(90)
    wanted[20:50], wanted[50:70] = 2.0, -4.0
    f0_of = follows(share)
    moved, missing = shifted(script(), wanted, f0_of)
    got = 12 * (f0_of(moved) / 120).log2()
    voiced = script().f0[0] > 0
    assert abs(missing) < 0.15
    assert (got - wanted)[voiced].abs().max() < 0.15
    assert torch.equal(moved.f0[0, :20], script().f0[0, :20])
    assert torch.equal(moved.register, script().register)


def test_a_shift_beyond_the_voice_is_the_nearest_and_says_what_is_missing():
    wanted = torch.full((90,), -6.0)
    moved, missing = shifted(script(), wanted, follows(0.8, lowest=100.0))
    assert missing == pytest.approx(-6 - 12 * torch.tensor(100 / 120).log2().item(), abs=0.01)
    assert moved.f0.max() >= 120 * 2 ** (-10.1 / 12)


def test_nothing_voiced_is_moved_as_it_is():
    unvoiced = script()
    silent = Script(unvoiced.lengths, unvoiced.content, f0=torch.zeros(1, 90), register=torch.tensor([float("nan")]))
    moved, missing = shifted(silent, torch.full((90,), 3.0), follows(1.0))
    assert missing == 0
    assert not moved.f0.any()
