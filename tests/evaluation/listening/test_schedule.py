"""Balance: of conditions for each listener, of everything over all listeners."""

from collections import Counter

import numpy as np
import pytest

from lightning_voiceclone.evaluation.listening.kinds import SOURCE, TESTS
from lightning_voiceclone.evaluation.listening.material import Trial
from lightning_voiceclone.evaluation.listening.schedule import Schedule, Shown

CASES = [f"case{number}" for number in range(12)]
SYSTEMS = ["p", "q", "r"]


def trials(test, cases=CASES):
    return [Trial(test, case, conditions) for conditions in TESTS[test].conditions(SYSTEMS) for case in cases]


def spread(counts, of):
    return max(counts[name] for name in of) - min(counts[name] for name in of)


def listen(schedule, listeners, steps, seed=0):
    """Listeners at once, whose turns are drawn; gives what was shown."""
    random = np.random.default_rng(seed)
    history = []
    for _ in range(steps):
        listener = f"listener{random.integers(listeners)}"
        chosen = schedule.next(listener, history)
        if chosen:
            history.append(Shown(listener, *chosen))
    return history


@pytest.mark.parametrize("test", TESTS)
def test_conditions_cases_and_orders_are_balanced_at_every_moment(test):
    conditions = TESTS[test].conditions(SYSTEMS)
    history = listen(Schedule({test: trials(test)}, 8, seed=3), 9, 60)
    for end in range(1, len(history) + 1):
        shown = history[:end]
        amid = 0  # listeners who have heard some conditions once more than others
        for listener in {entry.listener for entry in shown}:
            own = Counter(entry.trial.conditions for entry in shown if entry.listener == listener)
            assert spread(own, conditions) <= 1
            amid += spread(own, conditions)
        assert spread(Counter(entry.trial.conditions for entry in shown), conditions) <= min(amid, 3)
        for condition in conditions:
            like = [entry for entry in shown if entry.trial.conditions == condition]
            # One more than by turns: the case with fewest answers may be one that the listener has heard.
            assert spread(Counter(entry.trial.case for entry in like), CASES) <= 2
            assert spread(Counter(entry.arrangement for entry in like), TESTS[test].arrangements(condition)) <= 1


def test_whole_rounds_leave_no_difference():
    schedule = Schedule({"mos": trials("mos")}, 8, seed=3)
    history = listen(schedule, 6, 500)
    assert len(history) == 6 * 8
    assert set(Counter(entry.trial.conditions for entry in history).values()) == {12}
    assert set(Counter(entry.trial.key for entry in history).values()) == {1}


def test_nobody_hears_a_trial_twice_and_tests_come_in_turn():
    schedule = Schedule({"abx": trials("abx", CASES[:2]), "mos": trials("mos", CASES[:2])}, 5, seed=0)
    assert schedule.length == 10
    history = listen(schedule, 1, 20)
    assert [entry.trial.test for entry in history] == ["abx"] * 5 + ["mos"] * 5
    assert len({entry.trial.key for entry in history}) == 10


def test_there_are_no_more_trials_than_there_are():
    schedule = Schedule({"mushra": trials("mushra", CASES[:3])}, 16, seed=0)
    assert schedule.length == 3
    assert len(listen(schedule, 1, 9)) == 3


def test_a_listener_hears_different_cases_before_any_again():
    history = listen(Schedule({"mos": trials("mos")}, 12, seed=1), 1, 12)
    assert len({entry.trial.case for entry in history}) == 12
    assert Counter(entry.trial.conditions for entry in history)[(SOURCE,)] == 3


def test_orders_follow_from_seed_and_listener():
    def order(seed, listener):
        schedule, history = Schedule({"mos": trials("mos")}, 8, seed), []
        while chosen := schedule.next(listener, history):
            history.append(Shown(listener, *chosen))
        return [entry.trial.key for entry in history]

    assert order(0, "x") == order(0, "x")
    assert order(0, "x") != order(1, "x")
    assert order(0, "x") != order(0, "y")
