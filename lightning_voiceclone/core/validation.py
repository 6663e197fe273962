"""Checks of numbers that users set."""

from lightning_voiceclone.errors import ConfigurationError

GREATEST_SEED = 2**32 - 1  # NumPy's


def check_positive(owner: str, **values: float) -> None:
    """Refuse numbers below 1, for widths and counts of layers.

    Raises:
        ConfigurationError: names the first such number.
    """
    for name, value in values.items():
        if value < 1:
            raise ConfigurationError(f"{owner}: {name} is {value}; it must be at least 1")


def check_odd(owner: str, **values: int) -> None:
    """Refuse kernel sizes that are not odd, and so have no centre.

    Raises:
        ConfigurationError: names the first such kernel.
    """
    for name, value in values.items():
        if value < 1 or value % 2 == 0:
            raise ConfigurationError(f"{owner}: {name} is {value}; it must be odd, such as {abs(value) + 1}")


def check_seed(seed: int) -> None:
    """Refuse a number that is not a valid seed for Python's, NumPy's and torch's generators.

    Raises:
        ConfigurationError: names the range.
    """
    if not 0 <= seed <= GREATEST_SEED:
        raise ConfigurationError(f"the seed is {seed}; it must be from 0 to {GREATEST_SEED}")
