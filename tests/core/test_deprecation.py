"""A class or an argument that goes works for one version with a line, and is then refused with the remedy."""

import json
import logging
import re
from pathlib import Path

import pytest
import yaml

from lightning_voiceclone.checkpoints.description import same_making
from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.cli.training import build_cli
from lightning_voiceclone.core import deprecation, registry
from lightning_voiceclone.core.deprecation import Deprecation, deprecated, deprecated_argument, noted
from lightning_voiceclone.core.part import Dims, build, describe
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.networks.generators.mlp import MLPGenerator
from lightning_voiceclone.testing import check_part, small_voice
from lightning_voiceclone.testing.voices import CLONER

ROOT = Path(__file__).resolve().parents[2]
LATER = {"since": "0.2", "removed_in": "0.3", "package": "lvc-turned"}


@deprecated_argument("size", renamed="hidden", **LATER)
@deprecated_argument("slope", default=0.2, instead="leave it out: the slope is learned", **LATER)
class Turned(MLPGenerator):
    """Had size, and has slope for one version."""

    def __init__(self, dims: Dims, *, hidden: int = 8, slope: float = 0.2):
        super().__init__(dims, hidden=hidden)
        self.slope = slope


@deprecated(renamed="Turned", **LATER)
class Twisted(Turned):
    """The old name of Turned."""


@deprecated(instead="use MLPGenerator:layers=3", **LATER)
class Bent(MLPGenerator):
    """Goes."""


class OnBent(Bent):
    """Of another package, and builds on what goes."""


@pytest.fixture(autouse=True)
def version(monkeypatch):
    """Sets the version of the package that the classes here belong to."""
    now = {"version": "0.2.1"}
    monkeypatch.setattr(deprecation, "installed_version", lambda package: now["version"])
    deprecation._log_once.cache_clear()
    return lambda text: now.update(version=text)


@pytest.fixture
def lines(caplog):
    """The lines that were logged."""
    caplog.set_level(logging.WARNING, "lightning_voiceclone")
    return lambda: [record.getMessage() for record in caplog.records]


SIZE = "Turned: the argument size is deprecated since lvc-turned 0.2 and works until 0.3; use hidden"
NAME = "Twisted is deprecated since lvc-turned 0.2 and works until 0.3; use Turned"


def test_an_old_argument_works_with_one_line(lines):
    assert Turned(CLONER, size=12).leave.in_channels == 12
    assert Turned(CLONER, size=4).leave.in_channels == 4
    assert lines() == [SIZE]


def test_what_is_not_used_says_nothing(lines):
    assert Turned(CLONER, hidden=12).slope == 0.2
    assert Turned(CLONER, slope=0.2).leave.in_channels == 8
    assert build(json.loads(json.dumps(describe(Turned(CLONER))))).slope == 0.2
    assert lines() == []


def test_an_argument_without_a_new_name_works_with_one_line(lines):
    assert Turned(CLONER, slope=0.5).slope == 0.5
    assert lines() == [
        "Turned: the argument slope is deprecated since lvc-turned 0.2 and works until 0.3; leave it out: the slope is"
        " learned"
    ]


def test_an_old_class_works_with_one_line_and_is_stored_under_its_new_name(lines):
    part = Twisted(CLONER, hidden=6)
    assert Twisted.__deprecated__ == NAME  # PEP 702
    assert lines() == [NAME]
    assert describe(part) == describe(Turned(CLONER, hidden=6))
    assert type(build(describe(part))) is Turned


@deprecated(renamed="Twisted", **LATER)
class Twirled(Twisted):
    """A name that was changed twice."""


def test_a_class_renamed_twice_is_stored_under_its_last_name():
    assert type(build(describe(Twirled(CLONER, hidden=6)))) is Turned


class Resized(Turned):
    """Has a size of its own, and passes it on by the old name."""

    def __init__(self, dims: Dims, *, size: int = 8):
        super().__init__(dims, size=size)


def test_the_class_whose_argument_is_deprecated_is_named(lines):
    Resized(CLONER, size=6)
    assert lines() == [SIZE]


