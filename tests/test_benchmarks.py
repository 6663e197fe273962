"""What benchmarks that take long do before they begin."""

import platform
import re
import sys
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

from lightning_voiceclone.scaffold.recipes import BASES

FOLDER = Path(__file__).resolve().parents[1] / "benchmarks"


def benchmark(name, monkeypatch):
    spec = spec_from_file_location(f"benchmarks_{name}", FOLDER / f"{name}.py")
    module = module_from_spec(spec)
    monkeypatch.setitem(sys.modules, spec.name, module)
    spec.loader.exec_module(module)
    return module


def test_an_environment_is_used_again_only_where_its_installation_was_complete(tmp_path, monkeypatch):
    wheels = benchmark("wheels", monkeypatch)
    inner = tmp_path / f"python-{platform.python_version()}/bin/python"
    commands, statuses = (
        [],
        [0, 1, 0, 0, 0],
    )  # the second is the first installation, cut short

    def run(command, folder, log):
        if "venv" in command:
            inner.parent.mkdir(parents=True)
            inner.touch()
        commands.append([*map(str, command)])
        return statuses.pop(0)

    monkeypatch.setattr(wheels, "run", run)
    rows = [wheels.environment(sys.executable, [tmp_path / "a.whl"], tmp_path, tmp_path / "log")[0] for _ in range(3)]
    assert [row.failed for row in rows] == [True, False, False]
    assert ["venv" in words for words in commands] == [True, False, True, False, False]
    assert ["--no-deps" in words for words in commands] == [False, False, False, False, True]


def test_the_recordings_that_printed_commands_read_are_written(monkeypatch):
    commands = " ".join(command for base in BASES.values() for command in base.commands)
    read = set(re.findall(r"--(?:source|reference|style) (\w+)\.wav", commands))
    assert {"a", "b", "d"} <= read == set(benchmark("scaffold", monkeypatch).NAMES)


def test_growth_that_never_comes_as_far_has_a_difference_and_no_share(monkeypatch):
    summary = benchmark("progressive", monkeypatch).summary
    assert summary([0.5, 0.7], [-0.02, -0.02]) == (
        "60% (-67% to 187%) of the minutes; asked for: at most 70%."
        " validation/mel_l1 at the end, less that of the recipe: -0.0200 (-0.0200 to -0.0200)"
    )
    assert summary([0.9, float("inf"), float("inf")], [-0.01, 0.01, 0.03]) == (
        "growth never comes as far in 2 of 3 seeds; asked for: at most 70%."
        " validation/mel_l1 at the end, less that of the recipe: +0.0100 (-0.0397 to +0.0597)"
    )
