"""What answers mean, and that the orders of play are balanced."""

from collections import Counter

import pytest

from lightning_voiceclone.evaluation.listening.kinds import ANCHOR, REFERENCE, SOURCE, TESTS

SYSTEMS = ["p", "q", "r"]


def test_conditions():
    assert TESTS["mos"].conditions(SYSTEMS) == [("p",), ("q",), ("r",), (SOURCE,)]
    assert TESTS["similarity"].conditions(SYSTEMS) == [("p",), ("q",), ("r",), (SOURCE,)]
    assert TESTS["abx"].conditions(SYSTEMS) == [("p", "q"), ("p", "r"), ("q", "r")]
    assert TESTS["mushra"].conditions(SYSTEMS) == [("p", "q", "r", SOURCE, ANCHOR)]


def test_ratings():
    assert TESTS["mos"].ratings(("p",), [4]) == {"p": 4.0}
    assert TESTS["similarity"].ratings((REFERENCE, "p"), [3]) == {"p": 3.0}
    assert TESTS["similarity"].ratings(("p", REFERENCE), [1]) == {"p": 1.0}
    assert TESTS["abx"].ratings(("q", "p", "p"), [1]) == {"p / q": 0.0}
    assert TESTS["abx"].ratings(("q", "p", "p"), [2]) == {"p / q": 1.0}
    assert TESTS["mushra"].ratings((SOURCE, "p", ANCHOR, SOURCE), [60, 20, 100]) == {
        "p": 60.0,
        ANCHOR: 20.0,
        SOURCE: 100.0,
    }


@pytest.mark.parametrize("name", TESTS)
def test_every_condition_stands_at_every_place_equally_often(name):
    test = TESTS[name]
    for conditions in test.conditions(SYSTEMS):
        arrangements = test.arrangements(conditions)
        assert len(set(arrangements)) == len(arrangements)
        for place in range(len(arrangements[0]) - test.count(arrangements[0]), len(arrangements[0])):
            times = Counter(arrangement[place] for arrangement in arrangements)
            assert len(set(times.values())) == 1
        assert all(len(test.labels(arrangement)) == len(arrangement) for arrangement in arrangements)


def test_abx_has_all_four_orders_and_x_is_a_or_b():
    assert sorted(TESTS["abx"].arrangements(("p", "q"))) == [
        ("p", "q", "p"),
        ("p", "q", "q"),
        ("q", "p", "p"),
        ("q", "p", "q"),
    ]
