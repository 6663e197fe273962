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