@pytest.mark.parametrize("package_version", ["0.3", "0.3.0.dev1", "0.3rc1", "1.0"])
def test_what_is_gone_is_refused_with_the_remedy(version, package_version):
    version(package_version)
    with pytest.raises(ConfigurationError) as refused:
        Turned(CLONER, size=12)
    assert str(refused.value) == (
        "Turned: the argument size is gone since lvc-turned 0.3; use hidden, or pip install 'lvc-turned<0.3'"
    )
    with pytest.raises(ConfigurationError, match=r"Twisted is gone since lvc-turned 0\.3; use Turned, or pip install"):
        Twisted(CLONER)
    with pytest.raises(ConfigurationError, match="slope is gone since"):
        Turned(CLONER, slope=0.5)
    assert Turned(CLONER, slope=0.2, hidden=3).leave.in_channels == 3


def test_both_names_at_once_are_refused():
    with pytest.raises(ConfigurationError, match="is given size and hidden, its new name; leave size out"):
        Turned(CLONER, size=12, hidden=4)


class Straight(MLPGenerator):
    """Had slope until 0.2."""

    def __init__(self, dims: Dims, *, hidden: int = 8):
        super().__init__(dims, hidden=hidden)


def test_a_stored_argument_that_had_no_effect_is_left_out(lines):
    going = {"since": "0.1", "removed_in": "0.2", "package": "lvc-turned"}
    deprecated_argument("slope", default=(0.1, 0.2), instead="leave it out", **going)(Straight)
    stored = json.loads(json.dumps(describe(Straight(CLONER))))
    stored["arguments"]["slope"] = [0.1, 0.2]
    assert type(build(stored)) is Straight
    assert same_making(stored, describe(Straight(CLONER)))
    stored["arguments"]["slope"] = [0.3, 0.2]
    assert not same_making(stored, describe(Straight(CLONER)))
    with pytest.raises(ConfigurationError, match=r"slope is gone since lvc-turned 0\.2; leave it out"):
        build(stored)
    assert lines() == []


@pytest.fixture
def older_voice(tmp_path):
    """A voice folder as the version before stored it: by the old names of the generator and of its argument."""
    save_voice(small_voice(generator=lambda dims: Turned(dims, hidden=6)), tmp_path / "voice")
    path = tmp_path / "voice" / "voice.yaml"
    stored = yaml.safe_load(path.read_text())
    generator = stored["parts"]["generator"]
    assert generator["name"] == "Turned"
    generator |= {"name": "Twisted", "version": None}
    generator["arguments"]["size"] = generator["arguments"].pop("hidden")
    path.write_text(yaml.safe_dump(stored, sort_keys=False))
    return tmp_path / "voice"


def test_a_stored_voice_with_old_names_loads_with_a_line_each(older_voice, lines):
    voice = load_voice(older_voice)
    assert type(voice.generator) is Turned
    assert voice.generator.leave.in_channels == 6
    assert lines() == [NAME, SIZE]
    stored = yaml.safe_load((older_voice / "voice.yaml").read_text())["parts"]["generator"]
    assert same_making(stored, describe(Turned(CLONER, hidden=6)))  # so that a training resumes
    assert not same_making(stored, describe(Turned(CLONER, hidden=7)))


def test_a_stored_voice_with_names_that_are_gone_is_refused_in_one_line(older_voice, version):
    version("0.3")
    with pytest.raises(LVCError, match=r"Twisted is gone since lvc-turned 0\.3; use Turned"):
        load_voice(older_voice)


PACKAGE = '''
from lightning_voiceclone.core.deprecation import deprecated, deprecated_argument
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.networks.generators.mlp import MLPGenerator

LATER = {"since": "2.4", "removed_in": "2.6", "package": "lvc-turning"}

@deprecated_argument("size", renamed="hidden", **LATER)
@deprecated_argument("slope", default=0.2, instead="leave it out", **LATER)
class Turning(MLPGenerator):
    """Turns.

    Args:
        hidden: width.
        slope: nothing.
    """

    def __init__(self, dims: Dims, /, *, hidden: int = 16, slope: float = 0.2):
        super().__init__(dims, hidden=hidden)

@deprecated(renamed="Turning", **LATER)
class OldTurning(Turning):
    """The old name."""
'''
OWN_SIZE = "Turning: the argument size is deprecated since lvc-turning 2.4 and works until 2.6; use hidden"


