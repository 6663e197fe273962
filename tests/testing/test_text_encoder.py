"""A small text encoder passes the checks of its kind, and a faulty one is caught."""

import pytest
import torch
from torch import nn

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.testing.conformance import TextEncoderConformance
from lightning_voiceclone.testing.text_encoders import TableTextEncoder


class TestTableTextEncoder(TextEncoderConformance):
    part = TableTextEncoder
    arguments = {"vocabulary": 24}


class FaultyEncoder(TableTextEncoder):
    """Mixes rows and padding, ignores speed and durations, draws, names a speaker, gives the loss of a batch."""

    def __init__(self, dims, *, vocabulary=20):
        super().__init__(dims, vocabulary=vocabulary)
        self.unused = nn.Parameter(torch.ones(()))

    def durations(self, tokens, lengths, prompt=None):
        return torch.full(tokens.shape, 4.0)

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0, durations=None):
        script = super().forward(tokens, lengths)
        content = script.content + script.content.mean() + torch.rand(())
        return Script(script.lengths, content, f0=script.f0, voicing=script.voicing, energy=script.energy,
                      register=script.register, speaker=torch.ones(len(tokens), 2))  # fmt: skip

    def losses(self, tokens, lengths, target, durations=None):
        return {"mean": super().losses(tokens, lengths, target)["mean"].mean()}


class Faulty(TextEncoderConformance):
    part = FaultyEncoder


CHECKS = [name for name in vars(TextEncoderConformance) if name.startswith("test_")]


@pytest.mark.parametrize("check", CHECKS)
def test_faulty_encoder_is_caught(check):
    with pytest.raises(AssertionError):
        getattr(Faulty(), check)()
