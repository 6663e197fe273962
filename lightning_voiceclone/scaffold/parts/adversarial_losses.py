"""The losses of discriminator and generator on the logits."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import softplus

from lightning_voiceclone.core.interfaces import AdversarialLoss


class ExampleAdversarialLoss(AdversarialLoss):
    """Binary cross-entropy, non-saturating (Goodfellow et al. 2014): -ln sigmoid(D(x)) - ln(1 - sigmoid(D(G(z))))."""

    def discriminator(self, real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
        """softplus(-D(x)) + softplus(D(G(z))), one value a row."""
        pairs = zip(real_logits, fake_logits, strict=True)
        return torch.stack([(softplus(-real) + softplus(fake)).flatten(1).mean(1) for real, fake in pairs]).mean(0)

    def generator(self, fake_logits: Sequence[Tensor]) -> Tensor:
        """softplus(-D(G(z))), one value a row."""
        return torch.stack([softplus(-fake).flatten(1).mean(1) for fake in fake_logits]).mean(0)
