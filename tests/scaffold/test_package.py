"""``lvc plugins new`` writes packages that can be built, and refuses what cannot be one."""

import ast
import shlex
from pathlib import Path

import pytest
import yaml

from lightning_voiceclone.cli.main import main
from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.core.kinds import KINDS
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.scaffold.package import NewPart, write_package
from lightning_voiceclone.scaffold.recipes import use_commands

ALL = [NewPart(kind, f"My{kind.singular.title().replace(' ', '')}") for kind in KINDS.values()]


def test_every_kind_at_once_is_valid_python_yaml_and_toml(tmp_path):
    written = write_package("lvc-mine", ALL, tmp_path / "mine")
    for path in written:
        text = (tmp_path / "mine" / path).read_text()
        if path.suffix == ".py":
            assert ast.get_docstring(ast.parse(text)), path
            assert all(len(line) <= 120 for line in text.splitlines()), path
    tomllib = pytest.importorskip("tomllib")
    project = tomllib.loads((tmp_path / "mine/pyproject.toml").read_text())["project"]
    groups = project["entry-points"]
    assert set(groups) == {kind.group for kind in KINDS.values()}
    for part in ALL:
        assert groups[part.kind.group] == {part.name: f"lvc_mine.{part.module}:{part.name}"}
        assert f"class {part.name}(" in (tmp_path / f"mine/lvc_mine/{part.module}.py").read_text()
    assert project["dependencies"] == ["lightning-voiceclone>=0.1,<0.2"]


def test_the_recipe_names_the_parts_and_watches_the_right_figure(tmp_path):
    write_package("lvc-mine", ALL, tmp_path / "mine")
    recipe = yaml.safe_load((tmp_path / "mine/recipe.yaml").read_text())
    settings = recipe["model"]["init_args"]
    assert settings["generator"] == "MyGenerator"
    assert settings["content_transforms"] == [{"class_path": "MyFeatureTransform"}]
    assert settings["augmentation"] == [{"class_path": "MyAudioTransform"}]
    assert recipe["data"] == {"corpus": "MyCorpus"}
    assert settings["vocoder"]["class_path"] == "GriffinLim"  # the package's own is to be trained first
    assert recipe["checkpoint"] == {"monitor": "validation/stft_l1", "mode": "min"}
    vocoder = yaml.safe_load((tmp_path / "mine/recipe_vocoder.yaml").read_text())
    assert vocoder == {"model": {"init_args": {"vocoder": "MyVocoder"}}}
    text = yaml.safe_load((tmp_path / "mine/recipe_text.yaml").read_text())
    assert text == {"model": {"init_args": {"text_encoder": "MyTextEncoder", "weights": {"mean": 1}}}}


def test_a_generator_alone_keeps_the_recipes_features(tmp_path):
    write_package("lvc-mine", [NewPart(KINDS["generators"], "MyGenerator")], tmp_path / "mine")
    recipe = yaml.safe_load((tmp_path / "mine/recipe.yaml").read_text())
    assert recipe["model"]["init_args"] == {"generator": "MyGenerator"}
    assert recipe["checkpoint"]["monitor"] == "validation/mel_l1"


def test_a_metric_needs_no_recipe(tmp_path):
    write_package("lvc-mine", [NewPart(KINDS["metrics"], "MyMetric")], tmp_path / "mine")
    assert not (tmp_path / "mine/recipe.yaml").exists()


INTERRUPTED = 130  # exit status
COMMANDS = [command for part in ALL for command in use_commands([part], Path("lvc-mine"))]


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_each_kind_has_a_way_to_use_it(kind):
    (part,) = (part for part in ALL if part.kind is kind)
    commands = use_commands([part], Path("lvc-mine"))
    assert any(command.startswith(("lvc clone ", "lvc say ", "lvc evaluate ")) for command in commands)


@pytest.mark.parametrize("command", dict.fromkeys(COMMANDS))
def test_the_printed_commands_are_commands(command, monkeypatch):
    first, name, *words = shlex.split(command)
    assert first == "lvc"
    if name == "fit":
        assert Path(__file__).parents[2].joinpath("recipes", words[1]).is_file()
        return
    read = []

    def stop(parser, given):
        read.append(parser.parse_known_args(given)[1])
        raise KeyboardInterrupt  # before the work itself

    monkeypatch.setattr(CommandParser, "parse_args", stop)
    assert main([name, *words]) == INTERRUPTED
    assert read == [[]]


@pytest.mark.parametrize(("text", "kind", "module"), [
    ("generator:MyGenerator", "generators", "my_generator"),
    ("feature-extractor:ERBFeatures", "feature_extractors", "erb_features"),
    ("vocoders:WaveRNN2", "vocoders", "wave_rnn2"),
])  # fmt: skip
def test_kinds_are_taken_in_singular_and_plural(text, kind, module):
    part = NewPart.parse(text)
    assert (part.kind.name, part.module) == (kind, module)


@pytest.mark.parametrize(("text", "words"), [
    ("generater:Mine", "no kind of part is called 'generater' (did you mean generator?)"),
    ("generator", "the name of the class is ''"),
    ("generator:my_generator", "the name of the class is 'my_generator'"),
    ("generator:None", "the name of the class is 'None'"),
    ("generator:Class", "its module cannot be called class"),
    ("generator:ConvGenerator", "ConvGenerator is taken by the package lightning-voiceclone"),
])  # fmt: skip
def test_what_is_no_part_is_refused(text, words):
    with pytest.raises(ConfigurationError) as raised:
        NewPart.parse(text)
    assert words in str(raised.value)


@pytest.mark.parametrize(("name", "words"), [
    ("Mine", "small letters"), ("lvc_mine", "small letters"), ("import", "small letters"), ("../lvc", "small letters"),
    ("lvc--mine", "small letters"), ("torch", "is installed already"),
])  # fmt: skip
def test_what_is_no_name_of_a_package_is_refused(tmp_path, name, words):
    with pytest.raises(ConfigurationError, match=words):
        write_package(name, ALL[:1], tmp_path / "mine")
    assert not list(tmp_path.iterdir())


def test_two_parts_of_one_name_are_refused(tmp_path):
    parts = [NewPart(KINDS["generators"], "Mine"), NewPart(KINDS["vocoders"], "Mine")]
    with pytest.raises(ConfigurationError, match="two parts have one name"):
        write_package("lvc-mine", parts, tmp_path / "mine")


@pytest.mark.parametrize("is_file", [True, False])
def test_what_is_there_stays(tmp_path, capsys, is_file):
    there = tmp_path / "mine"
    there.write_text("x") if is_file else there.mkdir()
    assert main(["plugins", "new", "lvc-mine", "--part", "generator:Mine", "--output", str(there)]) == 2
    assert f"{there} is there already" in capsys.readouterr().err
    assert there.read_text() == "x" if is_file else not list(there.iterdir())


def test_the_command_prints_the_files_and_what_comes_next(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(["plugins", "new", "lvc-mine", "--part", "generator:Mine"]) == 0
    printed = capsys.readouterr().out
    assert "lvc-mine/lvc_mine/mine.py" in printed
    for words in ("pip install -e lvc-mine", "lvc plugins check lvc-mine", "--config lvc-mine/recipe.yaml",
                  "lvc clone --checkpoint runs/recipe/version_0/checkpoints/last.ckpt"):  # fmt: skip
        assert words in printed
    assert Path("lvc-mine/lvc_mine/py.typed").exists()
