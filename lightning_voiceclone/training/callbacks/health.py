"""Watch an adversarial training for the ways in which such trainings fail."""

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import lightning.pytorch as pl
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.rank_zero import rank_zero_warn
from torch import Tensor

from lightning_voiceclone.errors import check_range
from lightning_voiceclone.training.report import StepReport

WINS = 0.995  # share of logits in the right order
CHANCE = 0.001  # from one half, within which a discriminator tells nothing apart
COLLAPSED = 0.1  # spread of generated rows over that of real ones
UNMOVED = 0.02  # spread over speakers, or over noise, over that of real features
SPREADS = ("speakers", "real_speakers", "noise", "real_noise")
SPREADS_EVERY, FEWEST_SPREADS, SPREADS_KEPT = 50, 4, 8  # steps between measurements; how many are needed, and averaged
SETTLED = 1000  # steps until which a generator may not use its input yet, if it never did or begins to
COMES = 1.25  # growth of the spread of generated rows from the first half of the window to the second, in beginning
FIGURES = ("accuracy", "diversity", "diversity_speakers", "diversity_noise", "gradient_generator",
           "gradient_discriminator", "loss_ratio", "steps_taken_back")  # fmt: skip
EXPLODED = 20.0  # times the lowest median of the generator's own losses so far
LEAST_GRADIENT = 1e-8


@dataclass(frozen=True)
class Finding:
    """One thing that is wrong.

    Args:
        cause: what it is called; each is reported once in a while.
        text: the figure, the threshold, and what to try.
    """

    cause: str
    text: str


