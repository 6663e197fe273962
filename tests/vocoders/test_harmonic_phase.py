"""Phases of harmonics: the integral of f0, in blocks and across chunks."""

import math
from functools import partial

import pytest
import torch

from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.layers.past import Past
from lightning_voiceclone.vocoders.harmonic_phase import BLOCK, HarmonicPhase
from lightning_voiceclone.vocoders.vocos import Vocos

RATE, HOP, BINS = 16000, 160, 321
PERIOD = 2 * math.pi


def phase():
    """One whose bins are all harmonics where there is voice."""
    made = HarmonicPhase(8, step=2, bins=BINS, sample_rate=RATE, hop_length=HOP)
    made.bias.fill_(30.0)
    return made


def angles(f0, noise=0.0):
    """(T, bins) of f0 (T,)."""
    frames = len(f0)
    cosine, sine = phase()(
        torch.zeros(1, (frames + 1) // 2, 8), torch.full((1, frames, BINS), noise), f0[None].float(), Past()
    )
    return torch.atan2(sine, cosine)[0].detach()


def off(one, other, period=PERIOD):
    """The greatest difference, up to whole periods."""
    return (((one - other) / period + 0.5) % 1 - 0.5).abs().max() * period


@pytest.mark.parametrize("hertz", [100.0, 207.3, 431.0])
def test_the_first_harmonic_advances_with_f0(hertz):
    first = angles(torch.full((10 * BLOCK,), hertz))[:, round(hertz / (RATE / 2 / (BINS - 1)))]
    advance, wanted = first[1:] - first[:-1], torch.tensor(PERIOD * hertz * HOP / RATE)
    hertz_off = off(advance, wanted) / PERIOD * RATE / HOP
    assert hertz_off <= 0.5 * RATE / HOP / BLOCK + 0.01  # what a block owes the one before
    # From the start to the end of a block there are as many periods as f0 says.
    ends = first[BLOCK - 1 :: BLOCK]
    assert off(ends, torch.tensor(PERIOD * hertz * HOP / RATE * BLOCK)) < 1e-3


def test_harmonics_have_multiples_of_its_phase():
    made = angles(100 + 50 * torch.rand(100))
    one = angles(torch.full((100,), 200.0))
    assert off(one[:, 24], 3 * one[:, 8]) < 1e-4  # 600 and 200 Hz
    assert torch.isfinite(made).all()


def test_a_phase_forgets_what_was_two_blocks_ago():
    f0 = 100 + 200 * torch.rand(1, 5 * BLOCK)
    whole, later = (phase()._integral(some, Past(), 0) for some in (f0, f0[:, 2 * BLOCK :]))
    assert off(whole[:, 3 * BLOCK :], later[:, BLOCK:], 1) < 1e-6
    assert off(whole[:, 2 * BLOCK : 3 * BLOCK], later[:, :BLOCK], 1) > 0.01


def test_single_frames_in_which_a_tracker_errs_change_nothing():
    steady = torch.full((200,), 150.0)
    wrong = steady.clone()
    wrong[[20, 21, 60, 100]] = torch.tensor([300.0, 0.0, 75.0, 0.0])
    assert torch.equal(angles(steady), angles(wrong))
    causal = HarmonicPhase(8, step=2, bins=BINS, sample_rate=RATE, hop_length=HOP, causal=True)
    assert torch.equal(causal._smoothed(wrong[None]), wrong[None])


def test_frames_without_voice_keep_the_phases_they_are_given():
    noise = angles(torch.zeros(40), noise=1.3)
    assert (noise - 1.3).abs().max() < 2e-3


def test_a_pitch_that_glides_gives_phases_that_change_little_from_bin_to_bin():
    made = angles(100 + torch.linspace(0, 100, 2 * BLOCK))
    nearest = (torch.arange(BINS) * 25 / 200).round() == 4  # bins of the fourth of some 200 Hz
    bins = made[-1, nearest]
    assert len(bins) > 5
    assert (torch.remainder(bins[1:-1] - bins[:-2] + math.pi, PERIOD) - math.pi).abs().max() < 1.0


def test_state_holds_two_blocks_and_a_place():
    made = partial(Vocos, MelSpectrogram().spec, width=8, hidden=8, layers=1, causal=True)
    plain, harmonic = (sum(value.numel() for value in made(harmonic=one).init_state(1).values()) for one in (0, 1))
    assert harmonic - plain == 2 * BLOCK + 1
