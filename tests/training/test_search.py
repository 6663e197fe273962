"""Searches by Optuna: spaces, studies that go on, equal seeds; trainings are in tests/cli/test_tune.py."""

import os
import socket

import pytest
import yaml

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.training import search
from lightning_voiceclone.training.search import FOLDER, OWNER, Outcome
from lightning_voiceclone.training.search_space import SearchSpace, read_space

pytest.importorskip("optuna", reason="a search needs Optuna")
FILE = {
    "metric": {"name": "validation/mel_l1", "goal": "minimize"},
    "parameters": {
        "generator": {"values": ["ConvGenerator", None]},
        "rate": {"distribution": "log_uniform_values", "min": 1e-4, "max": 1e-2},
        "width": {"min": 8, "max": 64},
        "share": {"min": 0.0, "max": 1.0},
        "weight": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0.25},
        "kind": {"value": "fixed"},
    },
}


def written(path, content):
    path.write_text(yaml.safe_dump(content))
    return path


@pytest.fixture
def space(tmp_path):
    return read_space(written(tmp_path / "space.yaml", FILE))


def study(tmp_path, space, name="a", **identity):
    return search.open_study(f"sqlite:///{tmp_path}/tune.db", name, space, space.goal, identity)


def tried(made, space, count, seed=0):
    """Settings of so many trials, each of which ends with the distance of its width to 20."""
    found = []
    for _ in range(count):
        trial, settings = search.next_trial(made, space, seed)
        search.finish(made, trial, Outcome(float(abs(settings["width"] - 20))))
        found.append(settings)
    return found


def test_settings_lie_in_their_ranges(tmp_path, space):
    for settings in tried(study(tmp_path, space), space, 8):
        assert settings["generator"] in ("ConvGenerator", None)
        assert 1e-4 <= settings["rate"] <= 1e-2
        assert settings["width"] in range(8, 65)
        assert 0 <= settings["share"] <= 1
        assert settings["weight"] in (0, 0.25, 0.5, 0.75, 1)
        assert settings["kind"] == "fixed"


def test_equal_seeds_try_equal_settings_also_after_a_break(tmp_path, space):
    whole = tried(study(tmp_path, space, "a"), space, 12, seed=3)
    first = tried(study(tmp_path, space, "b"), space, 7, seed=3)
    assert first + tried(study(tmp_path, space, "b"), space, 5, seed=3) == whole
    assert tried(study(tmp_path, space, "c"), space, 1, seed=4) != whole[:1]


def test_a_trial_of_a_dead_process_is_tried_again_with_what_it_had_reported(tmp_path, space):
    made = study(tmp_path, space)
    trial, settings = search.next_trial(made, space, 0)
    trial.report(0.5, 100)
    assert search.take_up(made) == 1  # its process is this one, which is not in a trial any more
    again, same = search.next_trial(made, space, 0)
    assert same == settings
    assert again.user_attrs[FOLDER] == trial.user_attrs[FOLDER] == "a/trial_000"
    assert search.Watch(again, "validation/mel_l1", "minimize").best == 0.5
    assert made.get_trials()[again.number].intermediate_values == {100: 0.5}


@pytest.mark.parametrize("owner", [f"{socket.gethostname()}:{os.getppid()}", f"another-{socket.gethostname()}:1"])
def test_trials_of_living_processes_and_other_machines_are_left_alone(tmp_path, space, owner):
    made = study(tmp_path, space)
    trial, _ = search.next_trial(made, space, 0)
    trial.set_user_attr(OWNER, owner)
    assert search.take_up(made) == 0


def test_a_study_of_something_else_is_refused(tmp_path, space):
    study(tmp_path, space, recipe="a")
    study(tmp_path, space, recipe="a")
    with pytest.raises(ConfigurationError, match="has another recipe; give another --name"):
        study(tmp_path, space, recipe="b")
    other = SearchSpace({name: space.parameters[name] for name in ("rate", "kind")}, space.metric, space.goal)
    with pytest.raises(ConfigurationError, match="has another parameters"):
        study(tmp_path, other, recipe="a")
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        search.open_study("tune.db", "a", space, space.goal, {})


@pytest.mark.parametrize(("change", "words"), [
    ({"parameters": {}}, "has no parameters"),
    ({"parameters": {"rate": 3}}, "rate must have values"),
    ({"parameters": {"rate": {"values": []}}}, "values must be a list"),
    ({"parameters": {"rate": {"values": [[1]]}}}, "values must be a list"),
    ({"parameters": {"rate": {"min": 2, "max": 1}}}, "min is 2 and max is 1"),
    ({"parameters": {"rate": {"min": 0, "max": float("nan")}}}, "give two numbers"),
    ({"parameters": {"rate": {"distribution": "log_uniform_values", "min": 0, "max": 1}}}, "needs more than 0"),
    ({"parameters": {"rate": {"distribution": "q_uniform", "min": 0, "max": 1, "q": 0}}}, "q is 0"),
    ({"parameters": {"rate": {"distribution": "uniformly", "min": 0, "max": 1}}}, "did you mean uniform"),
    ({"metric": {"name": "a", "goal": "up"}}, "metric must be"),
    ({"metric": "a"}, "metric must be"),
])  # fmt: skip
def test_spaces_that_say_nothing(tmp_path, change, words):
    with pytest.raises(ConfigurationError, match=words) as raised:
        read_space(written(tmp_path / "space.yaml", FILE | change))
    assert str(tmp_path) in str(raised.value)
