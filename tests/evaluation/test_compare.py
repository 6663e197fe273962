"""Reports side by side: paired differences by hand, and what is refused."""

import json

import numpy as np
import pytest

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.bootstrap import ClusterBootstrap
from lightning_voiceclone.evaluation.compare import compare

PLACES = [(s, t) for s in "abcd" for t in "abcd" if s != t]
JUDGE = {"name": "Listener", "version": "1", "sha256": "0" * 64}


@pytest.fixture
def report(tmp_path):
    """Writes a report of twelve pairs of four speakers: words wrong of ten, and cosines."""

    def write(name, errors=0, cosines=0.5, *, pairs="p" * 64, judge=JUDGE, against=None, cases=12, without=()):
        errors, cosines = np.broadcast_to(errors, 12), np.broadcast_to(cosines, 12)
        metrics = {
            "wer": {"unit": "share", "better": "lower", "judge": judge, "n": 12, "normalizer": "english-1"},
            "similarity_reference": {"unit": "cosine", "better": "higher", "judge": JUDGE, "n": 12},
            "mcd_db": {"unit": "dB", "better": "lower", "judge": None, "n": 12, "against": against},
        }
        rows = [
            {"case": f"{s}-to-{t}", "source_speaker": s, "target_speaker": t, "error": None,
             "scores": {"wer": [float(errors[i]), 10.0], "similarity_reference": [float(cosines[i])], "mcd_db": [5.0]}}
            for i, (s, t) in enumerate(PLACES)
        ][:cases]  # fmt: skip
        for place in without:
            del rows[place]["scores"]["wer"]
        folder = tmp_path / name
        folder.mkdir()
        told = {"pairs_sha256": pairs, "system": {"kind": "clone", "name": name}, "metrics": metrics, "cases": rows}
        (folder / "metrics.json").write_text(json.dumps(told))
        return folder

    return write


def test_paired_differences(report):
    random = np.random.default_rng(0)
    base = random.uniform(0.3, 0.9, 12)
    told = compare([report("one", 2, base), report("two", np.arange(12) % 2, base + 0.05)])
    wer, cosine = told.metrics["wer"], told.metrics["similarity_reference"]
    assert wer["means"] == pytest.approx([0.2, 0.05])
    assert wer["differences"] == pytest.approx([-0.15])
    assert wer["better_than_first"] == [True]
    # Every pair is better by the same: the interval of the difference is a point, however much pairs vary.
    assert cosine["ci95"][0] == pytest.approx([0.05, 0.05])
    assert cosine["better_than_first"] == [True]
    assert told.metrics["mcd_db"]["better_than_first"] == [None]
    assert told.left_out == {}


def test_interval_is_that_of_the_same_draws(report):
    errors = np.arange(12.0)
    told = compare([report("one", 0), report("two", errors)], draws=500, seed=7)
    bootstrap = ClusterBootstrap([s for s, _ in PLACES], [t for _, t in PLACES], draws=500, seed=7)
    weights = np.concatenate(list(bootstrap.weights()))
    weights = weights[weights.sum(1) > 0]
    values = weights @ errors / (10 * weights.sum(1))
    assert told.metrics["wer"]["ci95"][0] == pytest.approx(list(np.quantile(values, [0.025, 0.975])))


def test_only_cases_that_all_have(report):
    told = compare([report("one", 1, without=[0, 1]), report("two", 3, without=[1, 2]), report("three", 5)])
    assert told.metrics["wer"]["n"] == 9
    assert told.metrics["wer"]["differences"] == pytest.approx([0.2, 0.4])
    assert told.metrics["similarity_reference"]["n"] == 12


def test_refusals_name_the_field(report):
    one = report("one")
    with pytest.raises(ConfigurationError, match=r"pairs_sha256 is p+ in the one and q+ in the other"):
        compare([one, report("pairs", pairs="q" * 64)])
    with pytest.raises(ConfigurationError, match=r"wer: judge\.version is 1 in the one and 2 in the other"):
        compare([one, report("version", judge=JUDGE | {"version": "2"})])
    with pytest.raises(ConfigurationError, match=r"wer: judge\.sha256 is 000"):
        compare([one, report("weights", judge=JUDGE | {"sha256": "1" * 64})])
    with pytest.raises(ConfigurationError, match=r"number of cases is 12 in the one and 5 \(b-to-d, for one"):
        compare([one, report("few", cases=5)])
    with pytest.raises(ConfigurationError, match="two reports or more"):
        compare([one])
    with pytest.raises(ConfigurationError, match=r"has no metrics\.json"):
        compare([one, one.parent / "nothing"])


def test_figures_of_other_things_are_left_out(report):
    told = compare([report("one", against="the source"), report("two", against="a parallel recording")])
    assert "mcd_db" not in told.metrics
    assert "computed against different recordings" in told.left_out["mcd_db"]
    assert json.loads(json.dumps(told.as_dict()))["left_out"] == dict(told.left_out)
