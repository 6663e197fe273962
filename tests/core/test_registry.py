import subprocess
import sys

import pytest

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.registry import Plugin
from lightning_voiceclone.errors import PluginError


@pytest.fixture
def supply(tmp_path, monkeypatch):
    """Puts a package on the path, as pip would: its metadata with one entry point, and its module."""

    def clear():
        registry.installed.cache_clear()
        registry.load_all.cache_clear()

    def add(package, name, value=None, source=None, kind="generators"):
        module = package.replace("-", "_")
        folder = tmp_path / package
        info = folder / f"{module}-2.5.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 2.5\n")
        group = f"[lightning_voiceclone.{kind}]"
        (info / "entry_points.txt").write_text(f"{group}\n{name} = {value or f'{module}:{name}'}\n")
        if source is not None:
            (folder / f"{module}.py").write_text(source)
        monkeypatch.syspath_prepend(folder)
        clear()

    yield add
    monkeypatch.undo()
    clear()


def test_lists_kind_name_package_version_and_value(supply):
    supply("lvc-fancy", "FancyGenerator")
    assert registry.find("generators", "FancyGenerator").as_dict() == {
        "kind": "generators",
        "name": "FancyGenerator",
        "package": "lvc-fancy",
        "version": "2.5",
        "value": "lvc_fancy:FancyGenerator",
    }
    assert registry.find("generators", "ConvGenerator").package == "lightning-voiceclone"


def test_two_packages_of_one_name_are_an_error_that_names_both(supply):
    supply("lvc-first", "TwinGenerator")
    supply("lvc-second", "TwinGenerator")
    with pytest.raises(PluginError, match=r"TwinGenerator.*generators.*lvc-first and lvc-second"):
        registry.installed()


def test_one_name_in_two_kinds_is_no_error(supply):
    supply("lvc-first", "Twin")
    supply("lvc-second", "Twin", kind="discriminators")
    assert [plugin.package for plugin in registry.installed() if plugin.name == "Twin"] == ["lvc-first", "lvc-second"]


def test_a_package_that_stands_twice_on_the_path_counts_once(supply, monkeypatch, tmp_path):
    supply("lvc-fancy", "FancyGenerator")
    twice = tmp_path / "again"
    twice.symlink_to(tmp_path / "lvc-fancy")
    monkeypatch.syspath_prepend(twice)
    registry.installed.cache_clear()
    assert sum(plugin.name == "FancyGenerator" for plugin in registry.installed()) == 1


def test_failing_import_is_reported_and_skipped(supply):
    supply("lvc-broken", "BrokenGenerator", source="import no_such_module_anywhere\n")
    supply("lvc-sound", "SoundGenerator", source="class SoundGenerator: pass\n")
    told = [str(error) for error in registry.load_all() if "lvc-" in str(error)]
    assert len(told) == 1
    assert all(word in told[0] for word in ("BrokenGenerator", "lvc-broken", "2.5", "no_such_module_anywhere"))
    assert registry.find("generators", "SoundGenerator").load().__name__ == "SoundGenerator"


def test_missing_class_is_reported(supply):
    supply("lvc-empty", "AbsentGenerator", source="")
    with pytest.raises(PluginError, match="AbsentGenerator of package lvc-empty"):
        registry.find("generators", "AbsentGenerator").load()


def test_entry_under_another_name_than_the_class_is_refused(supply):
    supply("lvc-alias", "Alias", value="lvc_alias:RealName", source="class RealName: pass\n")
    with pytest.raises(PluginError, match=r"Alias.*RealName.*must be the class's name"):
        registry.find("generators", "Alias").load()


def test_unknown_name_gives_the_nearest_and_what_is_installed():
    with pytest.raises(
        PluginError, match=r"'TransfomerGenerator' \(did you mean TransformerGenerator\?\).*MLPGenerator"
    ):
        registry.find("generators", "TransfomerGenerator")


def test_groups_of_no_kind_are_left_out(supply):
    supply("lvc-odd", "Odd", kind="oddities")
    assert not any(plugin.name == "Odd" for plugin in registry.installed())


def test_check_names_takes_plugins_that_differ():
    one = Plugin("generators", "A", "p", "1", "m:A")
    registry.check_names([one, Plugin("generators", "B", "p", "1", "m:B"), Plugin("vocoders", "A", "p", "1", "m:A")])
    with pytest.raises(PluginError, match="p and q"):
        registry.check_names([one, Plugin("generators", "A", "q", "1", "m:A")])


@pytest.mark.slow
def test_listing_imports_no_torch():
    code = (
        "import sys; from lightning_voiceclone.core.registry import installed; installed();"
        " print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "False"
