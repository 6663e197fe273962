"""Time to quality of recipes/progressive.yaml over recipes/librispeech.yaml, against that recipe alone; seeds in pairs.

    python benchmarks/progressive.py --minutes 15 --data.root ../shared/speech/LibriSpeech
    python benchmarks/progressive.py --minutes 4 --until 600 --data.segment_seconds 1.28 --data.root …

Of each seed both are trained for so many minutes of CPU (an otherwise busy machine changes them little; on a GPU use
--clock wall), the validations not counted. The quality is validation/mel_l1 of the recipe alone in its last
validation. Printed: when the recipe with growth first is as good, as a share of the minutes that the recipe alone took
to come as far for the first time; over all seeds the mean of these shares, with an interval of 95% (Student's t). Where
growth does not come as far, there is no share: then the difference of the last validations shows how much is missing.
--until is the step at which growth ends (3,000 in the recipe); all its steps, and the warm-up, are scaled. Other
options are those of lvc fit; --data.segment_seconds is the length of the crops at the end of growth.
"""

import argparse
import math
import re
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import lightning.pytorch as pl
from lightning.pytorch.callbacks import Callback

from lightning_voiceclone.cli.training import build_cli

RECIPES = Path(__file__).resolve().parents[1] / "recipes"
FIGURE, ENDS, CROP = "validation/mel_l1", 3000, 2.56
T = {2: 12.706, 3: 4.303, 4: 3.182, 5: 2.776}  # of Student's distribution, 97.5%, by the number of seeds


class Clock(Callback):
    """Notes the figure of each validation with the minutes of training before it, and ends a training in time."""

    def __init__(self, minutes: float, now: Callable[[], float]) -> None:
        self.minutes, self.now = minutes, now
        self.found: list[tuple[float, float]] = []
        self.begun = self.paused = 0.0

    @property
    def spent(self) -> float:
        return (self.now() - self.begun) / 60

    def on_train_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begun = self.now()

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule, *more: object) -> None:
        trainer.should_stop = trainer.should_stop or self.spent >= self.minutes

    def on_validation_start(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.paused = self.now()

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        self.begun += self.now() - self.paused
        self.found.append((self.spent, float(trainer.callback_metrics[FIGURE])))


def growth(until: int, segment: float, folder: Path) -> Path:
    """progressive.yaml with its steps scaled, and its crops."""
    text = (RECIPES / "progressive.yaml").read_text()
    text = re.sub(r"\b(\d{4}):", lambda found: f"{round(int(found[1]) * until / ENDS)}:", text)
    lengths = re.search(r"segment_seconds: .*", text)
    assert lengths is not None
    scaled = re.sub(r"\d+\.\d+", lambda found: f"{float(found[0]) * segment / CROP:.3g}", lengths[0])
    path = folder / "growth.yaml"
    path.write_text(text.replace(lengths[0], scaled))
    return path


def trained(
    configs: list[Path], seed: int, options: argparse.Namespace, rest: list[str], place: str
) -> list[tuple[float, float]]:
    """Minutes and figure of each validation."""
    words = [word for config in configs for word in ("--config", str(config))]
    now = time.process_time if options.clock == "cpu" else time.monotonic
    clock = Clock(options.minutes, now)
    fixed = [f"--seed_everything={seed}", "--trainer.max_time=null", "--trainer.max_steps=1000000",
             f"--model.steps.warmup={options.until // 2}", f"--trainer.val_check_interval={options.every}",
             f"--trainer.default_root_dir={place}", "--trainer.enable_progress_bar=false"]  # fmt: skip
    cli = build_cli(["fit", *words, *rest, *fixed], run=False, callbacks=[clock])
    cli.trainer.fit(cli.model, datamodule=cli.datamodule)
    return clock.found


def first(found: list[tuple[float, float]], quality: float) -> float:
    """Minutes until the figure is as low."""
    return next((minutes for minutes, figure in found if figure <= quality), math.inf)


def summary(shares: list[float], behind: list[float]) -> str:
    """Means over the seeds with their intervals: of the shares, if there are all, and of the last differences."""

    def interval(found: list[float], form: str) -> str:
        mean = statistics.mean(found)
        off = T[len(found)] * statistics.stdev(found) / math.sqrt(len(found))
        return f"{mean:{form}} ({mean - off:{form}} to {mean + off:{form}})"

    never = sum(math.isinf(share) for share in shares)
    share = (f"growth never comes as far in {never} of {len(shares)} seeds" if never
             else f"{interval(shares, '.0%')} of the minutes")  # fmt: skip
    return f"{share}; asked for: at most 70%. {FIGURE} at the end, less that of the recipe: {interval(behind, '+.4f')}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=15)
    parser.add_argument("--seeds", type=int, default=3, choices=tuple(T))
    parser.add_argument("--until", type=int, default=ENDS)
    parser.add_argument("--every", type=int, default=50, help="steps between validations (default: 50)")
    parser.add_argument("--clock", default="cpu", choices=("cpu", "wall"))
    parser.add_argument("--data.segment_seconds", dest="segment", type=float, default=CROP)
    options, rest = parser.parse_known_args()
    plain, shares, behind = RECIPES / "librispeech.yaml", [], []
    with tempfile.TemporaryDirectory() as place:
        grown = growth(options.until, options.segment, Path(place))
        for seed in range(options.seeds):
            crops = f"--data.segment_seconds={options.segment}"
            alone = trained([plain], seed, options, [*rest, crops], place)
            growing = trained([plain, grown], seed, options, rest, place)
            if not alone or not growing:
                raise SystemExit(f"no validation within {options.minutes} minutes: raise --minutes, or lower --every")
            quality = alone[-1][1]
            shares.append(first(growing, quality) / first(alone, quality))
            behind.append(growing[-1][1] - quality)
            print(f"seed {seed}: {FIGURE} {quality:.4f} after {first(alone, quality):.2f} minutes; with growth"
                  f" {first(growing, quality):.2f}, {shares[-1]:.0%} ({growing[-1][1]:.4f} at the end)",
                  flush=True)  # fmt: skip
    print(summary(shares, behind))


if __name__ == "__main__":
    main()
