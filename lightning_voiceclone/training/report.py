"""What happened in a training step, for callbacks that watch a training."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from lightning_voiceclone.training.step import TrainingPair


@dataclass
class StepReport:
    """A training step in figures. Tensors are scalars without gradient, on the training's device.

    Args:
        step: index of the step, from 0.
        losses: of both networks, by name, not weighted; ``generator`` is the weighted sum of its losses.
        gradient_norms: by network, before clipping; of those that were updated.
        accuracy: share of the discriminator's logits that are higher for real than for generated data, ties counted as
            half: 0.5 is chance, 1 a discriminator that is never wrong. None in a step without it.
        diversity: how far the generated rows lie apart, over how far the real ones do (of the means over time, root
            mean square over channels). Near 0 all speakers sound alike. None for waveforms, and for a single row.
        spreads: of generated and real features over speakers and over noise (:func:`diversity.spreads`), in the steps
            that measure them; empty in others.
        shares: of each loss in the gradient at the generator's output, where losses are balanced and this step measured
            them; they add up to 1.
        stale: networks whose gradients were not cleared before the step.
        leaked: networks that got gradients in the other one's step.
        undone: why the step was taken back; None if it was not.
    """

    step: int
    losses: dict[str, Tensor] = field(default_factory=dict)
    gradient_norms: dict[str, Tensor] = field(default_factory=dict)
    accuracy: Tensor | None = None
    diversity: Tensor | None = None
    spreads: dict[str, Tensor] = field(default_factory=dict)
    shares: dict[str, Tensor] = field(default_factory=dict)
    stale: list[str] = field(default_factory=list)
    leaked: list[str] = field(default_factory=list)
    undone: str | None = None


@torch.no_grad()
def accuracy_of(real_logits: Sequence[Tensor], fake_logits: Sequence[Tensor]) -> Tensor:
    """Share of logits that are higher for real than for generated data, a mean over sub-discriminators."""
    shares = [(real > fake).float().mean() + (real == fake).float().mean() / 2
              for real, fake in zip(real_logits, fake_logits, strict=True)]  # fmt: skip
    return torch.stack(shares).mean()


@torch.no_grad()
def diversity_of(pair: TrainingPair) -> Tensor | None:
    """How far generated rows of features lie apart, over how far the real ones do."""
    if pair.real.shape[0] < 2 or pair.real.shape[1] < 2:
        return None
    spreads = [_spread(x.detach().float()) for x in (pair.fake, pair.real)]
    return spreads[0] / spreads[1].clamp_min(1e-8)


def _spread(x: Tensor) -> Tensor:
    means = x.mean(-1)
    return (means - means.mean(0)).square().mean().sqrt()


def mean_losses(losses: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """The mean of each loss over several pairs, by name; of one pair, its losses as they are."""
    names = dict.fromkeys(name for one in losses for name in one)
    of = {name: [one[name] for one in losses if name in one] for name in names}
    return {name: values[0] if len(values) == 1 else torch.stack([value.detach() for value in values]).mean()
            for name, values in of.items()}  # fmt: skip


def has_gradients(module: nn.Module) -> bool:
    """Whether any weight of the module has a gradient."""
    return any(weight.grad is not None for weight in module.parameters())
