"""Memory over 20 epochs of a recipe: the process's resident set at the end of each.

    python benchmarks/memory.py --config recipes/librispeech.yaml --data.root ../shared/speech/LibriSpeech

Prints the growth from the end of the third epoch to the end of the last (goal: at most 2%), and that of a straight line
through all epochs between. The recordings' caches are filled before, the allocator's in the first epochs; what the C
library's allocator merely keeps at hand, which comes and goes by some percent, is given back before each weighing
(malloc_trim). Whatever follows is passed on to the recipe. A run that ends before its last epoch (Ctrl-C, a time
limit's SIGTERM) has no figure, and ends non-zero.
"""

import contextlib
import ctypes
import gc
import os
import statistics
import sys
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from lightning_voiceclone.cli.training import build_cli

EPOCHS, BATCHES, SETTLED = 20, 20, 3


def resident_megabytes() -> float:
    gc.collect()
    with contextlib.suppress(AttributeError):  # other C libraries than glibc have none
        ctypes.CDLL(None).malloc_trim(0)
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


class Scale(pl.Callback):
    """Weighs the process after each epoch."""

    def __init__(self) -> None:
        self.megabytes: list[float] = []

    def on_train_start(self, trainer: Any, *_: Any) -> None:
        """Read every recording once: a cache that fills is no leak."""
        for dataset in trainer.datamodule.datasets.values():
            for index in range(len(dataset)):
                dataset.recordings.read(index)

    def on_train_epoch_end(self, *_: Any) -> None:
        self.megabytes.append(resident_megabytes())


def main() -> None:
    cli = build_cli(["fit", *sys.argv[1:], f"--trainer.max_epochs={EPOCHS}", f"--trainer.limit_train_batches={BATCHES}",
                     "--trainer.check_val_every_n_epoch=5", "--trainer.val_check_interval=1.0",
                     "--trainer.max_time=null", "--model.steps.warmup=0"], run=False)  # fmt: skip
    scale = Scale()
    cli.trainer.callbacks.append(scale)
    cli.trainer.fit(cli.model, cli.datamodule)
    weighed = len(scale.megabytes)
    print("MB after each epoch:", " ".join(f"{value:.0f}" for value in scale.megabytes))
    if weighed < EPOCHS:
        sys.exit(f"the run ended after {weighed} of {EPOCHS} epochs: no figure; let it run to its end")
    steady = scale.megabytes[SETTLED - 1 :]
    settled, last = steady[0], steady[-1]
    trend = statistics.linear_regression(range(len(steady)), steady).slope * (len(steady) - 1)
    print(f"memory: {settled:.0f} MB after epoch {SETTLED}, {last:.0f} MB after epoch {weighed}:"
          f" {100 * (last / settled - 1):+.1f}%; from {min(steady):.0f} to {max(steady):.0f} MB on the way,"
          f" a straight line through all of them rises {100 * trend / settled:+.1f}%")  # fmt: skip


if __name__ == "__main__":
    main()
