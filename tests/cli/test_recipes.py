"""What recipes come to, once defaults are filled in."""

from pathlib import Path

import pytest

from lightning_voiceclone.cli.training import build_cli

RECIPES = Path(__file__).resolve().parents[2] / "recipes"


@pytest.mark.parametrize("recipe", ["textbook_mfcc.yaml", "textbook_waveform.yaml"])
def test_the_textbooks_adam_has_no_weight_decay(recipe, tmp_path):
    cli = build_cli(["fit", "--config", str(RECIPES / recipe), "--trainer.logger=false",
                     f"--trainer.default_root_dir={tmp_path}"], run=False)  # fmt: skip
    for optimizer in cli.model.configure_optimizers()[0]:
        settings = optimizer.param_groups[0]
        assert settings["lr"] == 2e-4
        assert settings["betas"] == (0.5, 0.999)
        assert settings["weight_decay"] == 0
