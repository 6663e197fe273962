"""Losses that have the share of the gradient that their weights state."""

import math

import pytest
import torch
from torch import nn

from lightning_voiceclone.training.balance import EVERY, WITHOUT, LossBalancer

WEIGHTS = {"near": 1.0, "smooth": 3.0}


def fitted(steps=200, factor=1.0, balancer=None):
    """A layer fitted by two losses, the first multiplied by a factor: the layer, the balancer, measured shares."""
    torch.manual_seed(0)
    layer, balancer = nn.Linear(6, 6), balancer or LossBalancer(WEIGHTS, 0.9)
    optimizer = torch.optim.Adam(layer.parameters(), lr=1e-4)
    shares = []
    for _ in range(steps):
        output = layer(torch.randn(8, 6))
        losses = {"near": factor * (output - 2).abs().mean(), "smooth": output.diff().square().mean()}
        factors = balancer.scales(losses, output)
        sum(factors[name] * loss for name, loss in losses.items()).backward()
        balancer.accept()
        optimizer.step()
        optimizer.zero_grad()
        shares += [balancer.shares] if balancer.shares else []
    return layer, balancer, shares


def test_shares_are_those_of_the_weights_whatever_the_scale_of_a_loss():
    plain, scaled = fitted()[2], fitted(factor=1000)[2]
    assert len(plain) == 200 // EVERY
    for ours, theirs in zip(plain, scaled, strict=True):
        assert abs(float(ours["near"]) - float(theirs["near"])) < 0.01
        assert float(ours["near"] + ours["smooth"]) == pytest.approx(1)
    # A single batch's gradient is not the mean one: the mean of all measurements is the stated share.
    assert sum(float(one["near"]) for one in plain) / len(plain) == pytest.approx(0.25, abs=0.02)


def test_the_first_step_by_hand():
    balancer, output = LossBalancer(WEIGHTS, 0.9), torch.zeros(4, requires_grad=True)
    losses = {"near": (output * 3).sum(), "smooth": (output * torch.tensor([0.0, 0.0, 0.0, 0.5])).sum()}
    factors = balancer.scales(losses, output)
    assert float(factors["near"]) == pytest.approx(0.25 / math.sqrt(4 * 9))
    assert float(factors["smooth"]) == pytest.approx(0.75 / 0.5)
    assert balancer.counts.tolist() == [0, 0]
    balancer.accept()
    assert balancer.counts.tolist() == [1, 1]
    assert balancer.norms.tolist() == pytest.approx([6.0, 0.5])


def test_norms_are_measured_now_and_then_and_averaged():
    balancer, output = LossBalancer({"near": 1.0}, 0.75), torch.zeros(1, requires_grad=True)
    for step in range(2 * EVERY + 1):
        balancer.scales({"near": (step + 1) * output.sum()}, output)
        balancer.accept()
    first, second, third = 1, EVERY + 1, 2 * EVERY + 1
    assert balancer.counts.tolist() == [3]
    assert balancer.norms.item() == pytest.approx(0.75 * (0.75 * first + 0.25 * second) + 0.25 * third)


def test_a_loss_that_comes_later_is_measured_when_it_comes():
    balancer, output = LossBalancer(WEIGHTS, 0.9), torch.zeros(1, requires_grad=True)
    factors = balancer.scales({"near": 2 * output.sum()}, output)
    assert {name: float(factor) for name, factor in factors.items()} == {"near": 0.5}  # alone it has the whole share
    balancer.accept()
    factors = balancer.scales({"near": 2 * output.sum(), "smooth": 4 * output.sum()}, output)
    assert {name: float(factor) for name, factor in factors.items()} == {"near": 0.125, "smooth": 0.1875}


def test_a_loss_that_does_not_reach_the_output_keeps_its_weight():
    balancer, output = LossBalancer({"kl": 0.01, "near": 1.0}, 0.9), torch.zeros(1, requires_grad=True)
    elsewhere = torch.ones(1, requires_grad=True)
    for _ in range(2):
        losses = {"kl": elsewhere.sum(), "near": 5 * output.sum()}
        factors = balancer.scales(losses, output)
        balancer.accept()
        assert float(factors["kl"]) == pytest.approx(0.01)
        assert float(factors["near"]) == pytest.approx(0.2)
    assert balancer.counts.tolist() == [WITHOUT, 1]


def test_a_gradient_of_zero_has_no_scale():
    balancer, output = LossBalancer({"near": 1.0}, 0.9), torch.zeros(1, requires_grad=True)
    assert float(balancer.scales({"near": 0 * output.sum()}, output)["near"]) == 0
    balancer.accept()
    assert float(balancer.scales({"near": 4 * output.sum()}, output)["near"]) == pytest.approx(0.25)


def test_a_state_that_is_loaded_goes_on_in_the_same_way():
    _, whole, _ = fitted(steps=25)
    again = LossBalancer(WEIGHTS, 0.9)
    again.load_state_dict(whole.state_dict())
    output = torch.ones(3, requires_grad=True)
    losses = {"near": output.sum(), "smooth": output.square().sum()}
    for name, factor in whole.scales(losses, output).items():
        assert torch.equal(factor, again.scales(losses, output)[name])
