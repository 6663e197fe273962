"""Means and intervals against values worked out by hand."""

import pytest

from lightning_voiceclone.evaluation.listening.kinds import ANCHOR, REFERENCE, SOURCE
from lightning_voiceclone.evaluation.listening.material import Trial
from lightning_voiceclone.evaluation.listening.statistics import guessing, results, wilson
from lightning_voiceclone.evaluation.listening.store import Answer


def answer(test, listener, case, arrangement, *values):
    return Answer(listener, Trial(test, case, arrangement), arrangement, values, 1.0)


def test_wilson_and_the_binomial_test():
    assert wilson(8, 10) == pytest.approx([0.4902, 0.9433], abs=1e-4)
    assert wilson(0, 10) == pytest.approx([0.0, 0.2775], abs=1e-4)
    assert wilson(10, 10) == pytest.approx([0.7225, 1.0], abs=1e-4)
    assert guessing(8, 10) == 2 * (45 + 10 + 1) / 1024
    assert guessing(2, 10) == guessing(8, 10)
    assert guessing(5, 10) == 1.0


def test_mos_by_hand():
    given = [answer("mos", name, case, ("p",), value) for name, case, value in
             (("x", "1", 2), ("x", "2", 3), ("y", "1", 4), ("y", "2", 5))]  # fmt: skip
    summary = results(given)["mos"]["systems"]["p"]
    assert summary["mean"] == 3.5
    assert (summary["n"], summary["listeners"], summary["cases"]) == (4, 2, 2)
    # Of four draws of listeners one is x alone and one y alone, of cases likewise: the ends are x on 1 and y on 2,
    # each with a probability of 1/16, more than the 2.5% that are cut off.
    assert summary["ci95"] == [2.0, 5.0]


def test_many_answers_of_two_listeners_are_no_more_certain_than_two_listeners():
    given = [answer("mos", name, str(case), ("p",), value) for name, value in (("x", 1), ("y", 5))
             for case in range(50)]  # fmt: skip
    assert results(given)["mos"]["systems"]["p"]["ci95"] == [1.0, 5.0]


def test_one_answer_has_no_interval():
    summary = results([answer("mos", "x", "1", ("p",), 2)])["mos"]["systems"]["p"]
    assert summary["mean"] == 2.0
    assert summary["ci95"] is None


def test_answers_that_agree_have_an_interval_without_width():
    given = [answer("mos", name, case, ("p",), 4) for name in "xyz" for case in "12345"]
    assert results(given)["mos"]["systems"]["p"]["ci95"] == pytest.approx([4.0, 4.0])


def test_similarity_counts_three_and_four_as_same():
    given = [answer("similarity", "x", str(case), order, value) for case, (order, value) in enumerate((
        ((REFERENCE, "p"), 4), (("p", REFERENCE), 3), ((REFERENCE, "p"), 2), (("p", REFERENCE), 1),
        ((REFERENCE, SOURCE), 1),
    ))]  # fmt: skip
    systems = results(given)["similarity"]["systems"]
    assert (systems["p"]["mean"], systems["p"]["same"]) == (2.5, 0.5)
    assert (systems[SOURCE]["mean"], systems[SOURCE]["same"]) == (1.0, 0.0)
    low, high = systems["p"]["same_ci95"]
    assert 0 <= low < 0.5 < high <= 1


def test_abx_counts_who_found_x():
    given = [answer("abx", "x", str(case), ("p", "q", "q"), 2 if case < 8 else 1) for case in range(10)]
    result = results(given)["abx"]
    assert "Wilson" in result["interval"]
    summary = result["systems"]["p / q"]
    assert summary["mean"] == 0.8
    assert summary["ci95"] == wilson(8, 10)
    assert summary["p_value"] == guessing(8, 10)


def test_mushra_names_who_does_not_find_the_hidden_reference():
    order = (SOURCE, "p", SOURCE, ANCHOR)
    given = [answer("mushra", "good", str(case), order, 60, 100, 20) for case in range(5)]
    given += [answer("mushra", "bad", str(case), order, 80, 40 if case == 0 else 95, 30) for case in range(5)]
    result = results(given)["mushra"]
    assert result["unreliable_listeners"] == ["bad"]  # one of five is 20%, more than 15%
    assert result["systems"]["p"]["mean"] == 70.0
    assert result["systems"][SOURCE]["mean"] == (5 * 100 + 40 + 4 * 95) / 10
    assert result["systems"][ANCHOR]["mean"] == 25.0


def test_without_answers_there_are_no_results():
    assert results([]) == {}
