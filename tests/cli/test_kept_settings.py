"""A class that takes another's place in a recipe keeps settings of that one, and a line names them."""

from pathlib import Path

import pytest
from jsonargparse import Namespace
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from lightning_voiceclone.cli.kept_settings import kept_lines
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.networks.generators.transformer import TransformerGenerator
from lightning_voiceclone.utils.lightning_internals import ClassChange

ROOT = Path(__file__).resolve().parents[2]
RECIPE = str(ROOT / "recipes/librispeech.yaml")
CONV = "lightning_voiceclone.networks.generators.conv.ConvGenerator"
TRANSFORMER = f"{TransformerGenerator.__module__}.TransformerGenerator"
KEPT = "lvc: note: --model.generator TransformerGenerator keeps "


def config_with(**settings):
    """A configuration with a generator of these settings."""
    generator = Namespace(class_path=TRANSFORMER, init_args=Namespace(**settings))
    return Namespace(model=Namespace(class_path="some.Module", init_args=Namespace(generator=generator)))


def lines(settings, words=(), **kept):
    return kept_lines([ClassChange(CONV, TRANSFORMER, kept)], config_with(**settings), words)


def test_kept_settings_are_named_with_the_way_back():
    assert lines({"width": 96, "layers": 6, "heads": 4}, width=96, layers=6) == [
        "--model.generator TransformerGenerator keeps width=96, layers=6 from the recipe's ConvGenerator; for its own:"
        " --model.generator.width=192 --model.generator.layers=4"
    ]


def test_what_has_no_effect_or_was_given_is_not_said_to_be_kept():
    assert lines({"width": 192, "layers": 8}, width=192, layers=6) == []  # its own default; overridden later
    given = ["--model.generator.width", "96", "--model.generator.init_args.layers=6"]
    assert lines({"width": 96, "layers": 6}, given, width=96, layers=6) == []
    assert len(lines({"width": 96}, ["--model.generator.widths=96"], width=96)) == 1


def test_another_option_with_the_same_class_and_value_keeps_nothing():
    made = {name: Namespace(class_path="torch.optim.SGD", init_args=Namespace(lr=0.5)) for name in ("mine", "other")}
    paths = "torch.optim.AdamW", "torch.optim.SGD"
    changes = [ClassChange(*paths, {}), ClassChange(*paths, {}, "other"),  # given by itself
               ClassChange(*paths, {"lr": 0.5}), ClassChange(*paths, {}, "mine")]  # fmt: skip
    (line,) = kept_lines(changes, Namespace(model=Namespace(**made)), [])
    assert line.startswith("--model.mine SGD keeps lr=0.5")


def test_settings_without_a_default_or_a_form_in_yaml_are_named_too():
    loggers = "lightning.pytorch.loggers"
    option = Namespace(class_path=f"{loggers}.TensorBoardLogger", init_args=Namespace(save_dir=Path("runs"), name="a"))
    change = ClassChange(f"{loggers}.CSVLogger", f"{loggers}.TensorBoardLogger", dict(option.init_args.items()))
    assert kept_lines([change], Namespace(logger=option), []) == [
        "--logger TensorBoardLogger keeps save_dir=runs, name=a from the recipe's CSVLogger; for its own:"
        " --logger.name=lightning_logs"
    ]
    gamma = Namespace(class_path="torch.optim.lr_scheduler.ExponentialLR", init_args=Namespace(gamma=0.5))
    change = ClassChange("torch.optim.lr_scheduler.StepLR", gamma.class_path, {"gamma": 0.5})
    assert kept_lines([change], Namespace(scheduler=gamma), []) == [
        "--scheduler ExponentialLR keeps gamma=0.5 from the recipe's StepLR"
    ]


def fit_lines(capsys, *options):
    """The notes that ``lvc fit`` prints; it ends because there are no recordings."""
    assert main(["fit", "--config", RECIPE, "--data.root", "no/such/folder", *options]) == 2
    return [line for line in capsys.readouterr().err.splitlines() if line.startswith("lvc: note:")]


@pytest.mark.slow
def test_a_training_begins_with_a_line_a_class(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    swapped = ("--model.generator", "TransformerGenerator")
    assert fit_lines(capsys, *swapped, "--model.generator_optimizer", "SGD") == [
        f"{KEPT}layers=6, dropout=0.1 from the recipe's ConvGenerator; for its own: --model.generator.layers=4"
        " --model.generator.dropout=0.0",
        "lvc: note: --model.generator_optimizer SGD keeps lr=0.0005, weight_decay=0.01 from the recipe's AdamW; for its"
        " own: --model.generator_optimizer.lr=0.001 --model.generator_optimizer.weight_decay=0",
    ]
    assert fit_lines(capsys, *swapped, "--model.generator.layers=4", "--model.generator.dropout", "0.0") == []
    assert fit_lines(capsys) == []


@pytest.mark.slow
def test_a_class_that_another_option_has_too_is_named_for_its_own_alone(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overlay = tmp_path / "overlay.yaml"
    settings = "init_args: {lr: 5.0e-4, weight_decay: 0}"  # lr is that of the recipe's generator_optimizer
    overlay.write_text(f"model: {{init_args: {{discriminator_optimizer: {{class_path: SGD, {settings}}}}}}}\n")
    (line,) = fit_lines(capsys, "--config", str(overlay), "--model.generator_optimizer", "SGD")
    assert line.startswith("lvc: note: --model.generator_optimizer SGD keeps lr=0.0005, weight_decay=0.01 from")


@pytest.mark.slow
def test_the_first_of_several_processes_names_them(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LOCAL_RANK", "0")  # as torchrun sets it for the first one too
    swapped = ("--model.generator", "TransformerGenerator")
    assert len(fit_lines(capsys, *swapped)) == 1
    monkeypatch.setattr(rank_zero_only, "rank", 1)
    assert fit_lines(capsys, *swapped) == []


@pytest.mark.slow
def test_an_overlay_that_swaps_a_class_is_named_too(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    overlay = tmp_path / "overlay.yaml"
    overlay.write_text(f"model:\n  generator:\n    class_path: {TRANSFORMER}\n    init_args: {{layers: 6}}\n")
    (line,) = fit_lines(capsys, "--config", str(overlay))
    assert line.startswith(f"{KEPT}dropout=0.1 from the recipe's ConvGenerator;")
