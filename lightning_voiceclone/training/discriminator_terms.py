"""What the discriminator is given, and the losses of both networks that follow from its output."""

import functools
import operator
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import AdversarialLoss, Discriminator
from lightning_voiceclone.losses.adversarial import r1_penalty
from lightning_voiceclone.losses.reconstruction import feature_matching
from lightning_voiceclone.losses.rows import RowLoss
from lightning_voiceclone.training.step import StepSettings, TrainingPair


@dataclass(frozen=True)
class DiscriminatorTerms:
    """The discriminator's losses for one batch, and the logits that they were computed from.

    Args:
        losses: by name, each a scalar that is added to its total: discriminator and, where there are any, the
            penalties ``penalty`` (of the adversarial loss) and ``r1``.
        real_logits: of each sub-discriminator, for real data.
        fake_logits: likewise, for generated data.
    """

    losses: dict[str, Tensor]
    real_logits: list[Tensor]
    fake_logits: list[Tensor]

    @property
    def total(self) -> Tensor:
        """Their sum, a scalar."""
        return functools.reduce(operator.add, self.losses.values())


def discriminator_terms(
    discriminator: Discriminator, loss: AdversarialLoss, pair: TrainingPair, settings: StepSettings, step: int
) -> DiscriminatorTerms:
    """The discriminator's loss and penalties; no gradient flows into the pair."""
    real, fake = (_noised(x, settings, step) for x in (pair.real, pair.fake.detach()))
    condition = pair.condition.detach()
    real_logits = [maps[-1] for maps in discriminator(real, condition)]
    fake_logits = [maps[-1] for maps in discriminator(fake, condition)]
    losses = {"discriminator": loss.discriminator(real_logits, fake_logits).mean()}
    losses |= _penalties(discriminator, loss, (real, fake), condition, settings)
    return DiscriminatorTerms(losses, real_logits, fake_logits)


def _penalties(
    discriminator: Discriminator,
    loss: AdversarialLoss,
    given: tuple[Tensor, Tensor],
    condition: Condition,
    settings: StepSettings,
) -> dict[str, Tensor]:
    """Weighted terms by name, of the real and generated data that the discriminator was given."""
    penalties = {"penalty": loss.penalty(discriminator, *given, condition)}
    if settings.r1:
        penalties["r1"] = settings.r1 * r1_penalty(discriminator, given[0], condition)
    return {name: penalty.mean() for name, penalty in penalties.items() if penalty is not None}


def penalty_names(loss: AdversarialLoss, settings: StepSettings) -> set[str]:
    """Names of the penalties that :func:`discriminator_terms` may compute."""
    own = {"penalty"} if type(loss).penalty is not AdversarialLoss.penalty else set()
    return own | ({"r1"} if settings.r1 else set())


def generator_terms(
    discriminator: Discriminator,
    loss: AdversarialLoss,
    pair: TrainingPair,
    settings: StepSettings,
    step: int,
    names: Collection[str],
) -> dict[str, RowLoss | Tensor]:
    """The generator's losses that the discriminator computes, by name, with a value a row.

    These are adversarial and, if ``names`` has it, feature_matching.
    """
    fake_maps = discriminator(_noised(pair.fake, settings, step), pair.condition)
    losses: dict[str, RowLoss | Tensor] = {"adversarial": loss.generator([maps[-1] for maps in fake_maps])}
    if "feature_matching" in names:
        with torch.no_grad():
            real_maps = discriminator(_noised(pair.real, settings, step), pair.condition)
        losses["feature_matching"] = feature_matching(real_maps, fake_maps, unpaired=pair.unpaired)
    return losses


def _noised(x: Tensor, settings: StepSettings, step: int) -> Tensor:
    """The data with instance noise, as long as there is any."""
    deviation = settings.noise_at(step)
    return x + deviation * _noise(x, settings.noise_scales) if deviation else x


def _noise(x: Tensor, scales: Sequence[int]) -> Tensor:
    """Normal noise of the shape of x (B, C, T): the sum, divided so that its variance is 1, of one for each scale.

    Of a scale, each number holds for so many frames.
    """
    parts = []
    for scale in scales:
        drawn = torch.randn(*x.shape[:-1], -(-x.shape[-1] // scale), dtype=x.dtype, device=x.device)
        parts.append(drawn.repeat_interleave(scale, -1)[..., : x.shape[-1]] if scale > 1 else drawn)
    return functools.reduce(operator.add, parts) / len(parts) ** 0.5
