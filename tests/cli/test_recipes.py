"""What recipes come to, once defaults are filled in."""

import zipfile
from pathlib import Path

import pytest
import yaml

from lightning_voiceclone.cli.given import with_named_recipes
from lightning_voiceclone.cli.recipes import recipes, run
from lightning_voiceclone.cli.training import build_cli
from lightning_voiceclone.errors import ConfigurationError

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.mark.slow
@pytest.mark.parametrize("recipe", ["textbook_mfcc.yaml", "textbook_waveform.yaml"])
def test_the_textbooks_adam_has_no_weight_decay(recipe, tmp_path):
    cli = build_cli(["fit", "--config", str(RECIPES / recipe), "--trainer.logger=false",
                     f"--trainer.default_root_dir={tmp_path}"], run=False)  # fmt: skip
    for optimizer in cli.model.configure_optimizers()[0]:
        settings = optimizer.param_groups[0]
        assert settings["lr"] == 2e-4
        assert settings["betas"] == (0.5, 0.999)
        assert settings["weight_decay"] == 0


def test_a_recipe_is_found_by_name_where_there_is_no_such_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shipped = str(RECIPES / "librispeech.yaml")
    for name in ("librispeech", "librispeech.yaml", "recipes/librispeech.yaml"):
        assert with_named_recipes(["fit", "--config", name]) == ["fit", "--config", shipped]
        assert with_named_recipes(["fit", f"--config={name}"]) == ["fit", f"--config={shipped}"]
    Path("librispeech.yaml").write_text("model: mine")
    assert with_named_recipes(["fit", "--config", "librispeech.yaml"])[-1] == "librispeech.yaml"
    with pytest.raises(ConfigurationError, match=r"no file librispech.yaml, .* \(did you mean librispeech\?\)"):
        with_named_recipes(["fit", "--config", "librispech.yaml"])


@pytest.mark.slow
def test_recipes_are_listed_and_a_copy_needs_no_other_file(tmp_path, capsys):
    assert run([]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == len(recipes()) == len(list(RECIPES.rglob("*.yaml")))
    assert all(len(line.split(None, 1)[1]) > 20 for line in lines)
    for name, path in recipes().items():
        assert run([name, "--output", str(tmp_path / f"{name}.yaml")]) == 0
        assert yaml.safe_load((tmp_path / f"{name}.yaml").read_text()) == with_fragments(path)
    with pytest.raises(ConfigurationError, match="is there already"):
        run(["librispeech", "--output", str(tmp_path)])


def with_fragments(path):
    def filled(value):
        if isinstance(value, str) and value.startswith("../"):
            return with_fragments(path.parent / value)
        if isinstance(value, dict):
            return {key: filled(inner) for key, inner in value.items()}
        return [filled(inner) for inner in value] if isinstance(value, list) else value

    return filled(yaml.safe_load(path.read_text()))


@pytest.mark.slow
def test_the_wheel_has_recipes_and_configs_side_by_side(tmp_path):
    wheel = pytest.importorskip("hatchling.builders.wheel", reason="needs hatchling, which builds the package")
    (built,) = wheel.WheelBuilder(str(RECIPES.parent)).build(directory=str(tmp_path), versions=["standard"])
    names = set(zipfile.ZipFile(built).namelist())
    for folder in ("recipes", "configs"):
        files = list((RECIPES.parent / folder).rglob("*.yaml"))
        assert {f"lightning_voiceclone/{path.relative_to(RECIPES.parent).as_posix()}" for path in files} <= names
    assert "lightning_voiceclone/cli/recipes.py" in names
