import random
import re
import subprocess
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_voiceclone.cli.parser_errors import ParsingError
from lightning_voiceclone.cli.training import build_cli
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.part import Dims, build, describe
from lightning_voiceclone.errors import PluginError
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.utils import global_settings

RECIPE = Path(__file__).resolve().parents[2] / "recipes/librispeech.yaml"


def refused(options):
    """The error of ``lvc fit`` with these options."""
    with pytest.raises(ParsingError) as raised:
        build_cli(["fit", "--config", str(RECIPE), "--trainer.logger=false", *options], run=False)
    return str(raised.value)


def test_lists_kind_name_package_version_and_value(supply):
    supply("lvc-fancy", "FancyGenerator")
    assert registry.find("generators", "FancyGenerator").as_dict() == {
        "kind": "generators",
        "name": "FancyGenerator",
        "package": "lvc-fancy",
        "version": "2.5",
        "value": "lvc_fancy:FancyGenerator",
        "requires": "",
    }
    assert registry.find("generators", "ConvGenerator").package == "lightning-voiceclone"


TRANSFORM = "from lightning_voiceclone.core.interfaces import AudioTransform\nclass {}(AudioTransform):\n    pass\n"
GENERATOR = "from lightning_voiceclone.core.interfaces import Generator\nclass {}(Generator):\n    forward = None\n"


def test_two_packages_of_one_name_are_listed_and_refused_where_the_name_is_used(supply):
    supply("lvc-first", "TwinGenerator", source=GENERATOR.format("TwinGenerator"))
    supply("lvc-second", "TwinGenerator", source=GENERATOR.format("TwinGenerator"))
    packages = [plugin.package for plugin in registry.installed() if plugin.name == "TwinGenerator"]
    assert packages == ["lvc-first", "lvc-second"]
    with pytest.raises(PluginError, match=r"TwinGenerator.*generators.*lvc-first and lvc-second"):
        registry.find("generators", "TwinGenerator")
    assert any("lvc-first and lvc-second" in str(failure) for failure in registry.load_all())
    assert not {"lvc_first", "lvc_second"} & set(sys.modules)
    assert "lvc-first and lvc-second" in refused(["--model.generator", "TwinGenerator"])
    assert registry.find("generators", "TwinGenerator", "lvc-second").package == "lvc-second"


def test_a_part_of_a_name_that_two_packages_have_is_of_the_package_of_its_module(supply):
    for package in ("lvc-third", "lvc-fourth"):
        supply(package, "Twin", kind="audio_transforms", source=TRANSFORM.format("Twin"))
    loaded = registry.find("audio_transforms", "Twin", "lvc-fourth").load()
    assert registry.package_of(loaded).package == "lvc-fourth"


def test_a_package_with_a_name_of_ours_leaves_our_models_as_they_are(supply):
    supply("lvc-twin", "ConvGenerator", source=GENERATOR.format("ConvGenerator"))
    assert build(describe(ConvGenerator(Dims(4, noise=2)))).__class__ is ConvGenerator
    assert "lightning-voiceclone and lvc-twin" in refused(["--model.generator", "ConvGenerator"])
    assert "lvc_twin" not in sys.modules


def test_one_name_in_two_kinds_is_no_error(supply):
    supply("lvc-first", "Twin")
    supply("lvc-second", "Twin", kind="discriminators")
    assert [plugin.package for plugin in registry.installed() if plugin.name == "Twin"] == ["lvc-first", "lvc-second"]


def test_a_package_that_stands_twice_on_the_path_counts_once(supply, monkeypatch, tmp_path):
    supply("lvc-fancy", "FancyGenerator")
    twice = tmp_path / "again"
    twice.symlink_to(tmp_path / "lvc-fancy")
    monkeypatch.syspath_prepend(twice)
    registry._entries.cache_clear()
    assert sum(plugin.name == "FancyGenerator" for plugin in registry.installed()) == 1


def test_failing_import_is_reported_and_skipped(supply):
    supply("lvc-broken", "BrokenGenerator", source="import no_such_module_anywhere\n")
    supply("lvc-sound", "SoundGenerator", source=GENERATOR.format("SoundGenerator"))
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


def test_a_group_of_no_kind_is_reported(supply):
    supply("lvc-odd", "Odd", kind="generator")
    assert not any(plugin.name == "Odd" for plugin in registry.installed())
    (failure,) = [str(error) for error in registry.load_all() if "lvc-odd" in str(error)]
    assert "lightning_voiceclone.generator, which is no group of a kind (did you mean generators?)" in failure


def test_a_class_of_another_kind_is_refused_with_its_group(supply):
    supply("lvc-mixed", "Mixed", kind="vocoders", source=GENERATOR.format("Mixed"))
    with pytest.raises(PluginError, match=r"but is no Vocoder; it belongs to lightning_voiceclone\.generators"):
        registry.find("vocoders", "Mixed").load()


def test_what_is_no_class_is_refused(supply):
    supply("lvc-plain", "Plain", source="def Plain():\n    pass\n")
    with pytest.raises(PluginError, match=r"Plain of package lvc-plain 2.5 is no class, but a function"):
        registry.find("generators", "Plain").load()


def test_an_import_that_ends_the_process_is_a_failure(supply):
    supply("lvc-exit", "Exit", source="import sys\nsys.exit(3)\n")
    with pytest.raises(PluginError, match=r"Exit of package lvc-exit 2.5 fails to import: SystemExit: 3"):
        registry.find("generators", "Exit").load()


