"""The example of each kind passes the checks of its kind, and stays short."""

import importlib

import pytest

from lightning_voiceclone import testing
from lightning_voiceclone.core.kinds import KINDS
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.scaffold.package import METHODS, PARTS, SMALL, NewPart

MOST_LINES = 40  # of code and docstrings, without blank lines


def example(kind):
    module = importlib.import_module(f"lightning_voiceclone.scaffold.parts.{kind.name}")
    return next(value for name, value in vars(module).items() if name.startswith("Example"))


def checks(kind):
    """The test class that the package would have."""
    members = {"part": example(kind), "arguments": eval(SMALL.get(kind.name, "{}"))}
    if kind.name in METHODS:
        scope = {"MelSpectrogram": MelSpectrogram}
        exec("class Methods:\n" + METHODS[kind.name], scope)
        members |= {name: value for name, value in vars(scope["Methods"]).items() if not name.startswith("__")}
    return type(f"Test{example(kind).__name__}", (getattr(testing, kind.conformance),), members)


globals().update({f"Test{example(kind).__name__}": checks(kind) for kind in KINDS.values()})


@pytest.mark.parametrize("kind", KINDS.values(), ids=lambda kind: kind.name)
def test_an_example_is_short_and_says_what_it_is(kind):
    lines = [line for line in (PARTS / f"{kind.name}.py").read_text().splitlines() if line.strip()]
    assert len(lines) <= MOST_LINES
    assert issubclass(example(kind), kind.load_contract())
    assert NewPart(kind, "Mine").source.count("Example") == 0
