"""The small recipe is that of the small voice."""

import pytest
import yaml

from lightning_voiceclone.checkpoints.voice_folder import describe_voice
from lightning_voiceclone.cli.training import build_cli
from lightning_voiceclone.testing import small_recipe, small_voice


@pytest.mark.slow
def test_the_recipe_has_the_parts_of_the_small_voice(tmp_path):
    path = tmp_path / "recipe.yaml"
    path.write_text(yaml.safe_dump(small_recipe(data={"root": str(tmp_path)}, trainer={"logger": False})))
    module = build_cli(["fit", "--config", str(path)], run=False).model
    assert describe_voice(module.voice)["parts"] == describe_voice(small_voice())["parts"]


def test_settings_go_beside_the_recipes_own_or_in_their_place():
    made = small_recipe(model={"weights": {"adversarial": 3}}, data={"batch_size": 1}, trainer={"max_steps": 2},
                        checkpoint={"every_n_train_steps": 1})  # fmt: skip
    assert made["model"]["init_args"]["weights"] == {"adversarial": 3}
    assert made["model"]["init_args"]["vocoder"]["init_args"] == {"iterations": 2}
    assert (made["data"]["batch_size"], made["data"]["segment_seconds"]) == (1, 0.4)
    assert made["trainer"] == {"max_steps": 2, "enable_progress_bar": False, "enable_model_summary": False}
    assert made["checkpoint"] == {"every_n_train_steps": 1}
