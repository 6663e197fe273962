"""For the tests of parts, built-in and third-party: conformance to inherit, synthetic speech, conditions, voices.

``from lightning_voiceclone.testing import GeneratorConformance``; names are loaded on first use, so that the pytest
plugin, which every pytest run on the machine imports, stays light.
"""

import importlib
from typing import Any

from lightning_voiceclone.core.kinds import KINDS

_HOMES = {kind.conformance: "conformance" for kind in KINDS.values()} | {
    "band_features": "signals",
    "check_part": "checking",
    "overfit": "overfitting",
    "random_condition": "conditions",
    "small_recipe": "recipes",
    "small_voice": "voices",
    "speech_batch": "overfitting",
    "speech_like": "signals",
}

__all__ = list(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