BESIDE = {
    "print('hello\\nthere')": r"prints 'hello\\\\nthere'",
    "torch.set_default_dtype(torch.float64)": r"the setting default dtype torch.float64 \(before: torch.float32\)",
    "torch.set_num_threads(torch.get_num_threads() + 1)": "the setting threads",
    "torch.use_deterministic_algorithms(True)": "the setting deterministic algorithms {'mode': True, ",
    "torch.manual_seed(4)": "the setting torch's random state",
    "numpy.random.seed(3)": "the setting NumPy's random state",
    "random.seed(3)": "the setting Python's random state",
    "numpy.seterr(all='raise')": "the setting NumPy's errors",
    "warnings.simplefilter('ignore')": "the filters of warnings",
    "Thread(target=time.sleep, args=(0.1,), name='busy').start()": "starts the thread 'busy'",
    "time.sleep(0.02)": r"takes 0\.\d s",
}


def random_states():
    return torch.get_rng_state().tolist(), np.random.get_state()[1].tolist(), random.getstate()


@pytest.mark.parametrize("line", BESIDE)
def test_what_an_import_does_besides_is_logged_and_undone(supply, monkeypatch, caplog, capsys, line):
    number = list(BESIDE).index(line)
    monkeypatch.setattr("lightning_voiceclone.core.importing.SLOW", 0.02 if "sleep(" in line[:11] else 5.0)
    imports = "import random, time, warnings, numpy, torch\nfrom threading import Thread\n"
    name = f"Beside{number}"
    supply(f"lvc-beside-{number}", name, source=f"{imports}{line}\n{GENERATOR.format(name)}")
    before, states, filters = global_settings.current(), random_states(), list(warnings.filters)
    assert registry.find("generators", name).load().__name__ == name
    (record,) = caplog.records
    assert re.search(
        f"plugin {name} of package lvc-beside-{number} 2.5, when it is imported, .*{BESIDE[line]}", record.message
    )
    assert not global_settings.changes(before)
    assert random_states() == states
    assert list(warnings.filters) == filters
    assert not capsys.readouterr().out
    registry.find("generators", name).load()
    assert len(caplog.records) == 1


def test_an_import_that_does_nothing_besides_is_not_logged(supply, caplog, capsys):
    source = (
        "import sys, warnings\nOUT = sys.stdout\nwarnings.filterwarnings('ignore', module='lvc_quiet')\n"
        "warnings.filterwarnings('error', 'slow path', UserWarning)\n" + GENERATOR.format("Quiet")
    )
    supply("lvc-quiet", "Quiet", source=source)
    filters = list(warnings.filters)
    loaded = registry.find("generators", "Quiet").load()
    assert not caplog.records
    assert warnings.filters[2:] == filters
    (_, message, *_), (_, _, _, module, _) = warnings.filters[:2]
    assert (message.pattern, module.pattern) == ("slow path", "lvc_quiet")
    print("kept", file=sys.modules[loaded.__module__].OUT)  # the standard output of the import
    assert capsys.readouterr().out == "kept\n"


def test_an_import_that_ends_the_process_at_once_is_a_failure(supply):
    supply("lvc-gone", "Gone", source="import os\nos._exit(3)\n")
    with pytest.raises(PluginError, match=r"Gone of package lvc-gone 2.5 fails to import: SystemExit: 3"):
        registry.find("generators", "Gone").load()


@pytest.mark.parametrize("metadata", [None, "Metadata-Version: 2.1\nName: lvc-bare\n"], ids=["none", "no version"])
def test_a_package_without_metadata_is_left_out(supply, tmp_path, metadata):
    supply("lvc-bare", "Bare")
    described = tmp_path / "lvc-bare/lvc_bare-2.5.dist-info/METADATA"
    described.unlink() if metadata is None else described.write_text(metadata)
    assert not any(plugin.name == "Bare" for plugin in registry.installed())
    (failure,) = [str(error) for error in registry.strays() if "Bare" in str(error)]
    assert "plugin Bare (lvc_bare:Bare) in" in failure
    assert "without name or version in its metadata, and is left out" in failure


@pytest.mark.parametrize(("requires", "works"), [
    ("lightning-voiceclone>=0.1,<0.2", True), ("lightning_voiceclone >= 0.1", True),
    ("Lightning-VoiceClone<0.1", False),
    ("lightning-voiceclone[judges]>=9", False), ("lightning>=99", True),
])  # fmt: skip
def test_a_package_for_other_versions_is_refused_with_the_range(supply, requires, works):
    supply("lvc-timely", "Timely", source=GENERATOR.format("Timely"), requires=requires)
    plugin = registry.find("generators", "Timely")
    if works:
        assert plugin.load().__name__ == "Timely"
    else:
        with pytest.raises(PluginError, match=f"works with lightning-voiceclone {plugin.requires}, and this is"):
            plugin.load()


def test_a_plugin_that_is_there_and_fails_is_reported_first(supply):
    supply("lvc-broken", "BrokenGenerator", source="import no_such_module_anywhere\n")
    text = refused(["--model.generator", "BrokenGenerator"])
    assert "plugin BrokenGenerator of package lvc-broken 2.5 fails to import: ModuleNotFoundError" in text
    assert "did you mean" not in text


@pytest.mark.slow
def test_listing_imports_no_torch():
    code = (
        "import sys; from lightning_voiceclone.core.registry import installed; installed();"
        " print('torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert told.stdout.strip() == "False"


def test_the_first_of_two_copies_on_the_path_counts_and_an_extra_is_no_range(supply):
    supply("lvc-copied", "Copied", requires="lightning-voiceclone>=99")
    later = sys.path.pop(0)
    supply("lvc-copied-new", "Copied", source=GENERATOR.format("Copied"))
    sys.path.append(later)
    assert registry.find("generators", "Copied", "lvc-copied-new").requires == ""
    supply("lvc-optional", "Optional", requires='lightning-voiceclone>=99; extra == "more"')
    assert registry.find("generators", "Optional").requires == ""
