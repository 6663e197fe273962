"""Settings of a training step, and the real and generated batch that it compares."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from torch import Tensor

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.schedule import Counted, Schedule
from lightning_voiceclone.errors import ConfigurationError, check_range
from lightning_voiceclone.losses.rows import RowLoss
from lightning_voiceclone.training.privacy import PrivacySettings


@dataclass(frozen=True)
class StepSettings:
    """How generator and discriminator alternate. All counts are in batches.

    Args:
        discriminator_steps: discriminator steps for one of the generator (k in Goodfellow 2014), or ``{steps: {0: 1,
            2000: 2}}``, values that begin at those steps.
        warmup: first batches, in which the generator trains without the discriminator.
        gradient_clip: maximum norm of the gradient, for generator and discriminator apart; null for none.
        accumulate: batches whose gradients are summed before a step.
        average: decay of the moving average of the generator's weights; null for none.
        instance_noise: standard deviation of the noise that is added to all that the discriminator gets, real and
            generated, in its inputs' units (normalised features have about 1): the two overlap from the first step on
            (Sønderby et al. 2016); 0 for none.
        noise_scales: frames (samples, of waveforms) for which one number of the noise holds; the noise is the sum of
            one for each scale, so that an average over time does not escape it.
        noise_steps: batches until the instance noise has fallen to 0, in a line; null if it stays.
        r1: weight of the squared gradient of the logits of real data at that data, halved, in the discriminator's loss
            (Mescheder et al. 2018, equation 9), with any adversarial loss; 0 for none.
        balance: makes the weights of the losses shares of the gradient at the generator's output, whatever the scale of
            each loss: decay of the moving average of the gradients' norms, 0.9 for some 100 steps; null for factors.
        shared: layers of the discriminator whose weights are the generator's: its name there by the discriminator's, as
            ``{hidden.1: generator.hidden.1}``; both networks train them, and a step generates twice. Null for none.
        privacy: differential privacy of the speakers of the training recordings; null for none.
    """

    discriminator_steps: Counted = 1
    warmup: int = 0
    gradient_clip: float | None = 5.0
    accumulate: int = 1
    average: float | None = 0.999
    instance_noise: float = 0.0
    noise_scales: tuple[int, ...] = (1,)
    noise_steps: int | None = None
    r1: float = 0.0
    balance: float | None = None
    shared: dict[str, str] | None = None
    privacy: PrivacySettings | None = None

    def __post_init__(self) -> None:
        check_range("steps.accumulate", self.accumulate, 1, 1_000_000)
        self.updates_generator(0)
        check_range("steps.warmup", self.warmup, 0, 1e12)
        check_range("steps.gradient_clip", self.gradient_clip, 1e-9, 1e9, unset="none")
        check_range("steps.average", self.average, 0, 0.999999, unset="none")
        check_range("steps.instance_noise", self.instance_noise, 0, 1e3)
        check_range("steps.noise_steps", self.noise_steps, 1, 1e12, unset="noise that stays")
        check_range("steps.r1", self.r1, 0, 1e9)
        check_range("steps.balance", self.balance, 0, 0.999999, unset="none")
        if not self.noise_scales or min(self.noise_scales) < 1:
            raise ConfigurationError(
                f"steps.noise_scales is {list(self.noise_scales)}; give at least one, each of at least 1 frame"
            )
        if self.shared and self.accumulate > 1:
            raise ConfigurationError(
                f"steps.accumulate is {self.accumulate}, but gradients of shared weights cannot wait: the other network"
                " is updated before; set it to 1, or steps.shared to null"
            )
        if self.noise_steps is not None and not self.instance_noise:
            raise ConfigurationError(
                f"steps.noise_steps is {self.noise_steps}, but there is no noise; set steps.instance_noise too"
            )

    def updates_generator(self, step: int) -> bool:
        """Whether the generator is updated in that step, while the discriminator takes part."""
        every = Schedule.of("steps.discriminator_steps", self.discriminator_steps, 1, 1_000_000, whole=True).at(step)
        return (step // self.accumulate + 1) % int(every) == 0

    def noise_at(self, step: int) -> float:
        """Standard deviation of the instance noise in that step."""
        return self.instance_noise * (1.0 if self.noise_steps is None else max(0.0, 1 - step / self.noise_steps))


@dataclass(frozen=True)
class TrainingPair:
    """Real and generated data of one batch, for the discriminator and the losses.

    Args:
        real: (B, F, T) features or (B, 1, N) audio of the recordings.
        fake: the generator's output, of the same shape, with gradients.
        condition: input of the generator.
        losses: the generator's own losses by name, not weighted yet: a value a row, or a scalar of the batch.
        output: (B, F, T) or (B, N) of the generator, where gradients of losses are compared; None if it is ``fake``.
        reference: (B, F, R) features of another recording of each row's speaker; None where there is none.
        unpaired: number of first rows whose fake has no matching real, so that no distance between them is a loss.
    """

    real: Tensor
    fake: Tensor
    condition: Condition
    losses: Mapping[str, RowLoss | Tensor] = field(default_factory=dict)
    unpaired: int = 0
    output: Tensor | None = None
    reference: Tensor | None = None
