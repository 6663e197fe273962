import math

import pytest
import torch
from torch import nn

from lightning_voiceclone.core.interfaces import Discriminator
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.adversarial import (
    HingeLoss,
    LeastSquaresLoss,
    MinMaxLoss,
    WassersteinLoss,
    r1_penalty,
)
from lightning_voiceclone.testing.conformance import AdversarialLossConformance


class TestMinMaxLoss(AdversarialLossConformance):
    part = MinMaxLoss


class TestSmoothedMinMaxLoss(AdversarialLossConformance):
    part = MinMaxLoss
    arguments = {"label_smoothing": 0.1}


class TestLeastSquaresLoss(AdversarialLossConformance):
    part = LeastSquaresLoss


class TestHingeLoss(AdversarialLossConformance):
    part = HingeLoss


class TestWassersteinLoss(AdversarialLossConformance):
    part = WassersteinLoss


REAL = [torch.tensor([[2.0, 0.5]])]
FAKE = [torch.tensor([[-1.0, 0.5]])]


def sigmoid(x):
    return 1 / (1 + math.exp(-x))


def test_min_max_by_hand():
    of_real = (math.log(sigmoid(2.0)) + math.log(sigmoid(0.5))) / 2
    of_fake = (math.log(1 - sigmoid(-1.0)) + math.log(1 - sigmoid(0.5))) / 2
    assert MinMaxLoss().discriminator(REAL, FAKE).mean().item() == pytest.approx(-(of_real + of_fake), abs=1e-6)
    generator = -(math.log(sigmoid(-1.0)) + math.log(sigmoid(0.5))) / 2
    assert MinMaxLoss().generator(FAKE).mean().item() == pytest.approx(generator, abs=1e-6)


def test_min_max_where_the_discriminator_is_undecided():
    zero = [torch.zeros(3, 1)]
    assert MinMaxLoss().discriminator(zero, zero).mean().item() == pytest.approx(2 * math.log(2))
    assert MinMaxLoss().generator(zero).mean().item() == pytest.approx(math.log(2))


def test_label_smoothing_by_hand():
    logits = [torch.tensor([[2.0]])]
    expected = -(0.9 * math.log(sigmoid(2.0)) + 0.1 * math.log(1 - sigmoid(2.0))) - math.log(1 - sigmoid(2.0))
    loss = MinMaxLoss(label_smoothing=0.1)
    assert loss.discriminator(logits, logits).mean().item() == pytest.approx(expected, abs=1e-6)
    assert loss.generator(logits).mean().item() == pytest.approx(-math.log(sigmoid(2.0)), abs=1e-6)


def test_least_squares_by_hand():
    # Real: (1 + 0.25) / 2; fake: (1 + 0.25) / 2; half of the sum. Generator: (4 + 0.25) / 2, halved.
    assert LeastSquaresLoss().discriminator(REAL, FAKE).mean().item() == pytest.approx(0.625)
    assert LeastSquaresLoss().generator(FAKE).mean().item() == pytest.approx(1.0625)


def test_hinge_by_hand():
    # Real: (0 + 0.5) / 2; fake: (0 + 1.5) / 2.
    assert HingeLoss().discriminator(REAL, FAKE).mean().item() == pytest.approx(1.0)
    assert HingeLoss().generator(FAKE).mean().item() == pytest.approx(0.25)


def test_wasserstein_by_hand():
    assert WassersteinLoss().discriminator(REAL, FAKE).mean().item() == pytest.approx(-1.5)
    assert WassersteinLoss().generator(FAKE).mean().item() == pytest.approx(0.25)


class Linear(Discriminator):
    """Logits are the weight times the sum of x: the gradient's length is the weight times the root of the count."""

    def __init__(self, weight: float):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(weight))

    def forward(self, x, condition=None):
        return [[self.weight * x.sum((1, 2), keepdim=True)], [self.weight * x.sum((1, 2), keepdim=True)]]


def test_gradient_penalty_by_hand():
    discriminator = Linear(1.5)
    real, fake = torch.randn(3, 2, 2), torch.randn(3, 2, 2)
    penalty = WassersteinLoss(penalty_weight=7.0).penalty(discriminator, real, fake, None)
    assert penalty.tolist() == pytest.approx([7 * (1.5 * 2 - 1) ** 2] * 3, rel=1e-5)
    penalty.mean().backward()
    # d/dw 7 (2 w - 1)^2 = 28 (2 w - 1)
    assert discriminator.weight.grad.item() == pytest.approx(28 * 2.0, rel=1e-5)


def test_gradient_penalty_works_where_gradients_are_off():
    with torch.no_grad():
        penalty = WassersteinLoss().penalty(Linear(0.5), torch.randn(2, 2, 2), torch.randn(2, 2, 2), None)
    assert penalty.tolist() == pytest.approx([0.0, 0.0], abs=1e-5)


def test_no_weight_no_penalty():
    assert (
        WassersteinLoss(penalty_weight=0.0).penalty(Linear(1.0), torch.ones(1, 1, 1), torch.ones(1, 1, 1), None) is None
    )


def test_bad_values_are_named():
    with pytest.raises(ConfigurationError, match=r"label_smoothing is 1\.5"):
        MinMaxLoss(label_smoothing=1.5)
    with pytest.raises(ConfigurationError, match=r"penalty_weight is -1\.0"):
        WassersteinLoss(penalty_weight=-1.0)
    with pytest.raises(ConfigurationError, match="1 and 2 sub-discriminators"):
        HingeLoss().discriminator(REAL, FAKE * 2)
    with pytest.raises(ConfigurationError, match="0 sub-discriminators"):
        HingeLoss().generator([])


def test_r1_by_hand():
    """Of logits w . x, whatever x is: the gradient is w, and half its squared length the penalty."""

    class Linear(Discriminator):
        def forward(self, x, condition=None):
            return [[(x * weight).sum((1, 2))[:, None]], [(3 * x * weight).sum((1, 2))[:, None]]]

    weight = torch.tensor([[1.0, 2.0], [0.0, -1.0]], requires_grad=True)
    penalty = r1_penalty(Linear(), torch.randn(3, 2, 2), None)
    # The mean of 1 and 3 sub-discriminators is 2.
    assert penalty.tolist() == pytest.approx([(2 * 2) * (1 + 4 + 1) / 2] * 3)
    penalty.mean().backward()
    torch.testing.assert_close(weight.grad, 4 * weight.detach())
