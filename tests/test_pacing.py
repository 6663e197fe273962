"""Saying it faster, slower, higher and lower."""

from dataclasses import replace

import pytest
import torch

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.pacing import check_manner, paced
from lightning_voiceclone.testing.conditions import EVERYTHING, random_condition


def test_twice_as_fast_takes_half_the_frames():
    condition = random_condition(EVERYTHING, [40])
    fast = paced(condition, 2.0)
    assert fast.lengths.tolist() == [20]
    assert fast.content.shape == (1, EVERYTHING.content, 20)
    # Frame t lies between frames 2 t and 2 t + 1.
    torch.testing.assert_close(fast.content, condition.content.unflatten(2, (-1, 2)).mean(3))
    assert torch.equal(fast.speaker, condition.speaker)
    assert torch.equal(fast.reference_frames, condition.reference_frames)


def test_pitch_is_taken_and_never_mixed_with_silence():
    condition = random_condition(EVERYTHING, [40])
    slow = paced(condition, 0.5)
    assert slow.f0.shape == (1, 80)
    assert set(slow.f0.flatten().tolist()) == set(condition.f0.flatten().tolist())


def test_noise_of_an_utterance_stays():
    condition = random_condition(EVERYTHING, [40], noise_per_frame=False)
    assert torch.equal(paced(condition, 1.5).noise, condition.noise)


def test_one_changes_nothing():
    condition = random_condition(EVERYTHING, [40])
    assert paced(condition, 1.0) is condition


def test_never_less_than_a_frame():
    condition = replace(random_condition(EVERYTHING, [1]))
    assert paced(condition, 4.0).lengths.tolist() == [1]


@pytest.mark.parametrize(
    ("shift", "speed", "words"),
    [(0, 0.1, "speed is 0.1; it must be from 0.25 to 4"), (30, 1, "pitch_shift is 30 semitones; it must be from -24")],
)
def test_what_would_be_no_speech_is_refused(shift, speed, words):
    with pytest.raises(ConfigurationError, match=words):
        check_manner(shift, speed)
