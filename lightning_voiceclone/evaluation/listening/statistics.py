"""Statistics of the answers: means and shares for each system, with 95% intervals."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from lightning_voiceclone.evaluation.bootstrap import ClusterBootstrap
from lightning_voiceclone.evaluation.listening.kinds import SOURCE, TESTS
from lightning_voiceclone.evaluation.listening.store import Answer

DRAWS = 2000
LEVEL = 0.95
Z = 1.959963984540054  # of the normal distribution, two-sided, at LEVEL
SAME = 3  # on the four points of similarity: from here on the answer is "same"
# ITU-R BS.1534-3, 4.1.2: listeners who rate the hidden reference below 90 in more than 15% of the trials are excluded.
REFERENCE_LEAST, REFERENCE_SHARE = 90, 0.15
BOOTSTRAP = f"bootstrap clustered over listeners and cases, {DRAWS} draws"
WILSON = "Wilson, answers taken as independent"


@dataclass(frozen=True)
class Rating:
    """The rating of one condition in one answer."""

    listener: str
    case: str
    condition: str
    value: float


def results(answers: Sequence[Answer], seed: int = 0) -> dict[str, Any]:
    """For each test: how its intervals were computed, and for each condition mean, ci95, n, listeners and cases.

    ``mos`` (1 to 5), ``similarity`` (1 to 4, with ``same``, the share of answers 3 and 4) and ``mushra`` (0 to 100)
    have intervals by the bootstrap; ``abx`` (share of right answers; 0.5 by guessing) by Wilson's formula, with
    ``p_value``, two-sided, of the exact binomial test against guessing. ``mushra`` has ``unreliable_listeners``, whom
    ITU-R BS.1534-3 would exclude; they are not excluded here.
    """
    found = {}
    for name, test in TESTS.items():
        own = [answer for answer in answers if answer.trial.test == name]
        if not own:
            continue
        ratings = [
            Rating(answer.listener, answer.trial.case, condition, value)
            for answer in own
            for condition, value in test.ratings(answer.arrangement, answer.values).items()
        ]
        by_condition: dict[str, list[Rating]] = {}
        for rating in ratings:
            by_condition.setdefault(rating.condition, []).append(rating)
        found[name] = {
            "title": test.title,
            "interval": WILSON if name == "abx" else BOOTSTRAP,
            "answers": len(own),
            "listeners": len({answer.listener for answer in own}),
            "systems": {condition: _summary(name, ratings, seed) for condition, ratings in by_condition.items()},
        }
        if name == "mushra":
            found[name]["unreliable_listeners"] = _unreliable(by_condition[SOURCE])
    return found


def _summary(test: str, ratings: Sequence[Rating], seed: int) -> dict[str, Any]:
    values = np.array([rating.value for rating in ratings])
    bootstrap = ClusterBootstrap([rating.listener for rating in ratings], [rating.case for rating in ratings],
                                 draws=DRAWS, seed=seed)  # fmt: skip
    summary: dict[str, Any] = {"mean": float(values.mean())}
    if test == "abx":
        right = round(float(values.sum()))
        summary |= {"ci95": wilson(right, len(values)), "p_value": guessing(right, len(values))}
    else:
        summary["ci95"] = _interval(bootstrap, values)
    if test == "similarity":
        same = (values >= SAME).astype(float)
        summary |= {"same": float(same.mean()), "same_ci95": _interval(bootstrap, same)}
    summary["n"] = len(ratings)
    summary["listeners"] = len({rating.listener for rating in ratings})
    summary["cases"] = len({rating.case for rating in ratings})
    return summary


def _interval(bootstrap: ClusterBootstrap, values: np.ndarray) -> list[float] | None:
    """Interval of the mean; None where all answers are of one listener and one case."""
    with np.errstate(invalid="ignore"):  # a draw may leave no answer; it is ignored
        ends = bootstrap.interval(lambda weights: weights @ values / weights.sum(1), level=LEVEL)
    return None if ends is None else list(ends)


def wilson(right: int, n: int) -> list[float]:
    """Wilson's score interval of a share (Wilson 1927)."""
    share = right / n
    middle = (share + Z**2 / (2 * n)) / (1 + Z**2 / n)
    half = Z / (1 + Z**2 / n) * math.sqrt(share * (1 - share) / n + Z**2 / (4 * n**2))
    return [max(middle - half, 0.0), min(middle + half, 1.0)]


def guessing(right: int, n: int) -> float:
    """Two-sided p-value of ``right`` of ``n`` against guessing, exact."""
    at_least = sum(math.comb(n, k) for k in range(max(right, n - right), n + 1)) / 2**n
    return min(2 * at_least, 1.0)


def _unreliable(ratings: Sequence[Rating]) -> list[str]:
    by_listener: dict[str, list[bool]] = {}
    for rating in ratings:
        by_listener.setdefault(rating.listener, []).append(rating.value < REFERENCE_LEAST)
    return sorted(name for name, low in by_listener.items() if sum(low) / len(low) > REFERENCE_SHARE)
