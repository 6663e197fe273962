"""lvc checkpoint."""

import copy
import json

import pytest
import torch

from lightning_voiceclone.checkpoints.voice_folder import describe_voice
from lightning_voiceclone.cli.checkpoint import run
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.testing.voices import small_voice


@pytest.fixture(scope="module")
def checkpoint():
    """A training of a small model after seven steps, as lvc fit writes it."""
    voice = small_voice()
    state = {f"voice.{name}": value for name, value in voice.state_dict().items()}
    return {
        "epoch": 1, "global_step": 7, "pytorch-lightning_version": "2.6.6", "state_dict": state,
        "loops": {"fit_loop": {"state_dict": {"combined_loader": [{"epoch": 1, "batches": 3}]}}},
        "callbacks": {"ModelCheckpoint": {"monitor": "validation/mel_l1", "best_model_path": "step5.ckpt",
                                          "best_model_score": torch.tensor(0.5), "current_score": torch.tensor(0.7)}},
        "optimizer_states": [{"state": {0: {"exp_avg": torch.tensor([1.0, float("nan"), 3.0])}},
                              "param_groups": [{"lr": 2e-4, "params": [0]}]}],
        "lr_schedulers": [], "voice": describe_voice(voice), "discriminator": None,
    }  # fmt: skip


@pytest.fixture
def written(checkpoint, tmp_path):
    """Writes the checkpoint, changed, as that file."""

    def write(name, change=lambda values: None):
        values = copy.deepcopy(checkpoint)
        change(values)
        torch.save(values, tmp_path / name)
        return str(tmp_path / name)

    return write


def test_it_shows_step_figures_and_each_part_with_its_weights(written, checkpoint, capsys):
    assert run([written("a.ckpt")]) == 0
    out = capsys.readouterr().out
    assert "a training of a model" in out
    assert "step 7, epoch 1; learning rates 0.0002" in out
    assert "validation/mel_l1: 0.7, at best 0.5 (step5.ckpt)" in out
    assert run([written("a.ckpt"), "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert {part["role"] for part in made["parts"]} == set(checkpoint["voice"]["parts"])
    count = sum(value.numel() for name, value in checkpoint["state_dict"].items() if ".generator." in name)
    assert next(part for part in made["parts"] if part["role"] == "generator")["weights"] == count > 0


def test_a_figure_that_was_not_measured_since_a_resume(written, capsys):
    def resumed(values):
        values["callbacks"]["ModelCheckpoint"]["current_score"] = None

    assert run([written("a.ckpt", resumed)]) == 0
    assert "validation/mel_l1: not measured since it was resumed, at best 0.5" in capsys.readouterr().out


def test_it_shows_folders(capsys):
    assert run(["default", "--json"]) == 0
    made = json.loads(capsys.readouterr().out)
    assert made["holds"] == "a model"
    assert made["training"] == {}
    assert 3e6 < next(part["weights"] for part in made["parts"] if part["role"] == "generator") < 5e6
    assert next(part["sha256"] for part in made["parts"] if part["role"] == "content_encoder").startswith("74ee7601")


CHANGES = {
    "data/combined_loader/0/batches: 3 and 4":
        lambda values: values["loops"]["fit_loop"]["state_dict"]["combined_loader"][0].update(batches=4),
    "optimizer_states/0/state/0/exp_avg: 1 of 3 numbers, by 0.5 at most":
        lambda values: values["optimizer_states"][0]["state"][0]["exp_avg"].add_(torch.tensor([0.0, 0.0, 0.5])),
    "optimizer_states/0/param_groups/0/lr: 0.0002 and 0.1":
        lambda values: values["optimizer_states"][0]["param_groups"][0].update(lr=0.1),
    "state_dict/more: only in the second": lambda values: values["state_dict"].update(more=torch.zeros(1)),
    "global_step: 7 and 8": lambda values: values.update(global_step=8),
}  # fmt: skip


@pytest.mark.parametrize(("difference", "change"), CHANGES.items())
def test_the_first_state_that_differs_is_named(difference, change, written, capsys):
    assert run([written("a.ckpt"), written("b.ckpt", change)]) == 1
    assert f"the first: {difference}\n" in capsys.readouterr().out


def test_counters_and_paths_of_runs_are_no_difference(written, capsys):
    def elsewhere(values):
        values["epoch"] = 2
        values["callbacks"]["ModelCheckpoint"]["best_model_path"] = "other/step5.ckpt"

    assert run([written("a.ckpt"), written("b.ckpt", elsewhere)]) == 0
    assert capsys.readouterr().out == "no state differs\n"


@pytest.mark.parametrize(("change", "message"), [
    (lambda values: values.pop("voice"), "holds no model, vocoder, encoder or text encoder"),
    (lambda values: values.update(optimizer_states=3), "does not describe what was trained"),
    (lambda values: values.pop("state_dict"), "it has no weights by name"),
])  # fmt: skip
def test_another_file_is_refused_in_one_line(written, change, message):
    with pytest.raises(ConfigurationError, match=message) as raised:
        run([written("a.ckpt", change)])
    assert "\n" not in str(raised.value)


def test_nothing_there(tmp_path):
    with pytest.raises(ConfigurationError, match="there is nothing at"):
        run([str(tmp_path / "none.ckpt")])
