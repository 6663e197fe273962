"""Train in the workers of a Ray cluster, or of this machine:

    pip install "lightning-voiceclone[ray]"
    python recipes/cluster/ray_train.py --workers 2 librispeech --data.manifest /shared/prepared

After the number of workers come the arguments of lvc fit, with the name of the recipe first. Each worker is a process,
with a GPU of its own where --gpu is given. Everything must lie on a file system that all nodes see: the recordings or
shards, and runs/ in the folder where this is called. Where a worker dies, all are started again, --retries times, and
go on from the run's last checkpoint; so does the same command, called again.
"""

import argparse
import os
import sys
from pathlib import Path

import ray
from ray.train import FailureConfig, RunConfig, ScalingConfig
from ray.train.torch import TorchTrainer

STRATEGY = ["--trainer.strategy", "ray.train.lightning.RayDDPStrategy",
            # A step of one player leaves the other's weights without gradients.
            "--trainer.strategy.find_unused_parameters", "true",
            "--trainer.plugins", "ray.train.lightning.RayLightningEnvironment",
            "--trainer.devices", "auto"]  # fmt: skip


def work(settings: dict) -> None:
    """What each worker runs: lvc fit, in the folder where the script was called."""
    from lightning_voiceclone.cli.main import main

    os.chdir(settings["folder"])
    name, *more = settings["arguments"]
    begun = any(Path("runs", Path(name).stem).glob("version_*/checkpoints/*.ckpt"))
    resume = ["--ckpt_path", "last"] if begun else []
    if status := main(["fit", "--config", name, *more, *resume, *STRATEGY]):
        raise RuntimeError(f"lvc fit ended with status {status}; the worker's log has the reason")


def main() -> None:
    """Read the arguments, and train."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workers", type=int, default=2, help="processes that train together")
    parser.add_argument("--gpu", action="store_true", help="give each a GPU")
    parser.add_argument("--cpus", type=int, default=1, help="cores of each")
    parser.add_argument("--retries", type=int, default=3, help="how often to go on after a worker died")
    parser.add_argument("recipe", help="name of a recipe that ships, or its path; then more arguments of lvc fit")
    options, more = parser.parse_known_args()
    ray.init(ignore_reinit_error=True, log_to_driver=True)
    TorchTrainer(
        work,
        train_loop_config={"folder": os.getcwd(), "arguments": [options.recipe, *more]},
        scaling_config=ScalingConfig(
            num_workers=options.workers, use_gpu=options.gpu, resources_per_worker={"CPU": options.cpus}
        ),
        run_config=RunConfig(
            name="lvc", storage_path=str(Path("runs/ray").resolve()), failure_config=FailureConfig(options.retries)
        ),
    ).fit()


if __name__ == "__main__":
    sys.exit(main())
