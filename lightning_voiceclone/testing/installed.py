"""The conformance tests of every part that other packages supply, from their entry points.

    pytest --pyargs lightning_voiceclone.testing.installed -k lvc_mine

Parts are built with their defaults, as by ``lvc plugins check PACKAGE``. A class of tests has the names of package,
kind and part, so that ``-k`` chooses.
"""

from collections.abc import Callable

import pytest

from lightning_voiceclone.core import registry
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.testing import checking


def _made(plugin: registry.Plugin) -> type:
    """Its class of tests; where there can be none, one test that fails, or is skipped, with the reason."""
    try:
        return checking.conformance_of(plugin.load())
    except checking.NeedsOwnTestError as error:
        return type("Left", (), {"test_all_rules": _ending(pytest.skip, str(error))})
    except LVCError as error:
        return type("Broken", (), {"test_the_part_can_be_checked": _ending(pytest.fail, str(error))})


def _ending(how: Callable[[str], None], reason: str) -> Callable[[object], None]:
    return lambda self: how(reason)


for _plugin in registry.installed():
    if _plugin.package != registry.OWN:
        _name = f"Test_{_plugin.package.replace('-', '_')}_{_plugin.kind}_{_plugin.name}"
        globals()[_name] = type(_name, (_made(_plugin),), {})
