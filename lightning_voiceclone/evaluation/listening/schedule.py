"""Chooses a listener's next trial and the order of its recordings.

Each listener gets the conditions of a test equally often (the numbers differ by one at most). Among those that a
listener had least, the one with the fewest answers comes first, so that conditions, cases and orders are balanced over
all listeners, however many leave early. Ties are broken at random, from the seed and the listener.
"""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lightning_voiceclone.evaluation.listening.kinds import TESTS, Conditions
from lightning_voiceclone.evaluation.listening.material import Trial


@dataclass(frozen=True)
class Shown:
    """A trial that a listener has answered or has open now.

    Args:
        listener: name.
        trial: the trial.
        arrangement: the conditions at the places.
    """

    listener: str
    trial: Trial
    arrangement: Conditions


class Schedule:
    """The order of a test's trials.

    Args:
        trials: of each test, in the order of the tests.
        count: trials of each test for one listener.
        seed: breaks ties.
    """

    def __init__(self, trials: Mapping[str, Sequence[Trial]], count: int, seed: int) -> None:
        self.trials = trials
        self.quotas = {test: min(count, len(found)) for test, found in trials.items()}
        self.seed = seed

    @property
    def length(self) -> int:
        """Trials of one listener."""
        return sum(self.quotas.values())

    def next(self, listener: str, history: Sequence[Shown]) -> tuple[Trial, Conditions] | None:
        """The next trial and its arrangement; None after the last.

        Args:
            listener: name; all of this listener's trials must be in the history.
            history: trials that have been answered or are open now.
        """
        done = Counter(shown.trial.test for shown in history if shown.listener == listener)
        test = next((name for name, quota in self.quotas.items() if done[name] < quota), None)
        if test is None:
            return None
        shown = [entry for entry in history if entry.trial.test == test]
        trial = self._trial(self.trials[test], listener, shown)
        return trial, self._arrangement(trial, listener, shown)

    def _trial(self, trials: Sequence[Trial], listener: str, shown: Sequence[Shown]) -> Trial:
        own = [entry.trial for entry in shown if entry.listener == listener]
        own_conditions, own_cases = Counter(trial.conditions for trial in own), Counter(trial.case for trial in own)
        conditions = Counter(entry.trial.conditions for entry in shown)
        answers = Counter(entry.trial.key for entry in shown)
        done = {trial.key for trial in own}
        return min(
            (trial for trial in trials if trial.key not in done),
            key=lambda trial: (
                own_conditions[trial.conditions],
                conditions[trial.conditions],
                answers[trial.key],
                own_cases[trial.case],
                self._chance(listener, trial.key),
            ),
        )

    def _arrangement(self, trial: Trial, listener: str, shown: Sequence[Shown]) -> Conditions:
        like = [entry for entry in shown if entry.trial.conditions == trial.conditions]
        used = Counter(entry.arrangement for entry in like)
        own = Counter(entry.arrangement for entry in like if entry.listener == listener)
        return min(
            TESTS[trial.test].arrangements(trial.conditions),
            key=lambda order: (used[order], own[order], self._chance(listener, trial.key, *order)),
        )

    def _chance(self, *names: str) -> bytes:
        return hashlib.sha256("\n".join([str(self.seed), *names]).encode()).digest()
