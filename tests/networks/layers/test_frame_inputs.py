import math
from dataclasses import replace

import pytest
import torch

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.layers.frame_inputs import FrameInputs, needed_fields
from lightning_voiceclone.testing.conditions import EVERYTHING, random_condition


def test_inputs_by_hand():
    dims = Dims(4, content=1, noise=1, pitch=True, energy=True)
    condition = Condition(
        lengths=torch.tensor([2]),
        content=torch.tensor([[[7.0, 8.0, 9.0]]]),
        f0=torch.tensor([[150.0 * math.exp(0.35), 0.0, 99.0]]),
        voicing=torch.tensor([[1.0, 0.25, 1.0]]),
        energy=torch.tensor([[2.0, -1.0, 5.0]]),
        noise=torch.tensor([[[3.0, 4.0, 5.0]]]),
    )
    inputs = FrameInputs(dims)
    assert inputs.channels == 5
    expected = [[7.0, 8.0, 0], [1.0, 0.0, 0], [1.0, 0.25, 0], [1.0, -0.5, 0], [3.0, 4.0, 0]]
    torch.testing.assert_close(inputs(condition)[0], torch.tensor(expected), atol=1e-5, rtol=1e-5)


def test_what_is_no_number_in_the_padding_does_no_harm():
    condition = random_condition(Dims(4, content=3), [4, 2])
    condition.content[1, :, 2:] = float("nan")
    assert FrameInputs(Dims(4, content=3))(condition).isfinite().all()


def test_noise_of_an_utterance_is_repeated():
    inputs = FrameInputs(Dims(4, noise=2))
    x = inputs(Condition(lengths=torch.tensor([3, 1]), noise=torch.tensor([[1.0, 2.0], [3.0, 4.0]])))
    assert x.tolist() == [[[1, 1, 1], [2, 2, 2]], [[3, 0, 0], [4, 0, 0]]]


def test_frames_that_differ_are_named():
    condition = random_condition(EVERYTHING, [6])
    with pytest.raises(ConfigurationError, match=r"condition.energy has 5 frames but condition.content has 6"):
        FrameInputs(EVERYTHING)(replace(condition, energy=condition.energy[:, :5]))


def test_missing_field_is_named_with_its_width():
    with pytest.raises(ConfigurationError, match=r"content of 12 channels, but condition.content is missing"):
        FrameInputs(EVERYTHING)(replace(random_condition(EVERYTHING, [6]), content=None))


def test_pitch_with_channels_is_refused():
    condition = random_condition(EVERYTHING, [6])
    with pytest.raises(ConfigurationError, match=r"condition.f0: expected \(B, T\), got \(1, 1, 6\)"):
        FrameInputs(EVERYTHING)(replace(condition, f0=condition.f0[:, None]))


def test_needed_fields():
    assert needed_fields(Dims(4, noise=2)) == {"noise"}
    assert needed_fields(EVERYTHING) == {"content", "f0", "voicing", "energy", "noise", "speaker"}
