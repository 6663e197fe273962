"""The server among visitors who mean no good: it answers 4xx, forgets them, and serves the others."""

import json
import socket
import sqlite3
import time
import urllib.request
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from hostile import requests as hostile

testclient = pytest.importorskip(
    "fastapi.testclient", reason="needs fastapi: pip install 'lightning-voiceclone[listen]'"
)
KINDS, OF_EACH = len(hostile.KINDS), 4  # benchmarks/hostile_requests.py sends thousands
AT_ONCE, LIMIT = 32, 20.0  # requests, and seconds for one of them
READ, ANSWER = 3.0, 4.0  # seconds that the server waits, instead of 10 and 60


def ask(address, path, cookie="", body=None):
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json", "Cookie": cookie}
    with urllib.request.urlopen(urllib.request.Request(address + path, data, headers), timeout=30) as response:
        return response.read()


def listen(address):
    """An ordinary listener: hears and answers everything; gives his state, and how it was before."""
    target, before = hostile.begin(address)
    state, who = before, target.cookie
    while trial := state["trial"]:
        for place in range(len(trial["places"])):
            assert ask(address, f"/audio/{trial['number']}/{place}", who)[:4] == b"RIFF"
        answer = {"trial": trial["number"], "values": [trial["greatest"]] * trial["rated"]}
        state = json.loads(ask(address, "/api/answer", who, answer))
    return state, before


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="memory is read from /proc")
def test_hostile_requests_leave_the_server_as_it_was(serve, reports, tmp_path):
    arguments = [*reports[:2], "--database", tmp_path / "listen.sqlite", "--trials", 2, "--tests", "mos,mushra"]
    with (
        (tmp_path / "errors").open("w+") as errors,
        serve(*arguments, errors=errors, READ_SECONDS=READ, RESPONSE_SECONDS=ANSWER, IDLE_SECONDS=1) as (
            address,
            process,
        ),
    ):
        target, victim = hostile.begin(address)
        listen(address)
        hostile.send_all(target, KINDS, seed=99, limit=LIMIT, at_once=AT_ONCE)  # threads start, libraries are imported
        before = hostile.memory(process.pid)
        sent = hostile.send_all(target, OF_EACH * KINDS, seed=0, limit=LIMIT, at_once=AT_ONCE)
        after = hostile.memory(process.pid)
        found = {name: [statuses for kind, statuses, _ in sent if kind == name] for name, _, _ in sent}
        assert [len(of_kind) for of_kind in found.values()] == [OF_EACH] * KINDS
        assert [(name, told) for name, told, _ in sent if any(status >= 500 for status in told)] == []
        assert max(seconds for _, _, seconds in sent) < LIMIT
        assert after - before < 50e6
        assert all(set(told) <= {403, 408} for told in found["bad Origin"])  # 408 where this machine is slow
        assert {status for told in found["huge body"] for status in told} <= {400, 408, 413}
        assert {status for told in found["huge headers"] for status in told} <= {400, 408, 431}
        assert 408 in {status for told in found["slow headers"] for status in told}
        state, _ = listen(address)
        assert state["answered"] == state["total"] == 4
        assert json.loads(ask(address, "/api/trial", target.cookie)) == victim  # nobody answered for him
        assert process.returncode is None
        errors.seek(0)
        assert "Traceback" not in errors.read()


@pytest.mark.slow
def test_connections_beyond_the_bound_are_refused_and_slow_ones_end(serve, reports, tmp_path):
    arguments = [*reports[:1], "--database", tmp_path / "listen.sqlite", "--tests", "mos"]
    with serve(*arguments, MOST_CONNECTIONS=5, READ_SECONDS=READ) as (address, _):
        place = urlsplit(address)
        slow = [socket.create_connection((place.hostname, place.port), timeout=10) for _ in range(5)]
        time.sleep(0.1)
        with socket.create_connection((place.hostname, place.port), timeout=10) as one_more:
            assert one_more.recv(1000).startswith(b"HTTP/1.1 503 ")
        for connection in slow:  # each in one line, within seconds, although nothing was sent
            assert connection.recv(1000).startswith(b"HTTP/1.1 408 ")
            connection.close()
        assert b"Listening test" in ask(address, "/")


@pytest.fixture
def browser(make_test):
    from lightning_voiceclone.evaluation.listening.server import make_app

    material, store, schedule = make_test(("mos",))
    return testclient.TestClient(make_app(material, store, schedule), "http://localhost:7860"), store


def test_an_origin_that_is_no_address_and_a_long_body(browser):
    client, store = browser
    trial = client.post("/api/listener").json()["trial"]
    body = {"trial": trial["number"], "values": [3]}
    assert client.post("/api/answer", json=body, headers={"Origin": "http://["}).status_code == 403
    long = client.post("/api/answer", content=b" " * (1 << 14) + b"{}")
    assert (long.status_code, long.text) == (413, "the body is larger than 16384 bytes; an answer is much shorter")
    strange = client.post("/api/answer", content=b'{"\\ud800": 1}', headers={"Content-Type": "application/json"})
    assert strange.status_code == 422
    assert store.answers() == []


@pytest.mark.slow
def test_a_full_disk_is_503_and_the_answer_is_kept_once_there_is_space(browser):
    client, store = browser
    trial = client.post("/api/listener").json()["trial"]
    pages = store._database.execute("PRAGMA page_count").fetchone()[0]
    store._database.execute(f"PRAGMA max_page_count = {pages}")  # SQLite's own full disk
    while client.post("/api/listener").status_code == 201:  # fills the pages that are there
        assert store._database.execute("SELECT count(*) FROM listener").fetchone()[0] < 500
    refused = client.post("/api/listener")
    assert refused.status_code == 503
    assert "full disk" in refused.json()["detail"]
    assert client.get("/").status_code == 200
    store._database.execute("PRAGMA max_page_count = 100000")
    state = client.post("/api/listener").json()
    sent = client.post("/api/answer", json={"trial": state["trial"]["number"], "values": [3]})
    assert sent.status_code == 200
    assert len(store.answers()) == 1
    assert trial["number"] != state["trial"]["number"]


def test_listeners_who_answer_nothing_are_bounded(browser, monkeypatch):
    client, _ = browser
    monkeypatch.setattr("lightning_voiceclone.evaluation.listening.store.MOST_NEW", 3)
    states = [client.post("/api/listener") for _ in range(4)]
    assert [state.status_code for state in states] == [201, 201, 201, 503]
    assert "3 listeners have started" in states[3].json()["detail"]
    body = {"trial": states[2].json()["trial"]["number"], "values": [3]}
    assert client.post("/api/answer", json=body).status_code == 200
    assert client.post("/api/listener").status_code == 201  # one has answered


def test_a_disk_error_of_any_kind_is_503(browser, monkeypatch):
    client, store = browser

    def fail(listener):
        raise sqlite3.OperationalError("disk I/O error")

    monkeypatch.setattr(store, "knows", fail)
    assert client.get("/api/trial").status_code == 503
