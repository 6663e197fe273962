"""Generators and targets that grow without a jump."""

import pytest
import torch

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.networks.discriminators.waveform import MultiPeriodDiscriminator
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.generators.mlp import MLPGenerator
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.testing.conditions import CLONING, random_condition
from lightning_voiceclone.training.checks import begun_with_depth, check_detail
from lightning_voiceclone.training.detail import smoothed


@pytest.mark.parametrize(("part", "settings"), [(ConvGenerator, {}), (ReferenceGenerator, {"look_up": (0, 2)})],
                         ids=["conv", "reference"])  # fmt: skip
def test_a_block_that_joins_changes_no_number_and_then_learns(part, settings):
    torch.manual_seed(0)
    generator = part(CLONING, width=8, layers=3, **settings)
    torch.nn.init.normal_(generator.leave.weight)
    schedule = begun_with_depth(generator, {"steps": {0: 1, 10: 2, 20: 3}})
    assert generator.depth == 1
    condition, last = random_condition(CLONING, [12, 9]), generator.blocks[2].mix.weight
    outputs = []
    for step in (9, 10, 20):
        generator.use_depth(int(schedule.at(step)))
        outputs.append(generator(condition))
        assert (generator.depth, last.grad) == (1 + step // 10, None)
    assert torch.equal(outputs[0], outputs[1])
    assert torch.equal(outputs[0], outputs[2])
    outputs[2].square().mean().backward()
    assert last.grad.abs().max() > 0


def test_blocks_that_do_not_join_yet_get_no_gradient():
    generator = ConvGenerator(CLONING, width=8, layers=2)
    begun_with_depth(generator, {"steps": {0: 1, 10: 2}})
    generator(random_condition(CLONING, [12])).sum().backward()
    assert all(weight.grad is None for weight in generator.blocks[1].parameters())
    assert generator.blocks[0].mix.weight.grad is not None


def test_detail_comes_without_a_jump_and_keeps_the_level():
    torch.manual_seed(0)
    x = torch.randn(2, 40, 7)
    torch.testing.assert_close(smoothed(torch.ones(2, 40, 7), 5.0), torch.ones(2, 40, 7))
    assert smoothed(x, 40) is x
    assert smoothed(x, 80) is x
    away = [float((smoothed(x, channels) - x).square().mean()) for channels in (5, 10, 20, 30, 38, 39.9)]
    assert away == sorted(away, reverse=True)
    assert away[0] > 0.5
    assert away[-1] < 1e-6
    finest = smoothed(x, 10)
    assert finest.diff(dim=1).square().mean() < 0.1 * x.diff(dim=1).square().mean()


@pytest.mark.parametrize(("depth", "words"), [
    ({"steps": {0: 1, 5: 4}}, "model.depth is 4, but ConvGenerator has 3 blocks; give a number from 1 to 3"),
    ({"steps": {0: 2, 5: 1}}, r"model.depth is \{steps: \{0: 2, 5: 1\}\}; blocks join and stay"),
    ({"linear": {0: 1, 5: 2}}, "model.depth is .* values by step"),
])  # fmt: skip
def test_depths_that_cannot_be_are_named(depth, words):
    with pytest.raises(ConfigurationError, match=words):
        begun_with_depth(ConvGenerator(CLONING, width=8, layers=3), depth)


def test_what_cannot_grow_is_named():
    with pytest.raises(ConfigurationError, match="MLPGenerator cannot grow block by block"):
        begun_with_depth(MLPGenerator(CLONING, hidden=8), 2)
    with pytest.raises(ConfigurationError, match=r"model\.detail smooths features, but mel compares waveforms"):
        check_detail(20.0, {"mel": 1.0}, None)
    with pytest.raises(ConfigurationError, match="but MultiPeriodDiscriminator compares waveforms"):
        check_detail(20.0, {"reconstruction": 1.0}, MultiPeriodDiscriminator(CLONING, width=4, layers=1))
