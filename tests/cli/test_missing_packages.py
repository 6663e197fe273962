"""A training whose parts are of a package that is not installed: one line with the package and how to install it."""

from pathlib import Path

import pytest
import torch

from lightning_voiceclone.cli.main import main
from lightning_voiceclone.cli.missing_packages import missing_package
from lightning_voiceclone.core.part import Dims, describe
from lightning_voiceclone.networks.discriminators.mlp import MLPDiscriminator

RECIPE = str(Path(__file__).resolve().parents[2] / "recipes/librispeech.yaml")
GONE = {"package": "lvc-gone", "version": "1.4", "name": "GoneDiscriminator"}


@pytest.fixture
def run(tmp_path):
    """The folder of a run whose discriminator is of a package that is not installed."""
    (tmp_path / "checkpoints").mkdir()
    described = describe(MLPDiscriminator(Dims(4), hidden=8)) | GONE
    torch.save({"state_dict": {}, "discriminator": described}, tmp_path / "checkpoints/last.ckpt")
    (tmp_path / "config.yaml").write_text(
        Path(RECIPE).read_text().replace("../configs", str(Path(RECIPE).parents[1] / "configs"))
    )
    return tmp_path


def test_the_package_is_named_from_the_checkpoint_and_beside_its_configuration(run):
    checkpoint, config = str(run / "checkpoints/last.ckpt"), str(run / "config.yaml")
    for words in (["fit", f"--ckpt_path={checkpoint}"], ["fit", "--ckpt_path", checkpoint], ["fit", "--config", config],
                  ["validate", f"--config={config}"]):  # fmt: skip
        assert str(missing_package(words)) == (
            f"{checkpoint} needs GoneDiscriminator of the package lvc-gone 1.4, which is not installed:"
            " pip install lvc-gone==1.4, if you trust it"
        )
    assert missing_package(["fit", "--config", RECIPE, "--ckpt_path", str(run / "none.ckpt")]) is None
    (run / "checkpoints/last.ckpt").write_bytes(b"cut")
    assert missing_package(["fit", "--ckpt_path", checkpoint]) is None


@pytest.mark.slow
@pytest.mark.parametrize("words", [["fit", "--ckpt_path", "{}"], ["validate", "--ckpt_path", "{}"], ["fit"]],
                         ids=" ".join)  # fmt: skip
def test_the_command_ends_in_that_line(run, capsys, words):
    words = [word.format(run / "checkpoints/last.ckpt") for word in words]
    options = ["--config", str(run / "config.yaml"), "--model.discriminator", "GoneDiscriminator"]
    assert main([*words, *options]) == 2
    (line,) = (line for line in capsys.readouterr().err.splitlines() if "error" in line)
    assert line.endswith("which is not installed: pip install lvc-gone==1.4, if you trust it")


@pytest.mark.slow
def test_without_a_checkpoint_the_module_is_named(capsys):
    assert main(["fit", "--config", RECIPE, "--model.discriminator", "lvc_gone.parts.GoneDiscriminator"]) == 2
    assert "--model.discriminator: no module lvc_gone is installed, in which" in capsys.readouterr().err
