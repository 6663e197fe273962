"""Differential privacy of a training: the noise that a privacy loss needs, and what was spent so far."""

import math
import warnings
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from lightning_voiceclone.errors import ConfigurationError, check_range
from lightning_voiceclone.utils.counter_random import secret_key
from lightning_voiceclone.utils.optional import need

UNIT = "speaker"
LEAST_NOISE, MOST_NOISE = 0.02, 1000.0  # multipliers; beyond the most, a step is noise alone
PRECISION = 1e-3  # of the multiplier, relative
# Whole ones: for them the bound of two networks in one step has a proof of a few lines (docs/design.md), and they are
# computed 20 times as fast as Opacus's own fractions.
ORDERS = [*range(2, 65), 80, 96, 128, 192, 256, 512]

History = list[tuple[float, float, int]]  # Opacus's: noise multiplier, probability of a speaker, steps


@dataclass(frozen=True)
class PrivacySettings:
    """Differential privacy (Dwork & Roth 2014), by clipped gradients with noise (DP-SGD, Abadi et al. 2016).

    The unit is the speaker: the finished model would be nearly as likely without all recordings of any one of them.
    ``data.batch_size`` over ``crops`` is the expected number of speakers of a step; each is in it by chance,
    independently of the others. ``trainer.max_steps`` must be set, since the noise follows from it.

    Args:
        epsilon: the greatest privacy loss after all steps, of both networks together; 1 is strong, 8 is common.
        delta: probability that the loss may be greater; below one over the number of speakers.
        clip: the greatest norm of the gradient that one speaker may contribute, for each network.
        crops: crops of each speaker of a step.
    """

    epsilon: float = 8.0
    delta: float = 1e-5
    clip: float = 1.0
    crops: int = 4

    def __post_init__(self) -> None:
        check_range("steps.privacy.epsilon", self.epsilon, 1e-6, 1e6)
        check_range("steps.privacy.delta", self.delta, 1e-300, 0.5)
        check_range("steps.privacy.clip", self.clip, 1e-9, 1e9)
        check_range("steps.privacy.crops", self.crops, 1, 100_000)


@dataclass(frozen=True)
class Plan:
    """The steps that are still to come.

    Args:
        speakers: of the training recordings.
        probability: with which each is in a step.
        updates: for each number of networks that are updated in one step, the number of such steps.
    """

    speakers: int
    probability: float
    updates: Mapping[int, int]

    def history(self, noise_multiplier: float) -> History:
        """The plan as the accountant counts it."""
        return [(joint(noise_multiplier, networks), self.probability, steps)
                for networks, steps in sorted(self.updates.items()) if steps]  # fmt: skip


def joint(noise_multiplier: float, networks: int) -> float:
    """Multiplier of one release that is as revealing as those of so many networks in one step, of the same speakers."""
    return noise_multiplier / math.sqrt(networks)


def epsilon_of(history: History, delta: float) -> float:
    """Privacy loss by Opacus's accountant of Rényi differential privacy (Mironov et al. 2019).

    Raises:
        PluginError: if Opacus is not installed; names the command that installs it.
    """
    if not history:
        return 0.0
    accountant = need("opacus.accountants", "privacy").RDPAccountant()
    accountant.history = list(history)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that the best order is the first or last: the bound holds all the same
        return float(accountant.get_epsilon(delta, alphas=ORDERS))


def noise_for(plan: Plan, settings: PrivacySettings) -> float:
    """The least noise multiplier with which the plan's privacy loss is at most ``settings.epsilon``.

    Raises:
        ConfigurationError: if no noise is enough; names the loss at the most noise, and what to change.
    """

    def loss(noise: float) -> float:
        return epsilon_of(plan.history(noise), settings.delta)

    if (least := loss(MOST_NOISE)) > settings.epsilon:
        steps = sum(plan.updates.values())
        raise ConfigurationError(
            f"model.steps.privacy.epsilon is {settings.epsilon:g}, which cannot be reached: with {MOST_NOISE:g} times"
            f" as much noise as one of the {plan.speakers} speakers can contribute, {steps:,} steps still spend"
            f" {least:.3g} (delta {settings.delta:g}); raise it, or lower trainer.max_steps or data.batch_size"
        )
    low, high = LEAST_NOISE, MOST_NOISE
    while high / low > 1 + PRECISION:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if loss(middle) <= settings.epsilon else (middle, high)
    return high


class PrivacyLedger:
    """What a private training has spent, and what it draws its noise from; a checkpoint has all of it.

    Args:
        settings: of the training.
        plan: the steps to come.
        stored: of the checkpoint that it goes on from (:meth:`state`); None for a new one.

    Raises:
        ConfigurationError: if the privacy loss at the end would be above ``settings.epsilon``.
    """

    def __init__(self, settings: PrivacySettings, plan: Plan, stored: Mapping[str, Any] | None = None) -> None:
        if settings.delta >= 1 / plan.speakers:
            raise ConfigurationError(
                f"model.steps.privacy.delta is {settings.delta:g}; for {plan.speakers} speakers it must be below"
                f" {1 / plan.speakers:.3g}, or one of them could be given away outright"
            )
        self.settings, self.plan = settings, plan
        if stored is None:
            self.key, self.noise_multiplier, self._spent = secret_key(), noise_for(plan, settings), Counter[Any]()
            return
        self.key, self.noise_multiplier = int(stored["key"], 16), float(stored["noise_multiplier"])
        self._spent = Counter({(noise, probability): steps for noise, probability, steps in stored["history"]})
        self._check_rest()

    def _check_rest(self) -> None:
        """Refuse to go on to an end at which more would be spent than was agreed."""
        coming = Counter({(noise, probability): steps
                          for noise, probability, steps in self.plan.history(self.noise_multiplier)})  # fmt: skip
        at_end = [(*kind, steps) for kind, steps in (self._spent + coming).items()]
        loss = epsilon_of(at_end, self.settings.delta)
        if loss > self.settings.epsilon * (1 + PRECISION):
            raise ConfigurationError(
                f"model.steps.privacy.epsilon is {self.settings.epsilon:g}, but by the noise of the checkpoint the"
                f" training would have spent {loss:.4g} after {sum(steps for *_, steps in at_end):,} steps; raise it,"
                " or lower trainer.max_steps"
            )

    @property
    def history(self) -> History:
        """What was spent, as Opacus's accountant has it."""
        return [(noise, probability, steps) for (noise, probability), steps in self._spent.items()]

    def count(self, networks: int) -> None:
        """Count a step in which so many networks were updated."""
        self._spent[joint(self.noise_multiplier, networks), self.plan.probability] += 1

    def record(self) -> dict[str, Any]:
        """The guarantee so far in plain values, which may be published."""
        return {
            "unit": UNIT, "epsilon": epsilon_of(self.history, self.settings.delta), "delta": self.settings.delta,
            "noise_multiplier": self.noise_multiplier, "clip": self.settings.clip,
            "probability": self.plan.probability, "steps": sum(self._spent.values()),
        }  # fmt: skip

    def state(self) -> dict[str, Any]:
        """The record with what a training needs to go on; secret, since noise that is known can be taken away."""
        return self.record() | {"key": f"{self.key:032x}", "history": [list(entry) for entry in self.history]}
