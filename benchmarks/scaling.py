"""A training in two processes against two trainings of one process each, at the same time on the same cores.

    python benchmarks/scaling.py --config recipes/librispeech.yaml --data.root ../shared/speech/LibriSpeech --steps 120

Options but --steps and --rounds are those of lvc fit. Each process has one thread. In turn, --rounds times: two
trainings at once, each alone with its recordings, and one training in two processes (DDP by gloo), whose step takes a
batch in each. Prints the batches a second of both, over the last half of the steps, and what two processes give of what
two trainings give (goal: at least 0.95). Of the two trainings one may end some seconds before the other, which then has
the machine alone: take steps enough. Needs two cores that nothing else uses.
"""

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

COMMAND = """
import sys, time
from lightning.pytorch.callbacks import Callback
from lightning_voiceclone.cli.training import build_cli

class Clock(Callback):
    def on_train_batch_end(self, trainer, module, *more):
        done = trainer.global_step
        if done == trainer.max_steps // 2:
            self.begun = time.perf_counter()
        elif done == trainer.max_steps and trainer.is_global_zero:
            print("RATE", trainer.world_size * (done - done // 2) / (time.perf_counter() - self.begun), flush=True)

cli = build_cli(["fit", *sys.argv[1:]], run=False)
cli.trainer.callbacks.append(Clock())
cli.trainer.fit(cli.model, cli.datamodule)
"""


def begin(arguments: list[str], folder: Path, processes: int) -> subprocess.Popen:
    """A training that prints its batches a second."""
    settings = [
        "--trainer.accelerator", "cpu", "--trainer.devices", str(processes), "--trainer.logger", "false",
        "--trainer.default_root_dir", str(folder), "--trainer.limit_val_batches", "0", "--trainer.max_time", "null",
        "--trainer.enable_progress_bar", "false", "--checkpoint.monitor", "null", "--data.workers", "0",
    ]  # fmt: skip
    program = folder.with_suffix(".py")
    program.write_text(COMMAND)
    start = (
        [] if processes == 1 else ["-m", "torch.distributed.run", "--standalone", "--nproc_per_node", str(processes)]
    )
    return subprocess.Popen(
        [sys.executable, *start, str(program), *arguments, *settings], text=True, stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip


def rate(process: subprocess.Popen) -> float:
    """Batches a second of a training that has ended."""
    lines = [line for line in process.communicate()[0].splitlines() if line.startswith("RATE")]
    if process.returncode or not lines:
        raise SystemExit(f"a training ended with status {process.returncode}; run its lvc fit to see why")
    return float(lines[0].split()[1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=120)
    parser.add_argument("--rounds", type=int, default=3)
    options, arguments = parser.parse_known_args()
    arguments += ["--trainer.max_steps", str(options.steps)]
    shares = []
    with tempfile.TemporaryDirectory() as folder:
        for number in range(options.rounds):
            apart = [begin(arguments, Path(folder) / f"{number}-{which}", 1) for which in "ab"]
            try:
                alone = sum(map(rate, apart))
            finally:
                for process in apart:
                    process.kill()
            together = rate(begin(arguments, Path(folder) / f"{number}-both", 2))
            shares.append(together / alone)
            print(f"two trainings {alone:.3f} batches a second, one in two processes {together:.3f}: {shares[-1]:.3f}",
                  flush=True)  # fmt: skip
            time.sleep(1)
    print(f"median {statistics.median(shares):.3f}, from {min(shares):.3f} to {max(shares):.3f}")


if __name__ == "__main__":
    main()
