"""Values by step: where they are given, between, before and after; and what cannot be meant."""

import math

import pytest

from lightning_voiceclone.core.schedule import Schedule
from lightning_voiceclone.errors import ConfigurationError


def test_a_number_is_the_same_in_every_step():
    schedule = Schedule.of("x", 0.5, 0, 1)
    assert [schedule.at(step) for step in (0, 7, 10**9)] == [0.5] * 3
    assert schedule.constant
    assert str(schedule) == "0.5"


def test_a_line_goes_through_its_points_and_ends_level():
    schedule = Schedule.of("x", {"linear": {100: 0.0, 300: 1.0, 400: 0.5}}, 0, 1)
    assert [schedule.at(step) for step in (0, 100, 150, 300, 350, 400, 999)] == [0, 0, 0.25, 1, 0.75, 0.5, 0.5]
    assert schedule.greatest == 1
    assert not schedule.constant
    assert str(schedule) == "{linear: {100: 0, 300: 1, 400: 0.5}}"


def test_steps_hold_until_the_next_one_whatever_the_order_in_the_recipe():
    schedule = Schedule.of("x", {"steps": {50: 3, 0: 1}}, 1, 9, whole=True)
    assert [schedule.at(step) for step in (0, 49, 50, 51)] == [1, 1, 3, 3]


@pytest.mark.parametrize(("given", "words"), [
    ({"linaer": {0: 1.0}}, r"x is \{'linaer': .*must be a number, or values by step, as \{linear: "),
    ({"linear": {0: 1.0}, "steps": {0: 1.0}}, "values by step, as"),
    ({"linear": {}}, "values by step, as"),
    ({}, "values by step, as"),
    (2.0, "x is 2; it must be from 0 to 1"),
    ({"steps": {0: 1.0, 10: math.nan}}, "x at step 10 is nan; it must be from 0 to 1"),
    ({"steps": {-1: 1.0}}, "x: a step is -1; it must be from 0"),
    ({"steps": {"0": 1.0}}, "x: a step is '0'; it must be a whole number"),
    ({"steps": {0.5: 1.0}}, r"x: a step is 0\.5; it must be a whole number"),
    ({"steps": {0: "1"}}, "x at step 0 is '1'; it must be a number"),
])  # fmt: skip
def test_what_cannot_be_meant_is_named(given, words):
    with pytest.raises(ConfigurationError, match=words):
        Schedule.of("x", given, 0, 1)


@pytest.mark.parametrize("given", [1.5, {"steps": {0: 1.5}}])
def test_whole_numbers_are_whole(given):
    with pytest.raises(ConfigurationError, match=r"is 1\.5; it must be a whole number"):
        Schedule.of("x", given, 1, 9, whole=True)


def test_whole_numbers_have_none_between():
    with pytest.raises(ConfigurationError, match=r"values by step, as \{steps: "):
        Schedule.of("x", {"linear": {0: 1, 5: 2}}, 1, 9, whole=True)
