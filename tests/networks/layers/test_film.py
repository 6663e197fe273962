"""Modulation by the speaker."""

import pytest
import torch

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.layers.film import SpeakerModulation


def test_modulation_by_hand():
    modulation = SpeakerModulation(Dims(4, speaker=1), 2)
    with torch.no_grad():
        modulation.affine.weight.copy_(torch.tensor([[1.0], [2.0], [3.0], [4.0]]))
    condition = Condition(lengths=torch.tensor([1]), speaker=torch.tensor([[2.0]]))
    # Scales 1 + 2 and 1 + 4, shifts 6 and 8.
    modulated = modulation(torch.tensor([[[10.0], [20.0]]]), condition)
    assert modulated.flatten().tolist() == [36.0, 108.0]


def test_modulation_without_a_speaker_is_the_identity():
    x = torch.randn(2, 3, 4)
    modulation = SpeakerModulation(Dims(4), 3)
    assert modulation(x, Condition(lengths=torch.tensor([4, 4]))) is x
    assert not list(modulation.parameters())


def test_modulation_names_a_wrong_width():
    condition = Condition(lengths=torch.tensor([1]), speaker=torch.zeros(1, 5))
    with pytest.raises(ConfigurationError, match=r"speaker: expected \(B, 4\), got \(1, 5\)"):
        SpeakerModulation(Dims(4, speaker=4), 2)(torch.zeros(1, 2, 1), condition)
