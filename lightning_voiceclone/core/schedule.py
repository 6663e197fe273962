"""Settings whose value follows from the number of the step."""

import bisect
from dataclasses import dataclass

from lightning_voiceclone.errors import ConfigurationError, check_range

Scheduled = float | dict[str, dict[int, float]]  # as a recipe states it
Counted = int | dict[str, dict[int, int]]
MOST_STEPS = 1_000_000_000_000
EXAMPLE = "{linear: {0: 0, 2000: 1}} or {steps: {0: 1, 2000: 2}}"


@dataclass(frozen=True)
class Schedule:
    """A number for each step: the same in all, on lines between given steps, or new at given steps.

    Before the first given step the value is the first, after the last one the last.

    Args:
        steps: for which values are given, rising, from 0.
        values: one for each of them.
        linear: whether the steps between have values on a line; else each value holds until the next one begins.
    """

    steps: tuple[int, ...]
    values: tuple[float, ...]
    linear: bool = False

    @classmethod
    def of(cls, name: str, given: Scheduled | Counted, low: float, high: float, *, whole: bool = False) -> "Schedule":
        """The schedule that a recipe states: a number, ``{linear: {step: value, …}}`` or ``{steps: {…}}``.

        Args:
            name: of the setting, for errors.
            given: as in the recipe.
            low: least value.
            high: greatest value.
            whole: whether all values must be whole numbers, so that there is no line between them.

        Raises:
            ConfigurationError: if it is none of these, or a number is out of range; names the setting.
        """
        if isinstance(given, int | float):
            _check(name, given, low, high, whole)
            return cls((0,), (given,))
        kinds = ("steps",) if whole else ("linear", "steps")
        (kind, points), *more = given.items() if given else [("", {})]
        if more or kind not in kinds or not isinstance(points, dict) or not points:
            example = "{steps: {0: 1, 2000: 2}}" if whole else EXAMPLE
            raise ConfigurationError(f"{name} is {given}; it must be a number, or values by step, as {example}")
        for step, value in points.items():
            _check(f"{name}: a step", step, 0, MOST_STEPS, True)
            _check(f"{name} at step {step}", value, low, high, whole)
        steps = tuple(sorted(points))
        return cls(steps, tuple(points[step] for step in steps), kind == "linear")

    def at(self, step: int) -> float:
        """The value in the step of that number, from 0."""
        place = bisect.bisect_right(self.steps, step) - 1
        if place < 0:
            return self.values[0]
        if not self.linear or place == len(self.steps) - 1:
            return self.values[place]
        first, last = self.steps[place : place + 2]
        share = (step - first) / (last - first)
        return self.values[place] + share * (self.values[place + 1] - self.values[place])

    @property
    def constant(self) -> bool:
        """Whether all steps have the same value."""
        return len(set(self.values)) == 1

    @property
    def greatest(self) -> float:
        """The greatest value that a step may have."""
        return max(self.values)

    def __str__(self) -> str:
        if self.constant:
            return f"{self.values[0]:g}"
        points = ", ".join(f"{step}: {value:g}" for step, value in zip(self.steps, self.values, strict=True))
        return f"{{{'linear' if self.linear else 'steps'}: {{{points}}}}}"


def _check(name: str, value: object, low: float, high: float, whole: bool) -> None:
    if isinstance(value, bool) or not isinstance(value, int if whole else int | float):
        raise ConfigurationError(f"{name} is {value!r}; it must be a {'whole ' if whole else ''}number")
    check_range(name, value, low, high)