class GANHealth(Callback):
    """Reports the likely cause in one line when a training fails, with the figure, its threshold and a remedy.

    It watches means over the last ``window`` steps: the discriminator's accuracy (it wins, or is dead), the spread of
    generated rows over that of real ones (all speakers sound alike), how much the output changes with the speaker and
    with the noise, against real features, the generator's loss (it explodes), whether its weights move at all; and in
    each step gradients that were not cleared or reach the other network. Steps that were taken back because a value was
    not finite are counted. A healthy training prints nothing. The figures are logged as ``health/NAME``.

    Args:
        window: steps over which figures are averaged.
        every: steps between two looks.
        repeat: steps before the same cause is reported again.

    Raises:
        ConfigurationError: if a number is below 1, or ``every`` above ``window``.
    """

    def __init__(self, window: int = 100, every: int = 20, repeat: int = 1000) -> None:
        check_range("GANHealth: window", window, 2, 1_000_000)
        check_range("GANHealth: every", every, 1, window)
        check_range("GANHealth: repeat", repeat, 1, 1_000_000_000)
        self.window, self.every, self.repeat = window, every, repeat
        self.findings: list[tuple[int, Finding]] = []
        self._resumed = False
        self._reset()

    @property
    def logged(self) -> set[str]:
        """Names of the figures that it may log."""
        return {f"health/{name}" for name in FIGURES}

    def _reset(self) -> None:
        self._reported: dict[str, int] = {}
        self._shown: dict[str, float] = {}
        self._most_spread: dict[str, float] = {}
        self._figures: dict[str, deque[Tensor]] = {}
        self._least_loss: float | None = None
        self._weights: tuple[int, float] | None = None
        self._updates = 0  # of the generator
        self._undone = 0

    def on_train_start(self, trainer: pl.Trainer, pl_module: Any) -> None:
        """Begin with empty windows, unless a checkpoint had them."""
        if not self._resumed:
            self._reset()
        self._resumed = False
        self._figures = {name: self._window(name, (value.to(pl_module.device) for value in values))
                         for name, values in self._figures.items()}  # fmt: skip
        pl_module.spreads_every = SPREADS_EVERY

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """Log the last figures again, so that checkpoints and learning rates can be chosen by them."""
        if trainer.state.fn == "fit" and not trainer.sanity_checking:
            for name, value in self._shown.items():
                pl_module.log(f"health/{name}", value)

    def on_train_batch_end(self, trainer: pl.Trainer, pl_module: Any, outputs: Any, batch: Any, batch_idx: int) -> None:
        """Take the step's figures; every so many steps, look at them."""
        report = outputs.get("report") if isinstance(outputs, dict) else None
        if not isinstance(report, StepReport):
            return
        self._faults(report)
        if report.undone is not None:
            self._undone += 1
            return
        self._add("accuracy", report.accuracy)
        self._add("diversity", report.diversity)
        self._add("loss", report.losses.get("generator"))
        own = [schedule.greatest * report.losses[name] for name, schedule in self._own_losses(pl_module).items()
               if name in report.losses]  # fmt: skip
        self._add("own", torch.stack(own).sum() if own else report.gradient_norms.get("generator"))
        self._updates += "generator" in report.losses
        self._add("discriminator", report.losses.get("discriminator"))
        for name, spread in report.spreads.items():
            self._add(name, spread)
        for name, norm in report.gradient_norms.items():
            self._add(f"gradient_{name}", norm)
        if (report.step + 1) % self.every == 0:
            self._look(report.step, pl_module)

    @staticmethod
    def _own_losses(module: Any) -> dict[str, Any]:
        """Weights of the generator's losses but the adversarial one."""
        return {name: schedule for name, schedule in module.weight_schedules.items() if name != "adversarial"}

    def _add(self, name: str, value: Tensor | None) -> None:
        if value is not None:
            self._figures.setdefault(name, self._window(name)).append(value)

    def _window(self, name: str, values: Iterable[Tensor] = ()) -> deque[Tensor]:
        return deque(values, maxlen=SPREADS_KEPT if name in SPREADS else self.window)

    def _values(self, name: str) -> Tensor:
        """The window's values (n,), on the CPU."""
        return torch.stack(list(self._figures[name])).float().cpu() if self._figures.get(name) else torch.empty(0)

    def _full(self, name: str) -> bool:
        return len(self._figures.get(name, ())) == self.window

    def _faults(self, report: StepReport) -> None:
        for network in report.stale:
            text = f"the {network} has gradients of the step before: its optimizer's zero_grad is missing"
            self._report(report.step, Finding("gradients not cleared", text))
        for network in report.leaked:
            text = f"the {network} got gradients in the other network's step: detach what it was given"
            self._report(report.step, Finding("gradients leak", text))

    def _look(self, step: int, module: Any) -> None:
        means = {name: float(self._values(name).mean()) for name in self._figures}
        shown = {name: value for name, value in means.items() if name in FIGURES}
        for name in ("speakers", "noise"):
            if means.get(f"real_{name}", 0) > 0:
                shown[f"diversity_{name}"] = math.sqrt(means[name] / means[f"real_{name}"])
        if "adversarial" in module.weights and {"discriminator", "loss"} <= means.keys():
            shown["loss_ratio"] = means["discriminator"] / max(abs(means["loss"]), 1e-12)
        shown["steps_taken_back"] = float(self._undone)
        self._shown = shown
        for name, value in shown.items():
            module.log(f"health/{name}", value)
        for finding in (
            self._discriminator(means),
            self._collapse(step, means),
            self._unmoved("speakers", step, "speaker encoder or its references: raise model.weights.speaker"),
            self._unmoved("noise", step, "noise: lower model.weights.reconstruction, or set model.noise to 0")
            if module.generates_from_noise
            else None,
            self._explosion(module),
            self._stuck(module),
        ):
            if finding is not None:
                self._report(step, finding)

    def _discriminator(self, means: dict[str, float]) -> Finding | None:
        if not self._full("accuracy"):
            return None
        accuracy = means["accuracy"]
        right = f"{accuracy:.2%} of its logits are right over {self.window} steps"
        if accuracy >= WINS:
            return Finding(
                "the discriminator wins",
                f"{right} (threshold {WINS:.1%}): lower model.discriminator_optimizer.lr, raise"
                " model.weights.feature_matching, or raise model.steps.warmup",
            )
        gradient = means.get("gradient_discriminator", 1.0)
        if abs(accuracy - 0.5) < CHANCE or gradient < LEAST_GRADIENT:
            tiny = f"the norm of its gradient is {gradient:.1g} (threshold {LEAST_GRADIENT:g})"
            why = tiny if gradient < LEAST_GRADIENT else f"{right}, which is chance"
            return Finding(
                "the discriminator is dead",
                f"{why}: raise model.discriminator_optimizer.lr, or begin it anew (model.start takes the voice alone)",
            )
        return None

    def _collapse(self, step: int, means: dict[str, float]) -> Finding | None:
        """Whether rows are alike, unless they come apart: a generator may begin with a constant output."""
        if not self._full("diversity") or means["diversity"] >= COLLAPSED:
            return None
        before, after = (half.median() for half in self._values("diversity").tensor_split(2))
        if step < SETTLED and after > COMES * before:
            return None
        return Finding(
            "collapse",
            f"generated rows lie {means['diversity']:.3f} times as far apart as real ones over {self.window} steps"
            f" (threshold {COLLAPSED:g}), so all speakers sound alike: raise model.weights.speaker, lower"
            " model.weights.adversarial, or go on from an earlier checkpoint",
        )

    def _unmoved(self, name: str, step: int, remedy: str) -> Finding | None:
        """Whether the output has ceased to change with the speaker or the noise, or still does not."""
        ratio = self._shown.get(f"diversity_{name}")
        if ratio is None or len(self._figures.get(name, ())) < FEWEST_SPREADS:
            return None
        most = self._most_spread[name] = max(ratio, self._most_spread.get(name, 0.0))
        if ratio >= UNMOVED or (step < SETTLED and most < COLLAPSED):
            return None
        return Finding(
            f"collapse over {name}",
            f"with other {name} the output changes {ratio:.3f} times as much as real features (threshold {UNMOVED:g},"
            f" mean of {len(self._figures[name])} measurements): the generator ignores the {remedy}",
        )

    def _explosion(self, module: Any) -> Finding | None:
        """Whether the generator's own losses, or without any its gradient, are far above their lowest so far.

        A gradient is compared from the first full window on: in the first steps of some trainings it is small.
        """
        values, has_losses = self._values("own"), bool(self._own_losses(module))
        if len(values) < (self.every if has_losses else self.window):
            return None
        now = float(values[-self.every :].median())
        least = self._least_loss = min(now, self._least_loss or now)
        if least <= 0 or now <= EXPLODED * least:  # a likelihood may be negative, and has no such scale
            return None
        figure = f"its own losses are {now:.3g}" if has_losses else f"the norm of its gradient is {now:.3g}"
        return Finding(
            "the generator's loss explodes" if has_losses else "the generator's gradient explodes",
            f"{figure}, {now / least:.0f} times the lowest so far (threshold {EXPLODED:g}, medians over"
            f" {self.every} steps): lower the learning rates, set model.steps.gradient_clip, and go on from an earlier"
            " checkpoint",
        )

    def _stuck(self, module: Any) -> Finding | None:
        total = float(sum(weight.detach().double().sum() for weight in module.generator_side.parameters()
                          if weight.requires_grad))  # fmt: skip
        since, before = self._weights or (self._updates, None)
        if before != total:
            self._weights = (self._updates, total)
            return None
        if self._updates - since < self.window * module.steps.accumulate:
            return None
        return Finding(
            "the generator is stuck",
            f"its weights have not moved in {self._updates - since} of its steps: its learning rate may have decayed to"
            " nothing (model.generator_optimizer.lr, model.scheduler), or no loss reaches it (model.weights)",
        )

    # Resuming --------------------------------------------------------------------------------------------------------

    def state_dict(self) -> dict[str, Any]:
        """The windows, and what was found before."""
        figures = {name: [float(value) for value in values] for name, values in self._figures.items()}
        return {"figures": figures, "reported": self._reported, "shown": self._shown, "undone": self._undone,
                "least_loss": self._least_loss, "most_spread": self._most_spread,
                "weights": list(self._weights or ()), "updates": self._updates}  # fmt: skip

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Resume from there."""
        self._reset()
        self._figures = {name: self._window(name, map(torch.tensor, values))
                         for name, values in state_dict["figures"].items()}  # fmt: skip
        self._reported, self._shown = dict(state_dict["reported"]), dict(state_dict["shown"])
        self._undone, self._updates = state_dict["undone"], state_dict["updates"]
        self._least_loss, self._most_spread = state_dict["least_loss"], dict(state_dict["most_spread"])
        self._weights = tuple(state_dict["weights"]) or None  # type: ignore[assignment]
        self._resumed = True

    def _report(self, step: int, finding: Finding) -> None:
        last = self._reported.get(finding.cause)
        if last is not None and step - last < self.repeat:
            return
        self._reported[finding.cause] = step
        self.findings.append((step, finding))
        rank_zero_warn(f"step {step + 1}: {finding.cause}: {finding.text}")
