"""Parts from the command line: what cannot be read is told in one line."""

import pytest

from lightning_voiceclone.core.registry import make_part
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MelSpectrogram


@pytest.mark.parametrize("value", ["[", "{a: b", "'open", "!!python/none", "*alias", "a: b: c", "2024-13-45", "\x01"])
def test_values_that_cannot_be_read(value):
    with pytest.raises(ConfigurationError, match="of iterations cannot be read") as caught:
        make_part("vocoders", f"GriffinLim:iterations={value}", MelSpectrogram().spec)
    assert repr(value) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_settings():
    vocoder = make_part("vocoders", "GriffinLim:iterations=3,momentum=0.5", MelSpectrogram().spec)
    assert (vocoder.iterations, vocoder.momentum) == (3, 0.5)
    with pytest.raises(ConfigurationError, match="no setting 'iteration' \\(did you mean iterations\\?\\)"):
        make_part("vocoders", "GriffinLim:iteration=3", MelSpectrogram().spec)
