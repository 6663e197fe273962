"""Adversarial losses. Higher logits mean real.

Every loss is, for each row, the mean over sub-discriminators of the mean over their logits.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import AdversarialLoss, Discriminator
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.rows import mean_of_rows


def r1_penalty(discriminator: Discriminator, real: Tensor, condition: Condition | None) -> Tensor:
    """Half the squared gradient (B,) of the logits at real data (Mescheder et al. 2018, equation 9).

    The logit of an example is the mean over sub-discriminators of the mean over their logits; the gradient's norm is
    taken over all numbers of the example.

    Args:
        discriminator: whose logits they are.
        real: (B, F, T) features or (B, 1, N) audio.
        condition: of them.
    """
    real = real.detach().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(_critic(discriminator, real, condition), real, create_graph=True)
        return gradient.flatten(1).square().sum(1) / 2


def _critic(discriminator: Discriminator, x: Tensor, condition: Condition | None) -> Tensor:
    """The sum over the batch of each example's mean logit."""
    logits = [mean_of_rows(maps[-1]) for maps in discriminator(x, condition)]
    return torch.stack(logits).mean(0).sum()


def _mean_over_sub_discriminators(of_one: Callable[..., Tensor], *logits: Sequence[Tensor]) -> Tensor:
    if len({len(sequence) for sequence in logits}) != 1 or not logits[0]:
        counts = " and ".join(str(len(sequence)) for sequence in logits)
        raise ConfigurationError(
            f"an adversarial loss was given logits of {counts} sub-discriminators; give one tensor for each"
            " sub-discriminator, at least one, and as many real as fake"
        )
    return torch.stack([mean_of_rows(of_one(*outputs)) for outputs in zip(*logits, strict=True)]).mean(0)


class MinMaxLoss(AdversarialLoss):
    """The original GAN loss: binary cross-entropy, with the non-saturating loss of the generator.

    L_D = -[log D(x) + log(1 - D(G(z)))] and L_G = -log D(G(z)), where D = sigmoid(logits) (Goodfellow et al. 2014,
    equation 1 and the end of its section 3).

    Args:
        label_smoothing: the label of real is 1 - label_smoothing instead of 1 in the discriminator's loss (one-sided,
            Salimans et al. 2016); from 0 to below 1.

    Raises:
        ConfigurationError: if label_smoothing is out of range.
    """

    def __init__(self, *, label_smoothing: float = 0.0):
        super().__init__()
        if not 0 <= label_smoothing < 1:
            raise ConfigurationError(f"MinMaxLoss: label_smoothing is {label_smoothing}; it must be from 0 to below 1")
        self.label_smoothing = label_smoothing

    def discriminator(self, real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
        """-[log D(x) + log(1 - D(G(z)))]; 2 ln 2 at chance level."""

        def of_one(real: Tensor, fake: Tensor) -> Tensor:
            label = torch.full_like(real, 1 - self.label_smoothing)
            return F.binary_cross_entropy_with_logits(real, label, reduction="none") + F.softplus(fake)

        return _mean_over_sub_discriminators(of_one, real_logits, fake_logits)

    def generator(self, fake_logits: Sequence[Tensor]) -> Tensor:
        """-log D(G(z)); ln 2 at chance level."""
        return _mean_over_sub_discriminators(lambda fake: F.softplus(-fake), fake_logits)


class LeastSquaresLoss(AdversarialLoss):
    """Least squares to the labels 1 and 0 (Mao et al. 2017, equation 9).

    L_D = [(D(x) - 1)^2 + D(G(z))^2] / 2 and L_G = (D(G(z)) - 1)^2 / 2, where D are the logits themselves.
    """

    def discriminator(self, real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
        """[(D(x) - 1)^2 + D(G(z))^2] / 2."""
        return _mean_over_sub_discriminators(
            lambda real, fake: ((real - 1).square() + fake.square()) / 2, real_logits, fake_logits
        )

    def generator(self, fake_logits: Sequence[Tensor]) -> Tensor:
        """(D(G(z)) - 1)^2 / 2."""
        return _mean_over_sub_discriminators(lambda fake: (fake - 1).square() / 2, fake_logits)


class HingeLoss(AdversarialLoss):
    """The hinge loss (Lim & Ye 2017): logits beyond 1 on the right side cost nothing.

    L_D = max(0, 1 - D(x)) + max(0, 1 + D(G(z))) and L_G = -D(G(z)).
    """

    def discriminator(self, real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
        """max(0, 1 - D(x)) + max(0, 1 + D(G(z)))."""
        return _mean_over_sub_discriminators(
            lambda real, fake: F.relu(1 - real) + F.relu(1 + fake), real_logits, fake_logits
        )

    def generator(self, fake_logits: Sequence[Tensor]) -> Tensor:
        """-D(G(z))."""
        return _mean_over_sub_discriminators(lambda fake: -fake, fake_logits)


class WassersteinLoss(AdversarialLoss):
    """The Wasserstein distance with gradient penalty (Arjovsky et al. 2017; Gulrajani et al. 2017, equation 3).

    L_D = D(G(z)) - D(x) + penalty_weight * (|gradient of D at x'| - 1)^2 and L_G = -D(G(z)), where x' is a random
    point on the line from a real to a fake example.

    Args:
        penalty_weight: lambda; 0 for none.

    Raises:
        ConfigurationError: if penalty_weight is negative.
    """

    def __init__(self, *, penalty_weight: float = 10.0):
        super().__init__()
        if penalty_weight < 0:
            raise ConfigurationError(f"WassersteinLoss: penalty_weight is {penalty_weight}; it must not be negative")
        self.penalty_weight = penalty_weight

    def discriminator(self, real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
        """D(G(z)) - D(x)."""
        return _mean_over_sub_discriminators(lambda real, fake: fake - real, real_logits, fake_logits)

    def generator(self, fake_logits: Sequence[Tensor]) -> Tensor:
        """-D(G(z))."""
        return _mean_over_sub_discriminators(lambda fake: -fake, fake_logits)

    def penalty(
        self, discriminator: Discriminator, real: Tensor, fake: Tensor, condition: Condition | None
    ) -> Tensor | None:
        """penalty_weight * (|gradient| - 1)^2 (B,), or None if the weight is 0.

        D of an example is the mean over sub-discriminators of the mean over their logits, as in the loss itself. The
        gradient's norm is taken over all numbers of the example.
        """
        if not self.penalty_weight:
            return None
        with torch.enable_grad():  # a validation step computes the penalty too
            share = torch.rand(real.shape[0], *(1,) * (real.ndim - 1), dtype=real.dtype, device=real.device)
            between = torch.lerp(real.detach(), fake.detach(), share).requires_grad_()
            (gradient,) = torch.autograd.grad(_critic(discriminator, between, condition), between, create_graph=True)
            length = gradient.flatten(1).norm(dim=1)
            return self.penalty_weight * (length - 1).square()
