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
    ("cli", "demo", "testing", "scaffold", "__main__"),
    ("training",),
    ("evaluation",),
    ("inference", "data"),
    (
        "checkpoints.voice_folder",
        "checkpoints.weight_average",
        "checkpoints.vocoder_choice",
        "checkpoints.text_encoder_choice",
        "checkpoints.contents",
    ),
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


def private_uses(nodes, ours, defined):
    """Private names of other packages that a module imports or takes from an object, with their lines."""
    found = []
    for node in nodes:
        if isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] not in ours:
            words = [*(node.module or "").split("."), *(name.name for name in node.names)]
            found += [(node.lineno, word) for word in words if is_private(word)]
        elif isinstance(node, ast.Import):
            found += [(node.lineno, word) for name in node.names for word in name.name.split(".") if is_private(word)]
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and node.attr not in defined:
            found.append((node.lineno, node.attr))
    return found


def parsed(text):
    return list(ast.walk(ast.parse(text)))


def is_private(word):
    return word.startswith("_") and not word.startswith("__")


def own_names(nodes):
    """Names that a module defines: functions, classes, variables, and attributes of ``self`` and ``cls``."""
    return {node.name for node in nodes if isinstance(node, ast.FunctionDef | ast.ClassDef)} | {
        node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    } | {
        node.attr for node in nodes if isinstance(node, ast.Attribute) and isinstance(node.ctx, ast.Store)
        and isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")
    }  # fmt: skip


@pytest.mark.slow
def test_private_api_of_other_packages_is_in_the_internals():
    """Where an attribute is not defined anywhere in the project, it is another package's."""
    folders = [ROOT, ROOT.parent / "benchmarks", *(ROOT.parent / "plugins").glob("*/lvc_*")]
    nodes = {path: parsed(path.read_text(encoding="utf-8")) for folder in folders for path in folder.rglob("*.py")}
    ours = {PACKAGE, *(folder.name for folder in folders)}
    allowed = {
        "_exit",  # of os, and documented
        "_actions",  # of argparse, whose options cannot be listed otherwise
        "_made_with",  # set by ``object.__setattr__``
    }
    defined = set().union(*map(own_names, nodes.values())) | allowed
    found = [(str(path.relative_to(ROOT.parent)), *use) for path, all_ in nodes.items()
             if not path.name.endswith("_internals.py") for use in private_uses(all_, ours, defined)]  # fmt: skip
    assert found == [], "move these to utils/lightning_internals.py or torch_internals.py, with a test"


def test_private_uses_are_found():
    text = "from a._b import c\nfrom d import _e\nimport f._g\nx._h\nx._mine\nx.__dict__\nfrom mine import _i\n"
    assert private_uses(parsed(text), {"mine"}, {"_mine"}) == [(1, "_b"), (2, "_e"), (3, "_g"), (4, "_h")]
    assert own_names(parsed("class A:\n    _b = 1\n    def _c(self):\n        self._d = other._e = 1\n")) == {
        "A", "_b", "_c", "_d"}  # fmt: skip


def test_a_circle_and_an_import_inside_a_function_are_found():
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) is None
    text = f"def f():\n    from {PACKAGE}.core import registry\n    from {PACKAGE}.errors import LVCError\n"
    assert imported("x", text) == {"core.registry", "errors"}
    assert all(floor(low) < floor(high) for high, low in itertools.pairwise(["cli.main", "training.modules.voice",
               "evaluation.run", "inference.screening", "checkpoints.voice_folder", "voice.model", "vocoders.vocos",
               "features.spectral", "checkpoints.part_folder", "core.part", "errors"]))  # fmt: skip
