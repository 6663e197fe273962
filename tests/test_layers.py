"""Imports go downwards only, and in no circle: what a module knows of can be read from its place."""

import ast
import itertools
from pathlib import Path

import pytest

PACKAGE = "lightning_voiceclone"
ROOT = Path(__file__).resolve().parents[1] / PACKAGE
# From the highest to the lowest. A module belongs to the longest name here that it begins with. Modules that keep parts
# lie lower than those that keep voices, since parts take their trained weights by them.
FLOORS = (
    ("cli", "demo", "testing", "__main__"),
    ("training",),
    ("evaluation",),
    ("inference", "data"),
    ("checkpoints.voice_folder", "checkpoints.weight_average", "checkpoints.vocoder_choice"),
    ("voice",),
    ("networks", "vocoders", "losses"),
    ("features", "audio", "text"),
    ("checkpoints",),
    ("core",),
    ("utils", "errors", "__init__"),
)
FLOOR = {name: number for number, names in enumerate(reversed(FLOORS)) for name in names}
MODULES = {
    ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
    for path in ROOT.rglob("*.py")
}  # fmt: skip


def floor(module):
    """Number of the floor of a module, named from below the package; None if it has none."""
    words = module.split(".")
    return next((FLOOR[name] for count in range(len(words), 0, -1) if (name := ".".join(words[:count])) in FLOOR), None)


def imported(module, text):
    """Modules of the package that a module imports, inside functions and for types too."""
    found = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            found |= {name.name.partition(".")[2] or "__init__" for name in node.names
                      if name.name.split(".")[0] == PACKAGE}  # fmt: skip
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{module}: import by whole names"
            first, _, base = (node.module or "").partition(".")
            if first == PACKAGE:
                inner = [f"{base}.{name.name}".strip(".") for name in node.names]
                found |= {name if name in MODULES else base or "__init__" for name in inner}
    return found - {module}


GRAPH = {module: imported(module, path.read_text(encoding="utf-8")) for module, path in MODULES.items()}


def circle(graph):
    """A way from a module back to itself; None if there is none."""
    done, way = set(), []

    def visit(module):
        if module in way:
            return [*way[way.index(module) :], module]
        if module in done:
            return None
        way.append(module)
        found = next(filter(None, (visit(other) for other in sorted(graph.get(module, ())))), None)
        way.pop()
        done.add(module)
        return found

    return next(filter(None, map(visit, sorted(graph))), None)


def test_every_module_has_a_floor():
    assert [module for module in MODULES if floor(module) is None] == []


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_go_downwards(module):
    if module == "__init__":
        return  # the public names, loaded when they are asked for
    upwards = [other for other in GRAPH[module] if floor(other) > floor(module)]
    assert upwards == [], f"{module} imports what lies above it"


def test_there_is_no_circle():
    assert circle({module: others for module, others in GRAPH.items() if module != "__init__"}) is None


def test_a_circle_and_an_import_inside_a_function_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
    text = f"def f():\n    from {PACKAGE}.core import registry\n    from {PACKAGE}.errors import LVCError\n"
    assert imported("x", text) == {"core.registry", "errors"}
    assert all(floor(low) < floor(high) for high, low in itertools.pairwise(["cli.main", "training.modules.voice",
               "evaluation.run", "inference.screening", "checkpoints.voice_folder", "voice.model", "vocoders.vocos",
               "features.spectral", "checkpoints.part_folder", "core.part", "errors"]))  # fmt: skip
