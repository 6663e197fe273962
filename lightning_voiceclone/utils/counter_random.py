"""Random numbers that follow from a key and a count, so that nothing of their state has to be stored."""

import secrets

import numpy as np

KEY_BITS = 128


def secret_key() -> int:
    """A key that nobody can guess, from the system's own source of randomness."""
    return secrets.randbits(KEY_BITS)


def counted(key: int, step: int, stream: int) -> np.random.Generator:
    """The generator of one step's numbers: Philox (Salmon et al. 2011), whose state is a key and a counter.

    Args:
        key: from 0 to below 2^128; keys that differ give independent numbers.
        step: from 0.
        stream: from 0; sorts of numbers that a step needs apart.
    """
    return np.random.Generator(np.random.Philox(key=key, counter=[0, 0, step, stream]))
