"""Import of pyworld on first use."""

import warnings
from types import ModuleType

from lightning_voiceclone.errors import ConfigurationError


def pyworld() -> ModuleType:
    """The module pyworld.

    Raises:
        ConfigurationError: if it cannot be imported.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # it imports pkg_resources, which warns that it is deprecated
            import pyworld as library
    except ImportError as error:
        raise ConfigurationError(
            f"WORLD needs pyworld, which cannot be imported ({error}); pip install pyworld 'setuptools<81'"
        ) from error
    return library
