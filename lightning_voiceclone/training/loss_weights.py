"""Checks of loss weights: a misspelt or unused one is an error."""

from collections.abc import Collection, Mapping

from lightning_voiceclone.core.schedule import Schedule, Scheduled
from lightning_voiceclone.errors import ConfigurationError, nearest

ADVERSARIAL = ("adversarial", "feature_matching")  # losses that need a discriminator


def checked_weights(
    weights: Mapping[str, Scheduled], own: Collection[str], absent: Mapping[str, str], *, adversarial: bool, warmup: int
) -> dict[str, Schedule]:
    """The schedules of the weights, those left out that are always 0.

    Args:
        weights: by the loss's name.
        own: names of the losses that this combination of parts computes without a discriminator.
        absent: names of losses that it does not compute, each with the reason.
        adversarial: whether there is a discriminator, which adds two losses.
        warmup: steps without the discriminator.

    Raises:
        ConfigurationError: for an unknown name (with the nearest match), for a loss that is not computed (with the
            reason), for a weight below zero, and where generator or discriminator has no loss to train by.
    """
    schedules = {}
    available = {*own, *(ADVERSARIAL if adversarial else ())}
    absent = dict(absent) if adversarial else {**absent, **dict.fromkeys(ADVERSARIAL, "there is no discriminator")}
    for name, weight in weights.items():
        if name not in available and name not in absent:
            raise ConfigurationError(
                f"no loss is called {name!r}{nearest(name, [*available, *absent])};"
                f" this model's are {', '.join(sorted(available))}"
            )
        schedule = Schedule.of(f"the weight of {name}", weight, 0, 1e9)
        if schedule.greatest > 0 and name in absent:
            raise ConfigurationError(f"the weight of {name} is {weight} but would have no effect: {absent[name]}")
        if schedule.greatest > 0:
            schedules[name] = schedule
    _check_losses(schedules, own, available, adversarial=adversarial, warmup=warmup)
    return schedules


def _check_losses(
    schedules: Mapping[str, Schedule],
    own: Collection[str],
    available: Collection[str],
    *,
    adversarial: bool,
    warmup: int,
) -> None:
    """Refuse weights by which generator or discriminator has no loss, at all or in some step."""

    def weighed(names: Collection[str]) -> bool:
        return any(name in schedules for name in names)

    if not weighed(available):
        raise ConfigurationError(f"no loss has a weight above 0; this model's are {', '.join(sorted(available))}")
    if adversarial and not weighed(ADVERSARIAL):
        raise ConfigurationError(
            "there is a discriminator, but the weights of adversarial and feature_matching are 0;"
            " give one a weight, or set discriminator to null"
        )
    if warmup and not weighed(own):
        raise ConfigurationError(
            f"steps.warmup is {warmup}, but without the discriminator the generator has no loss to train by;"
            " set it to 0, or give one of its own losses a weight"
        )
    for step in sorted({0, warmup, *(step for schedule in schedules.values() for step in schedule.steps)}):
        names = own if step < warmup else available
        if not any(schedule.at(step) > 0 for name, schedule in schedules.items() if name in names):
            raise ConfigurationError(
                f"in step {step} no loss has a weight above 0; give one of {', '.join(sorted(names))} a weight there"
            )
