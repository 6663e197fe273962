"""Spread over speakers and over noise: by hand, and without a trace in the training."""

import pytest
import torch
from torch import nn

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.training.diversity import spreads

ROWS, CHANNELS, FRAMES = 6, 4, 50


class Sum(nn.Module):
    """Content, and so much of the speaker and of the noise; in training it would drop half of all."""

    def __init__(self, speaker=1.0, noise=1.0):
        super().__init__()
        self.speaker, self.noise = speaker, noise
        self.dropout, self.norm = nn.Dropout(0.5), nn.BatchNorm1d(CHANNELS)

    def forward(self, condition):
        x = condition.content + self.speaker * condition.speaker[:, :, None] + self.noise * condition.noise
        return self.dropout(x) + 0 * self.norm(x)


def recordings():
    """Condition, and real features of two recordings of each speaker: each the sum of all three."""
    torch.manual_seed(0)
    content, noise = torch.randn(2, ROWS, CHANNELS, FRAMES), torch.randn(ROWS, CHANNELS, FRAMES)
    speaker = 2 * torch.randn(ROWS, CHANNELS)
    condition = Condition(torch.full((ROWS,), FRAMES), content=content[0], speaker=speaker, noise=noise)
    real = [one + speaker[:, :, None] + torch.randn(ROWS, CHANNELS, FRAMES) for one in content]
    return condition, real


@pytest.mark.parametrize("share", [1.0, 0.1, 0.0])
def test_what_the_output_does_with_speaker_and_noise_is_measured_against_real_ones(share):
    condition, (real, other) = recordings()
    found = {name: float(value) for name, value in spreads(Sum(share, share), condition, real, other).items()}
    assert found["speakers"] / found["real_speakers"] == pytest.approx(share**2, rel=0.15, abs=1e-9)
    # Real frames differ by content and speaker too, of variance 1 and 4.
    assert found["noise"] == pytest.approx(2 * share**2, rel=0.1, abs=1e-9)
    assert found["real_noise"] > 2 * 1.7


def test_a_training_goes_on_as_if_nothing_had_been_measured():
    condition, (real, other) = recordings()
    generator = Sum().train()
    generator.norm.eval()  # as a frozen layer is
    before = torch.get_rng_state(), {name: value.clone() for name, value in generator.state_dict().items()}
    spreads(generator, condition, real, other)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert all(torch.equal(value, before[1][name]) for name, value in generator.state_dict().items())
    assert (generator.training, generator.dropout.training, generator.norm.training) == (True, True, False)


def test_what_there_is_not_is_not_measured():
    condition, (real, _) = recordings()
    assert set(spreads(Sum(), condition, real, None)) == {"noise", "real_noise"}
    assert set(spreads(Sum(), condition.rows(slice(1)), real[:1], real[:1])) == {"noise", "real_noise"}
