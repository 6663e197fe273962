"""``lvc listen``: one line for what is wrong, and results."""

import json
import re
import socket
import sys

import pytest

from lightning_voiceclone.cli import main as cli
from lightning_voiceclone.evaluation.listening.material import Material
from lightning_voiceclone.evaluation.listening.schedule import Schedule
from lightning_voiceclone.evaluation.listening.store import Store
from lightning_voiceclone.testing.reports import write_report

CASES = ["a-to-b", "b-to-a"]


@pytest.fixture(autouse=True)
def _no_server(monkeypatch):
    """A test here that came to serve would never end."""
    monkeypatch.setattr("lightning_voiceclone.evaluation.listening.server.make_app", None)


@pytest.fixture
def reports(tmp_path):
    for seed, name in enumerate(("alpha", "beta")):
        write_report(tmp_path / name, CASES, seed=seed)
    return [str(tmp_path / "alpha"), str(tmp_path / "beta")]


def told(capsys, *arguments):
    """The one line of an error."""
    assert cli.main(["listen", *map(str, arguments)]) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("lvc: error: ")
    assert printed.err.count("\n") == 1
    return printed.err


def fill(path, reports, tests):
    material = Material(reports)
    store = Store(path, material.identity)
    schedule = Schedule({test: material.trials(test) for test in tests}, 16, 0)
    for _ in range(2):
        listener = store.add_listener()
        while shown := store.present(listener, lambda history, who=listener: schedule.next(who, history)):
            values = {"mos": [4], "similarity": [3], "abx": [1], "mushra": list(range(90, 94))}[shown.trial.test]
            store.answer(shown.number, values)
    store.close()


@pytest.mark.slow
def test_bad_input_is_one_line(capsys, reports, tmp_path):
    database = ["--database", tmp_path / "listen.sqlite"]
    assert "name at least one report" in told(capsys)
    assert "has no metrics.json" in told(capsys, tmp_path / "nowhere")
    for path in (tmp_path / "alpha" / "audio").iterdir():
        path.unlink()
    assert "has no case with its recordings" in told(capsys, reports[0], *database)
    assert "'moss' (did you mean mos?)" in told(capsys, reports[1], "--tests", "mos,moss", *database)
    assert "abx compares 2 systems, but 1 report" in told(capsys, reports[1], "--tests", "abx", *database)
    assert "--trials is 0" in told(capsys, reports[1], "--trials", "0", *database)
    assert "--port is 70000" in told(capsys, reports[1], "--port", "70000", *database)
    assert "no.such.host.invalid" in told(capsys, reports[1], "--host", "no.such.host.invalid", *database)
    assert "add --results" in told(capsys, reports[1], "--json")
    assert "reads the database alone" in told(capsys, reports[1], "--results", *database)
    assert "there is no database" in told(capsys, "--results", *database)
    assert not (tmp_path / "listen.sqlite").exists()


@pytest.mark.slow
def test_a_port_in_use_and_the_database_of_another_test(capsys, reports, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        words = told(capsys, reports[0], "--port", port, "--database", tmp_path / "new.sqlite")
    assert f"port {port}: Address already in use; choose another with --port" in words
    assert not (tmp_path / "new.sqlite").exists()
    fill(tmp_path / "listen.sqlite", reports, ["mos"])
    words = told(capsys, reports[0], "--port", "0", "--database", tmp_path / "listen.sqlite")
    assert "other systems (alpha, beta there)" in words


@pytest.mark.slow
def test_without_the_extra_its_name_is_given(capsys, reports, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)
    assert "pip install 'lightning-voiceclone[listen]'" in told(capsys, reports[0])


@pytest.mark.slow
def test_results_as_a_table_and_as_json(capsys, reports, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "fastapi", None)  # reading results needs no server
    path = tmp_path / "listen.sqlite"
    fill(path, reports, ["mos", "similarity", "abx", "mushra"])
    assert cli.main(["listen", "--results", "--database", str(path)]) == 0
    table = capsys.readouterr().out
    assert re.search(r"^alpha +4\.00 +4\.00 to 4\.00 +4$", table, re.M)
    assert re.search(r"^alpha +3\.00 +3\.00 to 3\.00 +4 +100% +1\.00 to 1\.00$", table, re.M)
    assert re.search(r"^alpha / beta +0\.50 +0\.15 to 0\.85 +4 +1$", table, re.M)
    assert "intervals: Wilson" in table
    assert "intervals: bootstrap clustered over listeners and cases" in table
    assert cli.main(["listen", "--results", "--database", str(path), "--json"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert printed["results"]["mos"]["systems"]["beta"] == {
        "mean": 4.0, "ci95": [4.0, 4.0], "n": 4, "listeners": 2, "cases": 2
    }  # fmt: skip
    assert set(printed["test"]["systems"]) == {"alpha", "beta"}
    mushra = printed["results"]["mushra"]["systems"]
    assert set(mushra) == {"alpha", "beta", "(source recording)", "(low-pass anchor)"}
    # Two listeners rate by place, each sample stands at each place equally often over eight trials; here are four.
    assert sum(summary["mean"] for summary in mushra.values()) == pytest.approx(90 + 91 + 92 + 93)


@pytest.mark.slow
def test_no_answers_yet(capsys, reports, tmp_path):
    Store(tmp_path / "listen.sqlite", Material(reports).identity).close()
    assert cli.main(["listen", "--results", "--database", str(tmp_path / "listen.sqlite")]) == 0
    assert "no answers yet" in capsys.readouterr().out
