"""Weights of the losses, checked: a misspelt or an unused one is an error, not silence."""

from collections.abc import Collection, Mapping

from lightning_voiceclone.errors import ConfigurationError, nearest


def check_weights(weights: Mapping[str, float], available: Collection[str], absent: Mapping[str, str]) -> None:
    """Refuse weights that would have no effect.

    Args:
        weights: by the loss's name.
        available: names of the losses that this combination of parts computes.
        absent: names of losses that it does not, each with the reason.

    Raises:
        ConfigurationError: for an unknown name (with the nearest match), for a loss that is not computed (with the
            reason), and for a weight below zero.
    """
    for name, weight in weights.items():
        if name not in available and name not in absent:
            raise ConfigurationError(
                f"no loss is called {name!r}{nearest(name, [*available, *absent])};"
                f" this model's are {', '.join(sorted(available))}"
            )
        if weight < 0:
            raise ConfigurationError(f"the weight of {name} is {weight}; it must not be below 0")
        if weight > 0 and name in absent:
            raise ConfigurationError(f"the weight of {name} is {weight} but would have no effect: {absent[name]}")
    if not any(weights.get(name, 0) > 0 for name in available):
        raise ConfigurationError(f"no loss has a weight above 0; this model's are {', '.join(sorted(available))}")
