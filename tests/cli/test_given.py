"""Which recipe and which checkpoint a command line names, and that a checkpoint changes no configuration."""

import os
import shutil
from pathlib import Path

import pytest
import torch
import yaml
from jsonargparse import Namespace, get_loader

from lightning_voiceclone.cli.given import checkpoint_folders, find_checkpoint, recipes_first, runs_folder
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.cli.recipe_text import MODES, bound_recipes, check_aliases
from lightning_voiceclone.errors import ConfigurationError

RECIPE = str(Path(__file__).resolve().parents[2] / "recipes/librispeech.yaml")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("fit --a 1 --config r", "fit --config r --a 1"),
        ("fit --a=1 --config=r --b 2 -c s --c", "fit --config=r -c s --a=1 --b 2 --c"),
        ("fit --config r --config s", "fit --config r --config s"),
        ("fit --a 1 --config", "fit --config --a 1"),
        ("fit", "fit"),
    ],
)
def test_recipes_come_before_all_other_options(given, wanted):
    assert recipes_first(given.split()) == wanted.split()


@pytest.mark.slow
def test_an_option_before_the_recipe_wins_over_it(folder, capsys):
    with pytest.raises(SystemExit):
        main(["fit", "--data.batch_size", "3", "--config", RECIPE, "--trainer.max_steps", "7", "--print_config"])
    printed = yaml.safe_load(capsys.readouterr().out)
    assert printed["data"]["batch_size"] == 3
    assert printed["trainer"]["max_steps"] == 7


def test_last_is_the_newest_checkpoint_of_the_recipes_runs(folder):
    runs = [folder / f"version_{number}/checkpoints" for number in range(3)]
    for number, run in enumerate(runs):
        run.mkdir(parents=True)
        (run / "last.ckpt").touch()
        os.utime(run / "last.ckpt", (1000 + number % 2, 1000 + number % 2))
    assert find_checkpoint("last", runs) == str(runs[1] / "last.ckpt")
    assert find_checkpoint(str(runs[0] / "last.ckpt"), []) == str(runs[0] / "last.ckpt")


@pytest.mark.parametrize("name", ["best", "hpc", "registry:user/model", "nowhere.ckpt", "https://example.org/x.ckpt"])
def test_other_names_are_files_or_refused(folder, name):
    with pytest.raises(ConfigurationError, match=f"there is no file {name}"):
        find_checkpoint(name, [])


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "test"])  # all evaluations go the same way
def test_last_without_a_run_is_reported_in_one_line(folder, capsys, command):
    assert main([command, "--config", RECIPE, "--ckpt_path", "last"]) == 2
    (line,) = capsys.readouterr().err.splitlines()[-1:]
    assert line == (
        "lvc: error: --ckpt_path is last, but there is no checkpoint in runs of this recipe; name a file, or leave it"
        " out to begin anew"
    )


@pytest.fixture(scope="module")
def run(corpus_folder, tmp_path_factory):
    """Arguments of a small training that took one step, and its folder."""
    folder = tmp_path_factory.mktemp("run")
    arguments = [
        "--config", RECIPE, "--data.corpus", "SpeakerFolders", "--data.root", str(corpus_folder),
        "--data.validation", "2", "--data.segment_seconds", "0.2", "--data.reference_seconds", "0.5",
        "--data.batch_size", "2", "--model.generator.width", "8", "--model.generator.layers", "1",
        "--trainer.max_time", "null", "--trainer.enable_progress_bar", "false", "--model.steps.warmup", "0",
        "--trainer.limit_val_batches", "1", "--trainer.limit_test_batches", "1", "--trainer.limit_predict_batches", "1",
    ]  # fmt: skip
    before = Path.cwd()
    os.chdir(folder)
    try:
        assert main(["fit", *arguments, "--trainer.max_steps", "1"]) == 0
    finally:
        os.chdir(before)
    return arguments, folder / "runs/librispeech/version_0"


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "predict"])  # likewise
def test_a_checkpoint_with_hyper_parameters_is_refused(run, folder, capsys, command):
    arguments, trained = run
    attack = {"generator": {"class_path": "os.system", "init_args": {"command": "touch attacked"}}}
    whole = torch.load(trained / "checkpoints/last.ckpt", weights_only=True) if command == "fit" else {}
    torch.save(whole | {"hyper_parameters": attack}, "bad.ckpt")
    assert main([command, *arguments, "--trainer.max_steps", "2", "--ckpt_path", "bad.ckpt"]) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        "lvc: error: bad.ckpt has hyper_parameters, which no checkpoint of lvc fit has and which could run code: it is"
        " not used"
    )
    assert not Path("attacked").exists()


@pytest.mark.slow
@pytest.mark.parametrize("command", ["fit", "validate"])
def test_a_truncated_checkpoint_is_reported_in_one_line(run, folder, capsys, command):
    arguments, trained = run
    Path("cut.ckpt").write_bytes((trained / "checkpoints/last.ckpt").read_bytes()[:5000])
    assert main([command, *arguments, "--trainer.max_steps", "2", "--ckpt_path", "cut.ckpt"]) == 2
    error = capsys.readouterr().err
    assert error.splitlines()[-1].startswith("lvc: error: cut.ckpt ")
    assert "Traceback" not in error


@pytest.mark.slow
def test_last_goes_on_from_the_run_before(run, folder, capsys):
    arguments, trained = run
    shutil.copytree(trained.parents[1], folder / "runs")
    assert main(["fit", *arguments, "--trainer.max_steps", "3", "--ckpt_path", "last"]) == 0
    assert torch.load("runs/librispeech/version_1/checkpoints/last.ckpt", weights_only=True)["global_step"] == 3


@pytest.mark.slow
def test_aliases_of_a_recipe_are_counted_before_they_are_written_out():
    check_aliases("a: &a [1, 2]\nb: *a\n")
    levels = "\n".join(f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 12))
    for text in (f"l0: &l0 [x, x]\n{levels}\n", "a: &a [*a]\n"):
        with pytest.raises(ConfigurationError, match="stand for more than 100,000 values"):
            check_aliases(text)


def test_the_parser_s_loader_can_be_wrapped():
    bound_recipes()
    for mode in MODES:
        bounded = get_loader(mode)
        bound_recipes()
        assert get_loader(mode) is bounded
        assert bounded("a: 1") == {"a": 1}
        with pytest.raises(ConfigurationError, match="aliases"):
            bounded("a: &a [*a]")


@pytest.mark.slow
def test_a_seed_that_numpy_does_not_take_is_one_line(folder, capsys):
    assert main(["fit", "--config", RECIPE, "--seed_everything", str(10**40)]) == 2
    assert "not in bounds, numpy accepts from 0 to 4294967295" in capsys.readouterr().err


def test_runs_are_kept_below_the_default_root_dir(folder):
    where = "below.it"
    settings = Namespace(config=["librispeech.yaml"], checkpoint=Namespace(dirpath=None),
                         trainer=Namespace(logger=None, default_root_dir=where))  # fmt: skip
    assert runs_folder(settings) == Path(where, "runs")
    (folder / where / "runs/librispeech/version_3/checkpoints").mkdir(parents=True)
    assert checkpoint_folders(settings) == [Path(where, "runs/librispeech/version_3/checkpoints")]
