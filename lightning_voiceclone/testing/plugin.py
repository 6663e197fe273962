"""The pytest plugin: every pytest run where the package is installed imports it, so it imports nothing heavy."""

from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from lightning_voiceclone.testing.signals import SpeechLike

# An inherited check that fails should show its values, as checks in a test's own module do.
pytest.register_assert_rewrite("lightning_voiceclone.testing.conformance")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the ini option ``lvc_sample_rate``."""
    parser.addini("lvc_sample_rate", "sample rate in Hz of the speech_like fixture", default="16000")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the mark of the conformance tests that take long."""
    config.addinivalue_line("markers", "slow: takes more than some 0.15 seconds of CPU")


@pytest.fixture
def speech_like(pytestconfig: pytest.Config) -> "Callable[..., SpeechLike]":
    """A maker of synthetic speech: ``speech_like(seconds, speaker=0, seed=0).audio`` is (N,) float32."""
    from lightning_voiceclone.testing.signals import speech_like as make

    rate = int(pytestconfig.getini("lvc_sample_rate"))

    def at_rate(seconds: float = 1.0, *, sample_rate: int = rate, speaker: int = 0, seed: int = 0) -> "SpeechLike":
        return make(seconds, sample_rate=sample_rate, speaker=speaker, seed=seed)

    return at_rate
