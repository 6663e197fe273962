"""A small text encoder passes the checks of its kind, and a faulty one is caught."""

import pytest
import torch
from torch import nn

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.core.interfaces import TextEncoder
from lightning_voiceclone.core.masking import keep, reach_mask
from lightning_voiceclone.testing.conformance import TextEncoderConformance


class TableEncoder(TextEncoder):
    """Four frames a token, each with the values of a table; its losses compare means over frames."""

    def __init__(self, dims, *, vocabulary=20):
        super().__init__()
        self.channels, self.frame_rate = dims.content, dims.frame_rate
        self.table = nn.Embedding(vocabulary, dims.content + 3)

    def values(self, tokens, frames):
        """(B, C + 3, T): content, the logarithm of f0 over 100 Hz, voicing before its sigmoid, energy."""
        return self.table(tokens).transpose(1, 2).repeat_interleave(frames, 2)

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0):
        frames = max(round(4 / speed), 1)
        values = self.values(tokens, frames)
        *_, f0, voicing, energy = values.unbind(1)
        f0, voicing = 100 * f0.exp(), voicing.sigmoid()
        return Script(frames * lengths, values[:, : self.channels], f0=f0, voicing=voicing, energy=energy,
                      register=torch.full((len(tokens),), 100.0))  # fmt: skip

    def losses(self, tokens, lengths, target):
        wanted = [target.content, (target.f0[:, None].clamp_min(1) / 100).log(), target.voicing[:, None],
                  target.energy[:, None]]  # fmt: skip
        ours, theirs = mean(self.values(tokens, 1), lengths), mean(torch.cat(wanted, 1), target.lengths)
        return {"mean": (ours - theirs).square().sum(1)}


def mean(x, lengths):
    return keep(x, reach_mask(lengths, x.shape[-1])).sum(-1) / lengths[:, None]


class TestTableEncoder(TextEncoderConformance):
    part = TableEncoder
    arguments = {"vocabulary": 24}


class FaultyEncoder(TableEncoder):
    """Mixes rows and padding, keeps its speed, draws, names a speaker, and gives the loss of a batch."""

    def __init__(self, dims, *, vocabulary=20):
        super().__init__(dims, vocabulary=vocabulary)
        self.unused = nn.Parameter(torch.ones(()))

    def forward(self, tokens, lengths, prompt=None, *, speed=1.0):
        script = super().forward(tokens, lengths)
        content = script.content + script.content.mean() + torch.rand(())
        return Script(script.lengths, content, f0=script.f0, voicing=script.voicing, energy=script.energy,
                      register=script.register, speaker=torch.ones(len(tokens), 2))  # fmt: skip

    def losses(self, tokens, lengths, target):
        return {"mean": super().losses(tokens, lengths, target)["mean"].mean()}


class Faulty(TextEncoderConformance):
    part = FaultyEncoder


CHECKS = [name for name in vars(TextEncoderConformance) if name.startswith("test_")]


@pytest.mark.parametrize("check", CHECKS)
def test_faulty_encoder_is_caught(check):
    with pytest.raises(AssertionError):
        getattr(Faulty(), check)()
