"""The table of kinds, and everything that must agree with it."""

import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lightning_voiceclone import testing
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.kinds import GROUP_PREFIX, KINDS
from lightning_voiceclone.core.part import Part

ROOT = Path(__file__).resolve().parents[2]


def groups(path):
    """Groups of entry points of a pyproject.toml that are the project's own."""
    found = re.findall(r'^\[project\.entry-points\."(.+)"\]$', path.read_text(), re.MULTILINE)
    return {group for group in found if group.startswith(GROUP_PREFIX)}


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_kind_has_a_contract_and_tests_to_inherit(kind):
    contract, conformance = kind.load_contract(), kind.load_conformance()
    assert issubclass(contract, Part)
    assert contract.kind == kind.name
    assert inspect.isabstract(contract)
    assert getattr(testing, kind.conformance) is conformance
    assert issubclass(conformance, testing.conformance.part.PartConformance)


def test_no_contract_is_missing_from_the_table():
    contracts = {kind.load_contract() for kind in KINDS.values()}
    assert {cls for cls in Part.__subclasses__() if "kind" in vars(cls)} == contracts
    named = {name for name in testing.conformance.__all__ if name.endswith("Conformance")}
    assert named == {kind.conformance for kind in KINDS.values()}


def test_entry_points_are_of_the_kinds_in_the_table():
    assert groups(ROOT / "pyproject.toml") == {kind.group for kind in KINDS.values()}
    for path in ROOT.glob("plugins/*/pyproject.toml"):
        assert groups(path) <= {kind.group for kind in KINDS.values()}, path


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_parts_that_ship_are_of_their_kind_and_take_its_first_argument(kind):
    for plugin in registry.installed():
        if plugin.kind == kind.name:
            cls = plugin.load()
            assert issubclass(cls, kind.load_contract()), plugin
            parameters = registry.constructor_parameters(cls).values()
            positional = [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
            first = positional[0] if positional else None
            assert (first if first in ("dims", "spec", "root") else None) == kind.first_argument, plugin


def test_the_template_for_plugins_has_the_table():
    lines = []
    for kind in KINDS.values():
        base = kind.contract.replace(":", ".")
        lines.append(f"| `{kind.name}` | `{base}` | {kind.first_argument or ''} | `{kind.conformance}` |")
    assert "\n".join(lines) in (ROOT / "plugins/lvc-unet/README.md").read_text(), "\n".join(lines)


def test_the_table_imports_nothing_heavy():
    code = (
        "import sys; from lightning_voiceclone import testing; from lightning_voiceclone.core.kinds import KINDS;"
        " print({'torch', 'numpy', 'pytest', 'yaml'} & sys.modules.keys())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.strip() == "set()"
