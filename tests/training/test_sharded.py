"""FSDP2 on the two networks of an adversarial step: two processes, each with half of every weight."""

import os
from functools import partial

import pytest
import torch
from forks import Fork

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.losses.adversarial import LeastSquaresLoss
from lightning_voiceclone.networks.discriminators.patch import PatchDiscriminator
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.testing.ports import free_port
from lightning_voiceclone.training.discriminator_terms import discriminator_terms, generator_terms
from lightning_voiceclone.training.step import StepSettings, TrainingPair

DIMS, STEPS, SETTINGS = Dims(20, content=4, speaker=8), 3, StepSettings()


def networks():
    torch.manual_seed(0)
    return ConvGenerator(DIMS, width=16, layers=2, dropout=0.0), PatchDiscriminator(DIMS, width=8, layers=2)


def optimizers(*made):
    return [torch.optim.AdamW(network.parameters(), lr=1e-3) for network in made]


def batch(rank, step):
    draw = partial(torch.randn, generator=torch.Generator().manual_seed(10 * step + rank))
    return draw(2, 20, 24), Condition(torch.full((2,), 24), content=draw(2, 4, 24), speaker=draw(2, 8))


def step(generator, discriminator, both, batches, number):
    """The discriminator's update, then the generator's, by the mean gradient of the batches."""
    loss = LeastSquaresLoss()
    pairs = [TrainingPair(real, generator(condition), condition, {}) for real, condition in batches]
    for pair in pairs:
        (discriminator_terms(discriminator, loss, pair, SETTINGS, number).total / len(pairs)).backward()
    both[1].step()
    for one in both:
        one.zero_grad()
    for pair in pairs:
        terms = generator_terms(discriminator, loss, pair, SETTINGS, number, {"adversarial": 1, "feature_matching": 1})
        ((sum(term.mean() for term in terms.values()) + (pair.fake - pair.real).abs().mean()) / len(pairs)).backward()
    both[0].step()
    for one in both:
        one.zero_grad()


def process(rank, port, folder):
    from torch.distributed import init_process_group
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import fully_shard

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    init_process_group("gloo", rank=rank, world_size=2)
    made = networks()
    for network in made:
        fully_shard(network, mesh=init_device_mesh("cpu", (2,)))
    assert made[0].enter.weight.to_local().shape == (8, 8, 5)  # of 16
    both = optimizers(*made)
    for number in range(STEPS):
        step(*made, both, [batch(rank, number)], number)
    whole = [{name: value.full_tensor() for name, value in network.state_dict().items()} for network in made]
    torch.save(whole, folder / f"{rank}.pt")


@pytest.mark.slow
def test_sharded_networks_train_as_whole_ones_do(tmp_path):
    port = free_port()
    with Fork(partial(process, 0, port, tmp_path), tmp_path) as first, \
            Fork(partial(process, 1, port, tmp_path), tmp_path) as second:  # fmt: skip
        printed = [fork.communicate() for fork in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), printed
    whole = networks()
    both = optimizers(*whole)
    for number in range(STEPS):
        step(*whole, both, [batch(rank, number) for rank in (0, 1)], number)
    for network, found in zip(whole, torch.load(tmp_path / "0.pt", weights_only=True), strict=True):
        expected = network.state_dict()
        assert found.keys() == expected.keys()
        assert max(float((found[name] - value).abs().max()) for name, value in expected.items()) <= 1e-6
