"""What a search varies: a file in the form of W&B sweeps, which ``lvc tune`` and ``wandb sweep`` both take."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeGuard

from lightning_voiceclone.core.description_checks import DescriptionError, read_yaml
from lightning_voiceclone.errors import ConfigurationError, nearest

DISTRIBUTIONS = ("categorical", "uniform", "log_uniform_values", "int_uniform", "q_uniform", "constant")
GOALS = {"minimize": "minimize", "maximize": "maximize"}


@dataclass(frozen=True)
class Parameter:
    """One option that a search varies.

    Args:
        distribution: one of ``DISTRIBUTIONS``.
        values: to choose from, for a categorical one; a single one for a constant.
        low: least value of a range.
        high: greatest.
        step: of ``q_uniform``; None for none.
    """

    distribution: str
    values: tuple[Any, ...] = ()
    low: float = 0.0
    high: float = 0.0
    step: float | None = None

    def of(self, name: str, trial: Any) -> Any:
        """The value that a trial of Optuna has for it."""
        if self.distribution == "constant":
            return self.values[0]
        if self.distribution == "categorical":
            return trial.suggest_categorical(name, self.values)
        if self.distribution == "int_uniform":
            return trial.suggest_int(name, int(self.low), int(self.high))
        return trial.suggest_float(name, self.low, self.high, step=self.step,
                                   log=self.distribution == "log_uniform_values")  # fmt: skip


@dataclass(frozen=True)
class SearchSpace:
    """What a search varies, and by what it chooses.

    Args:
        parameters: by the option that they set.
        metric: name of a logged figure; None where the file names none.
        goal: minimize or maximize.
    """

    parameters: Mapping[str, Parameter]
    metric: str | None
    goal: str


def read_space(path: Path) -> SearchSpace:
    """Read a file of a W&B sweep; its method, command and early termination are W&B's and are not used.

    Raises:
        ConfigurationError: names the file and the first thing in it that is wrong.
        OSError: if it cannot be read.
    """
    try:
        content = read_yaml(path)
    except DescriptionError as error:
        raise ConfigurationError(f"{path}: {error}") from error
    given = content.get("parameters") if isinstance(content, Mapping) else None
    if not isinstance(given, Mapping) or not given:
        raise ConfigurationError(f"{path} has no parameters; write them as in recipes/sweeps/librispeech.yaml")
    metric = content.get("metric") or {}
    goal = metric.get("goal", "minimize") if isinstance(metric, Mapping) else None
    if not isinstance(metric, Mapping) or goal not in GOALS:
        raise ConfigurationError(f"{path}: metric must be {{name: FIGURE, goal: minimize}} or maximize, not {metric!r}")
    made = {str(name): _parameter(f"{path}: {name}", value) for name, value in given.items()}
    return SearchSpace(made, metric.get("name"), goal)


def _number(value: Any) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and math.isfinite(value)


def _parameter(place: str, given: Any) -> Parameter:
    if not isinstance(given, Mapping):
        raise ConfigurationError(f"{place} must have values, a value, or min and max")
    if "value" in given:
        return Parameter("constant", (given["value"],))
    if "values" in given:
        values = given["values"]
        if not isinstance(values, list) or not values or not all(isinstance(v, (str, int, float, bool, type(None)))
                                                                 for v in values):  # fmt: skip
            raise ConfigurationError(f"{place}: values must be a list of numbers or names, not {values!r}")
        return Parameter("categorical", tuple(values))
    low, high = given.get("min"), given.get("max")
    whole = isinstance(low, int) and isinstance(high, int)
    kind = given.get("distribution", "int_uniform" if whole else "uniform")
    if kind not in DISTRIBUTIONS[1:-1]:
        raise ConfigurationError(
            f"{place}: the distribution {kind!r} is not known{nearest(str(kind), DISTRIBUTIONS)}; lvc tune takes"
            f" {', '.join(DISTRIBUTIONS[1:-1])}, values or a value"
        )
    if not _number(low) or not _number(high) or not low < high:
        raise ConfigurationError(f"{place}: min is {low!r} and max is {high!r}; give two numbers, the lower one first")
    if kind == "log_uniform_values" and low <= 0:
        raise ConfigurationError(f"{place}: min is {low}, but log_uniform_values needs more than 0")
    step = given.get("q", 1.0) if kind == "q_uniform" else None
    if step is not None and (not _number(step) or step <= 0):
        raise ConfigurationError(f"{place}: q is {step!r}; it must be a number above 0")
    return Parameter(kind, low=low, high=high, step=step)
