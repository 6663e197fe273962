"""Intervals: reproducible, clustered on both sides, and as a loop by hand gives them."""

import numpy as np
import pytest

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation import bootstrap as module
from lightning_voiceclone.evaluation.bootstrap import ClusterBootstrap

SOURCES = ["a", "a", "b", "b", "c", "c"]
TARGETS = ["b", "c", "a", "c", "a", "b"]


def all_weights(bootstrap):
    return np.concatenate(list(bootstrap.weights()))


def mean(values):
    def of(weights):
        total = weights.sum(1)
        return (weights @ values) / np.where(total > 0, total, np.nan)

    return of


def test_weights_are_products_of_counts():
    weights = all_weights(ClusterBootstrap(SOURCES, TARGETS, draws=500, seed=1))
    random = np.random.default_rng(1)
    of_source, of_target = (random.multinomial(3, [1 / 3] * 3, 500) for _ in range(2))
    for case, (source, target) in enumerate(zip(SOURCES, TARGETS, strict=True)):
        expected = of_source[:, "abc".index(source)] * of_target[:, "bca".index(target)]
        assert np.array_equal(weights[:, case], expected)
    assert weights.mean() == pytest.approx(1, abs=0.1)


def test_interval_is_reproducible_and_holds_the_mean():
    values = np.arange(6.0)
    first = ClusterBootstrap(SOURCES, TARGETS, seed=3).interval(mean(values))
    assert first == ClusterBootstrap(SOURCES, TARGETS, seed=3).interval(mean(values))
    other = all_weights(ClusterBootstrap(SOURCES, TARGETS, seed=4))
    assert not np.array_equal(all_weights(ClusterBootstrap(SOURCES, TARGETS, seed=3)), other)
    assert first[0] < values.mean() < first[1]


def test_dependence_within_speakers_widens_the_interval():
    random = np.random.default_rng(0)
    sources = np.repeat(np.arange(10), 10)
    targets = np.tile(np.arange(10), 10)
    by_speaker = random.standard_normal(10)[sources] + 0.1 * random.standard_normal(100)
    low, high = ClusterBootstrap(list(sources), list(targets)).interval(mean(by_speaker))
    alone = ClusterBootstrap(list(range(100)), ["all"] * 100).interval(mean(by_speaker))
    assert high - low > 2 * (alone[1] - alone[0])


def test_one_speaker_on_one_side_is_not_drawn():
    weights = all_weights(ClusterBootstrap(["a"] * 4, ["w", "x", "y", "z"], draws=100))
    assert (weights.sum(1) == 4).all()


def test_cases_of_one_speaker_on_both_sides_have_no_interval_among_many():
    known = np.array([True, False, False, False, False, False])
    assert ClusterBootstrap(SOURCES, TARGETS).interval(mean(np.ones(1)), known=known) is None
    known[1] = True  # of two target speakers
    low, high = ClusterBootstrap(SOURCES, TARGETS).interval(mean(np.array([0.0, 1.0])), known=known)
    assert (low, high) == (0, 1)


@pytest.mark.parametrize("wrong", [{"draws": 0}, {"seed": -1}])
def test_nothing_to_draw_and_no_seed_are_refused(wrong):
    with pytest.raises(ConfigurationError, match="draws must be at least 1, a seed at least 0"):
        ClusterBootstrap(SOURCES, TARGETS, **wrong)


def test_one_speaker_on_both_sides_has_no_interval():
    assert ClusterBootstrap(["a", "a"], ["b", "b"]).interval(mean(np.ones(2))) is None


def test_draws_without_a_case_are_passed_over():
    low, high = ClusterBootstrap(["a", "b"], ["x", "y"]).interval(lambda w: np.where(w.sum(1) > 0, 1.0, np.nan))
    assert (low, high) == (1, 1)


def test_chunks_hold_few_weights_at_once_and_all_of_them(monkeypatch):
    monkeypatch.setattr(module, "CHUNK", 60)
    sizes = [weights.shape for weights in ClusterBootstrap(SOURCES, TARGETS, draws=25).weights()]
    assert sizes == [(10, 6), (10, 6), (5, 6)]