@pytest.fixture
def package(supply, version):
    """Installs a package that has both; sets its version."""
    version("2.5")
    entries = supply("lvc-turning", "Turning", source=PACKAGE) / "entry_points.txt"
    entries.write_text(f"{entries.read_text()}OldTurning = lvc_turning:OldTurning\n")
    registry._entries.cache_clear()
    return version


@pytest.fixture
def overlay(tmp_path):
    """A recipe by the old names."""
    path = tmp_path / "overlay.yaml"
    path.write_text("model:\n  generator:\n    class_path: OldTurning\n    init_args: {size: 24}\n")
    return ["--config", str(path)]


def generator_of(*options):
    """What a recipe with these options has for the generator, as it is printed."""
    cli = build_cli(["fit", "--config", str(ROOT / "recipes/librispeech.yaml"), "--trainer.logger=false", *options],
                    run=False)  # fmt: skip
    printed = yaml.safe_load(cli.parser.dump(cli.config))["model"]["init_args"]["generator"]["init_args"]
    return printed, cli.model.voice.generator


@pytest.mark.slow
def test_a_recipe_and_an_option_by_old_names_of_another_package(package, overlay, lines):
    printed, generator = generator_of(*overlay)
    assert printed == {"hidden": 24, "slope": 0.2}  # a run's configuration has the new name
    assert generator.leave.in_channels == 24
    found = [line for line in lines() if "deprecated" in line]
    assert found == [
        OWN_SIZE.replace("Turning", "OldTurning", 1),
        "OldTurning is deprecated since lvc-turning 2.4 and works until 2.6; use Turning",
    ]
    assert generator_of(*overlay, "--model.generator.size=12")[0]["hidden"] == 12
    assert [line for line in lines() if "deprecated" in line] == found
    assert generator_of("--model.generator", "Turning", "--model.generator.size", "14")[0]["hidden"] == 14
    assert [line for line in lines() if "deprecated" in line] == [*found, OWN_SIZE]


