import math

import pytest
import torch

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.mel import MultiResolutionMelLoss


def test_twice_as_loud_is_ln_2_at_every_resolution():
    torch.manual_seed(0)
    audio = 0.2 * torch.randn(2, 8000)
    distance = MultiResolutionMelLoss(16000)
    assert distance(audio, audio).tolist() == [0, 0]
    assert distance(2 * audio, audio).tolist() == pytest.approx([math.log(2)] * 2, abs=1e-5)


def test_gradients_are_finite_in_silence():
    fake = torch.zeros(1, 4000, requires_grad=True)
    MultiResolutionMelLoss(16000)(fake, 0.1 * torch.randn(1, 4000)).mean().backward()
    assert fake.grad.isfinite().all()


def test_shapes_and_resolutions_that_cannot_work():
    with pytest.raises(ConfigurationError, match="resolutions are empty"):
        MultiResolutionMelLoss(16000, resolutions=())
    with pytest.raises(ConfigurationError, match=r"fake is \(1, 4000\) but real is \(1, 3999\)"):
        MultiResolutionMelLoss(16000)(torch.zeros(1, 4000), torch.zeros(1, 3999))
