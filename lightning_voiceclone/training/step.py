"""What a training step is: how the players take turns, what they are given, and that it counts as one batch."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

from lightning.pytorch.core.optimizer import LightningOptimizer, do_nothing_closure
from torch import Tensor

from lightning_voiceclone.errors import check_range
from lightning_voiceclone.interfaces import Condition


@dataclass(frozen=True)
class StepSettings:
    """How the two players take turns. All counts are in batches.

    Args:
        discriminator_steps: steps of the discriminator to one of the generator (k in Goodfellow 2014).
        warmup: batches at the beginning in which the generator trains alone, without the discriminator.
        gradient_clip: largest norm of the gradient of either player; null for none.
        accumulate: batches whose gradients are summed before a step.
        average: decay of the moving average of the generator's weights; null for none.
    """

    discriminator_steps: int = 1
    warmup: int = 0
    gradient_clip: float | None = 5.0
    accumulate: int = 1
    average: float | None = 0.999

    def __post_init__(self) -> None:
        check_range("steps.discriminator_steps", self.discriminator_steps, 1, 1_000_000)
        check_range("steps.accumulate", self.accumulate, 1, 1_000_000)
        check_range("steps.warmup", self.warmup, 0, 1e12)
        check_range("steps.gradient_clip", self.gradient_clip, 1e-9, 1e9, unset="none")
        check_range("steps.average", self.average, 0, 0.999999, unset="none")


@dataclass(frozen=True)
class Pair:
    """A batch, made into what the discriminator is to tell apart.

    Args:
        real: (B, F, T) features or (B, 1, N) audio of the recordings.
        fake: the generator's, of the same shape, with gradients.
        condition: what the generator was told.
        losses: the generator's own losses by name, each a scalar, not weighted yet.
        unpaired: so many rows at the beginning are not meant to equal the real ones, and no distance to them counts.
    """

    real: Tensor
    fake: Tensor
    condition: Condition
    losses: Mapping[str, Tensor] = field(default_factory=dict)
    unpaired: int = 0


@contextmanager
def uncounted(optimizer: LightningOptimizer) -> Iterator[None]:
    """Keep Lightning from counting this optimizer's step: a step is a batch, and is counted once a batch."""
    before, after = optimizer._on_before_step, optimizer._on_after_step
    optimizer._on_before_step = optimizer._on_after_step = do_nothing_closure  # type: ignore[method-assign]
    try:
        yield
    finally:
        optimizer._on_before_step, optimizer._on_after_step = before, after  # type: ignore[method-assign]