@pytest.mark.slow
def test_a_recipe_and_an_option_by_names_that_are_gone(package, overlay, capsys, monkeypatch, tmp_path):
    package("2.6")
    monkeypatch.chdir(tmp_path)
    words = ["fit", "--config", str(ROOT / "recipes/librispeech.yaml")]
    gone = "the argument size is gone since lvc-turning 2.6; use hidden, or pip install 'lvc-turning<2.6'"
    assert main([*words, *overlay]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"lvc: error: --model.generator: OldTurning: {gone}"
    assert main([*words, "--model.generator", "Turning", "--model.generator.size", "14"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == f"lvc: error: --model.generator.size: Turning: {gone}"
    assert main([*words, "--model.generator", "OldTurning"]) == 2
    assert "lvc: error: OldTurning is gone since lvc-turning 2.6; use Turning, or" in capsys.readouterr().err


def test_parts_of_the_command_line_by_old_names(package, lines):
    assert registry.make_part("generators", "OldTurning:size=5", Dims(4, noise=2)).leave.in_channels == 5
    package("2.6")
    with pytest.raises(ConfigurationError, match=r"size is gone since lvc-turning 2\.6; use hidden"):
        registry.make_part("generators", "Turning:size=5", Dims(4, noise=2))


def test_the_list_of_plugins_names_what_goes_and_what_builds_on_it(package, supply, capsys):
    supply("lvc-upon", "Upon", source="from lvc_turning import OldTurning\nclass Upon(OldTurning):\n    pass\n")
    line = "OldTurning is deprecated since lvc-turning 2.4 and works until 2.6; use Turning"
    assert main(["plugins", "--check", "--json", "--kind", "generators"]) == 0
    printed = capsys.readouterr()
    health = {row["name"]: row["health"] for row in json.loads(printed.out)}
    assert [health[name] for name in ("Turning", "OldTurning", "Upon", "ConvGenerator")] == [
        "ok", "deprecated", "deprecated", "ok"]  # fmt: skip
    assert f"lvc: warning: plugin OldTurning of package lvc-turning 2.5: {line}\n" in printed.err
    assert f"lvc: warning: plugin Upon of package lvc-upon 2.5: {line}\n" in printed.err
    assert main(["plugins", "show", "OldTurning"]) == 0
    assert line in capsys.readouterr().out
    package("2.6")
    assert main(["plugins", "--check", "--json", "--kind", "generators"]) == 1
    printed = capsys.readouterr()
    health = {row["name"]: row["health"] for row in json.loads(printed.out)}
    assert (health["OldTurning"], health["Upon"]) == ("deprecated", "fails")
    assert "plugin Upon of package lvc-upon 2.5 is derived from a class that is gone: OldTurning is gone" in printed.err
    gone = "OldTurning is gone since lvc-turning 2.6; use Turning, or pip install 'lvc-turning<2.6'"
    assert f"lvc: warning: plugin OldTurning of package lvc-turning 2.5: {gone}\n" in printed.err
    assert main(["plugins", "show", "OldTurning"]) == 0
    assert gone in capsys.readouterr().out


@pytest.mark.slow
def test_a_check_lists_what_a_part_uses_that_goes():
    assert check_part(Turned).deprecated == []
    assert check_part(OnBent).deprecated == [
        "Bent is deprecated since lvc-turned 0.2 and works until 0.3; use MLPGenerator:layers=3"
    ]
    assert check_part(Turned, {"size": 8}).deprecated == [SIZE]


def test_lines_are_noted_though_they_were_logged_before(lines):
    Turned(CLONER, size=12)
    with noted() as used:
        Turned(CLONER, size=12)
    assert list(used) == [SIZE]
    assert lines() == [SIZE]


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"renamed": "A", "instead": "b"}, "needs either renamed"),
        ({}, "needs either renamed"),
        ({"renamed": "A", "removed_in": "0.2"}, r"removed_in is 0\.2, which must be later than since, 0\.2"),
    ],
)
def test_an_incomplete_declaration_is_refused(settings, words):
    with pytest.raises(TypeError, match=words):
        Deprecation(**{"since": "0.2", "removed_in": "0.3"} | settings)


def test_a_declaration_that_the_class_does_not_bear_out_is_refused():
    with pytest.raises(TypeError, match="name the package whose versions these are"):
        deprecated(renamed="Turned", since="0.2", removed_in="0.3")(type("Old", (Turned,), {}))
    with pytest.raises(TypeError, match="make it an empty subclass of that class"):
        deprecated(renamed="Other", **LATER)(type("Old", (Turned,), {}))
    with pytest.raises(TypeError, match="must take width, and hidden no more"):
        deprecated_argument("hidden", renamed="width", **LATER)(type("New", (Turned,), {}))
    with pytest.raises(TypeError, match=r"must take bend until lvc-turned 0\.3"):
        deprecated_argument("bend", instead="leave it out", **LATER)(type("New", (Turned,), {}))


def declared(cls):
    """What a class of the core declares."""
    found = [*deprecation.of_class(cls).items(), *((cls.__name__, one) for one in
             getattr(cls.__init__, "deprecations", ()))]  # fmt: skip
    return [(name, one) for name, one in found if one.package == registry.OWN]


def unannounced(classes, changes):
    """What goes by these classes and has no line in the changes."""
    found = [pair for cls in classes for pair in declared(cls)]
    return [one.line(name) for name, one in found
            if not re.search(rf"Deprecated: .*{one.argument or name}.*{one.removed_in}", changes)]  # fmt: skip


def test_what_goes_from_the_core_is_in_the_changelog():
    parts = [plugin.load() for plugin in registry.installed() if plugin.package == registry.OWN]
    assert unannounced(parts, (ROOT / "CHANGELOG.md").read_text()) == []
    own = type("Own", (MLPGenerator,), {"__module__": "lightning_voiceclone.made"})
    going = deprecated(instead="use another", since="0.2", removed_in="0.3")(own)
    assert unannounced([going], "") == [
        "Own is deprecated since lightning-voiceclone 0.2 and works until 0.3; use another"
    ]
    assert unannounced([going], "- Deprecated: `Own`, which goes with 0.3; use another.") == []
