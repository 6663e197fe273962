"""A training on two nodes, each with its own torchrun: here both are this machine."""

import os
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import soundfile
import torch
import yaml
from forks import Fork

from lightning_voiceclone.testing.ports import free_port
from lightning_voiceclone.testing.recipes import small_recipe
from lightning_voiceclone.testing.signals import speech_like

RECIPE = small_recipe(
    model={"steps": {"warmup": 1}},
    data={"root": "in", "batch_size": 1},
    trainer={"max_steps": 3, "accelerator": "cpu", "limit_val_batches": 0, "num_nodes": 2, "devices": 1},
)


def train():
    """What each process of torchrun runs: lvc fit."""
    from lightning_voiceclone.cli.training import build_cli

    cli = build_cli(["fit", "--config", "recipe.yaml"], run=True)
    torch.save(cli.model.state_dict(), f"rank{cli.trainer.global_rank}of{cli.trainer.world_size}.pt")


def node(rank, port):
    """Torchrun on one node, which forks its process instead of starting a new one."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    config = LaunchConfig(
        min_nodes=2, max_nodes=2, nproc_per_node=1, run_id="test", max_restarts=0, start_method="fork",
        rdzv_backend="static", rdzv_endpoint=f"127.0.0.1:{port}", rdzv_configs={"rank": rank, "timeout": 200},
    )  # fmt: skip
    elastic_launch(config, train)()


@pytest.mark.slow
def test_two_nodes_of_torchrun_train_one_model(tmp_path):
    import lightning_voiceclone.cli.training  # noqa: F401 - once, for both forks

    for speaker in range(3):
        path = tmp_path / "in" / f"s{speaker}" / "0.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, speech_like(1.5, speaker=speaker).audio, 16000)
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(RECIPE))
    port = free_port()
    with Fork(partial(node, 0, port), tmp_path) as first, Fork(partial(node, 1, port), tmp_path) as second:
        printed = [fork.communicate() for fork in (first, second)]
    assert (first.returncode, second.returncode) == (0, 0), printed
    left, right = (torch.load(tmp_path / f"rank{rank}of2.pt", weights_only=True) for rank in (0, 1))
    assert left.keys() == right.keys()
    assert all(torch.equal(left[name], right[name]) for name in left)
    checkpoint = torch.load(next(tmp_path.glob("runs/*/version_0/checkpoints/last.ckpt")), weights_only=True)
    assert checkpoint["global_step"] == 3
    assert all(torch.equal(checkpoint["state_dict"][name], left[name]) for name in left)


def test_the_script_for_slurm_goes_on_from_a_checkpoint(tmp_path):
    (tmp_path / "srun").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (tmp_path / "srun").chmod(0o755)
    script = Path(__file__).parents[2] / "recipes/cluster/train.slurm"
    environment = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_NNODES": "3", "SLURM_NTASKS_PER_NODE": "2"}

    def words():
        done = subprocess.run(["bash", str(script), "librispeech", "--data.manifest", "a b"], cwd=tmp_path,
                              env=environment, capture_output=True, text=True, check=True)  # fmt: skip
        return done.stdout.splitlines()

    sizes = ["--trainer.num_nodes", "3", "--trainer.devices", "2", "--data.workers", "4"]
    begun = ["--kill-on-bad-exit=1", "lvc", "fit", "--config", "librispeech", "--data.manifest", "a b"]
    assert words() == [*begun, *sizes]
    (tmp_path / "runs/librispeech/version_0/checkpoints").mkdir(parents=True)
    (tmp_path / "runs/librispeech/version_0/checkpoints/last.ckpt").touch()
    assert words() == [*begun, "--ckpt_path", "last", *sizes]


@pytest.mark.slow
def test_the_example_for_ray_trains_in_two_workers_and_goes_on(tmp_path):
    pytest.importorskip("ray.train", reason="needs Ray: pip install 'ray[train]'")
    for speaker in range(3):
        path = tmp_path / "in" / f"s{speaker}" / "0.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, speech_like(1.5, speaker=speaker).audio, 16000)
    recipe = RECIPE | {"trainer": RECIPE["trainer"] | {"num_nodes": 1, "devices": "auto"}}
    (tmp_path / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    example = Path(__file__).parents[2] / "recipes/cluster/ray_train.py"
    for steps in (3, 5):  # the second goes on from the first
        command = [sys.executable, str(example), "--workers", "2", "recipe.yaml", "--trainer.max_steps", str(steps)]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=500, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        last = max(tmp_path.glob("runs/recipe/version_*/checkpoints/last.ckpt"), key=str)
        assert torch.load(last, weights_only=True)["global_step"] == steps
    assert len(list(tmp_path.glob("runs/recipe/version_*"))) == 2


@pytest.mark.slow
def test_the_check_of_gpus_tells_that_there_is_none(tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU; the check would train on it")
    check = Path(__file__).parents[2] / "recipes/cluster/gpu_check.py"
    done = subprocess.run([sys.executable, str(check)], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (2, "torch finds no GPU here: nothing was tried\n")
