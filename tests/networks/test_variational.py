"""The divergence."""

import math

import pytest
import torch

from lightning_voiceclone.networks.variational import gaussian_kl


def test_kl_by_hand():
    mean, variance = torch.tensor([[[1.0, 50.0]]]), torch.tensor([[[4.0, 1.0]]])
    mask = torch.tensor([[[1.0, 0.0]]])
    expected = -0.5 * (1 + math.log(4) - 1 - 4)
    assert gaussian_kl(mean, variance.log(), mask).item() == pytest.approx(expected, rel=1e-6)


def test_kl_agrees_with_torch_and_is_zero_at_the_standard_normal():
    torch.manual_seed(0)
    mean, log_variance = torch.randn(2, 3, 4), torch.randn(2, 3, 4)
    theirs = torch.distributions.kl_divergence(
        torch.distributions.Normal(mean, torch.exp(log_variance / 2)), torch.distributions.Normal(0.0, 1.0)
    )
    ones = torch.ones(2, 1, 4)
    torch.testing.assert_close(gaussian_kl(mean, log_variance, ones), theirs.mean((1, 2)))
    assert gaussian_kl(torch.zeros(2, 3, 4), torch.zeros(2, 3, 4), ones).tolist() == [0.0, 0.0]
