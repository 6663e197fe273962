"""``lvc plugins``: from metadata alone, or with what the classes claim."""

import json

import pytest
import yaml

from lightning_voiceclone.cli.plugins import run
from lightning_voiceclone.core import registry
from lightning_voiceclone.errors import PluginError
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.vocoders.unframe import Unframe


def rows_of(capsys, *arguments):
    assert run(["--json", *arguments]) == 0
    return {row["name"]: row for row in json.loads(capsys.readouterr().out)}


def test_claims_are_those_of_the_classes(capsys):
    rows = rows_of(capsys, "--claims", "--kind", "vocoders")
    assert rows["GriffinLim"]["claims"] == sorted(GriffinLim.capabilities) == ["deterministic"]
    assert rows["Unframe"]["claims"] == sorted(Unframe.capabilities)
    assert {row["kind"] for row in rows.values()} == {"vocoders"}


def test_claims_are_shown_only_when_asked_for(capsys):
    assert set(rows_of(capsys)["GriffinLim"]) == {"kind", "name", "package", "version", "value", "requires"}
    assert run(["--kind", "vocoders"]) == 0
    assert capsys.readouterr().out.splitlines()[0].split() == ["KIND", "NAME", "PACKAGE", "VERSION", "REQUIRES"]


def test_claims_stand_in_the_table(capsys):
    assert run(["--claims", "--kind", "vocoders"]) == 0
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading.split() == ["KIND", "NAME", "PACKAGE", "VERSION", "REQUIRES", "CLAIMS"]
    (line,) = [line for line in lines if " Unframe " in line]
    assert line.endswith("deterministic, differentiable, exportable, streamable")


def test_plugin_that_fails_to_import_is_reported_and_claims_nothing(capsys, monkeypatch):
    broken = registry.Plugin("vocoders", "Broken", "lvc-broken", "1.0", "no_such_module:Broken")
    monkeypatch.setattr("lightning_voiceclone.cli.plugins.installed", lambda: (broken,))
    assert run(["--claims", "--json"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out)[0]["claims"] == []
    assert "Broken of package lvc-broken 1.0 fails to import" in printed.err
    with pytest.raises(PluginError):
        broken.load()
    assert run(["--check"]) == 1
    assert capsys.readouterr().out.splitlines()[-1].endswith("fails")


def test_all_parts_that_ship_can_be_imported(capsys):
    rows = rows_of(capsys, "--check", "--kind", "adversarial_losses")
    assert {row["health"] for row in rows.values()} == {"ok"}


def test_a_part_is_shown_with_its_settings_and_how_a_recipe_names_it(capsys):
    assert run(["show", "WarpFrequency"]) == 0
    printed = capsys.readouterr().out
    assert printed.startswith("WarpFrequency, a feature transform of lightning-voiceclone")
    assert "  low = 0.85\n      least factor" in printed
    named = {"class_path": "WarpFrequency", "init_args": {"low": 0.85, "high": 1.2, "p": 1.0, "groups": None}}
    assert yaml.safe_load(printed.partition("in a recipe:\n")[2]) == {"content_transforms": [named]}


def test_a_part_that_is_not_there_is_refused():
    with pytest.raises(PluginError, match="did you mean WarpFrequency"):
        run(["show", "WarpFreqency"])
