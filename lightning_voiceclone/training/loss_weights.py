"""Checks of loss weights: a misspelt or unused one is an error."""

from collections.abc import Collection, Mapping

from lightning_voiceclone.errors import ConfigurationError, check_range, nearest

ADVERSARIAL = ("adversarial", "feature_matching")  # losses that need a discriminator


def check_weights(
    weights: Mapping[str, float], own: Collection[str], absent: Mapping[str, str], *, adversarial: bool, warmup: int
) -> None:
    """Refuse loss weights that would have no effect, and a generator or discriminator without any loss.

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
    available = {*own, *(ADVERSARIAL if adversarial else ())}
    absent = dict(absent) if adversarial else {**absent, **dict.fromkeys(ADVERSARIAL, "there is no discriminator")}
    for name, weight in weights.items():
        if name not in available and name not in absent:
            raise ConfigurationError(
                f"no loss is called {name!r}{nearest(name, [*available, *absent])};"
                f" this model's are {', '.join(sorted(available))}"
            )
        check_range(f"the weight of {name}", weight, 0, 1e9)
        if weight > 0 and name in absent:
            raise ConfigurationError(f"the weight of {name} is {weight} but would have no effect: {absent[name]}")

    def weighed(names: Collection[str]) -> bool:
        return any(weights.get(name, 0) > 0 for name in names)

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
