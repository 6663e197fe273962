"""What the page can ask for, and what it is never told."""

import json
import signal
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from http.cookiejar import CookieJar

import pytest

from lightning_voiceclone.evaluation.listening.kinds import TESTS
from lightning_voiceclone.evaluation.listening.material import Material
from lightning_voiceclone.evaluation.listening.schedule import Schedule
from lightning_voiceclone.evaluation.listening.store import Store

testclient = pytest.importorskip(
    "fastapi.testclient", reason="needs fastapi: pip install 'lightning-voiceclone[listen]'"
)


@pytest.fixture
def client(make_test):
    def make(*arguments, **options):
        from lightning_voiceclone.evaluation.listening.server import make_app

        material, store, schedule = make_test(*arguments, **options)
        return testclient.TestClient(make_app(material, store, schedule), "http://localhost:7860"), store

    return make


def answer_to(trial):
    return [trial["greatest"]] * trial["rated"]


@pytest.mark.slow
def test_a_whole_test(client):
    browser, store = client(trials=2)
    assert browser.get("/api/trial").json() == {"listener": None, "trial": None}
    state = browser.post("/api/listener").json()
    assert (state["answered"], state["total"]) == (0, 8)
    titles = []
    while trial := state["trial"]:
        titles.append(trial["title"])
        for place in range(len(trial["places"])):
            sound = browser.get(f"/audio/{trial['number']}/{place}")
            assert sound.headers["content-type"] == "audio/wav"
            assert sound.content[:4] == b"RIFF"
        body = {"trial": trial["number"], "values": answer_to(trial)}
        state = browser.post("/api/answer", json=body).json()
        assert browser.post("/api/answer", json=body).status_code == 200  # the same again changes nothing
    assert titles == [test.title for test in TESTS.values() for _ in range(2)]
    assert (state["answered"], state["total"]) == (8, 8)
    assert len(store.answers()) == 8


@pytest.mark.slow
def test_nothing_tells_which_system_is_which(client, reports):
    browser, _ = client(trials=2)
    state = browser.post("/api/listener").json()
    told = [browser.get("/").text]
    while trial := state["trial"]:
        told.append(json.dumps(state))
        sounds = [browser.get(f"/audio/{trial['number']}/{place}") for place in range(len(trial["places"]))]
        told += [str(sound.headers).lower() for sound in sounds]
        assert not {"etag", "last-modified", "content-disposition"} & {name for s in sounds for name in s.headers}
        state = browser.post("/api/answer", json={"trial": trial["number"], "values": answer_to(trial)}).json()
    for text in told:
        for secret in ("alpha", "beta", "gamma", "a-to-b", "b-to-c", "clone", "anchor", str(reports[0].parent)):
            assert secret not in text


@pytest.mark.slow
def test_answers_are_checked(client):
    browser, store = client(("mos", "mushra"), trials=1)
    trial = browser.post("/api/listener").json()["trial"]
    number = trial["number"]
    wrong = [
        {"trial": number, "values": [0]},
        {"trial": number, "values": [6]},
        {"trial": number, "values": [3.5]},
        {"trial": number, "values": ["3"]},
        {"trial": number, "values": [True]},
        {"trial": number, "values": [None]},
        {"trial": number, "values": []},
        {"trial": number, "values": [3, 3]},
        {"trial": number, "values": [3] * 1000},
        {"trial": number, "values": 3},
        {"trial": str(number), "values": [3]},
        {"trial": 10**30, "values": [3]},
        {"trial": number, "values": [3], "system": "alpha"},
        {"values": [3]},
        [],
    ]
    for body in wrong:
        assert browser.post("/api/answer", json=body).status_code == 422, body
    for kind in ("application/json", "text/plain", "application/x-www-form-urlencoded"):
        sent = browser.post("/api/answer", content=b"\xff{", headers={"Content-Type": kind})
        assert 400 <= sent.status_code < 500
    assert browser.post("/api/answer", json={"trial": number + 1, "values": [3]}).status_code == 404
    assert store.answers() == []
    assert browser.post("/api/answer", json={"trial": number, "values": [3]}).status_code == 200
    assert browser.post("/api/answer", json={"trial": number, "values": [4]}).status_code == 409
    assert [answer.values for answer in store.answers()] == [(3,)]
    side_by_side = browser.get("/api/trial").json()["trial"]
    assert (side_by_side["least"], side_by_side["greatest"], side_by_side["rated"]) == (0, 100, 5)
    for values in ([50] * 4, [50] * 6, [50] * 4 + [101], [50] * 4 + [-1]):
        body = {"trial": side_by_side["number"], "values": values}
        assert browser.post("/api/answer", json=body).status_code == 422


@pytest.mark.slow
def test_recordings_and_trials_belong_to_their_listener(client):
    browser, _ = client()
    trial = browser.post("/api/listener").json()["trial"]
    number = trial["number"]
    for path in (f"/audio/{number}/1", f"/audio/{number}/-1", f"/audio/{number + 1}/0", f"/audio/{10**30}/0"):
        assert browser.get(path).status_code == 404
    assert browser.get("/audio/../../etc/passwd").status_code == 404
    assert browser.get(f"/audio/{number}/x").status_code == 422
    browser.post("/api/listener")  # another one in the same browser
    assert browser.get(f"/audio/{number}/0").status_code == 404
    assert browser.post("/api/answer", json={"trial": number, "values": [3]}).status_code == 404
    browser.cookies.clear()
    assert browser.get(f"/audio/{number}/0").status_code == 401
    assert browser.post("/api/answer", json={"trial": number, "values": [3]}).status_code == 401


def test_other_sites_cannot_answer(client):
    browser, _ = client()
    body = {"trial": browser.post("/api/listener").json()["trial"]["number"], "values": [3]}
    assert browser.post("/api/answer", json=body, headers={"Origin": "http://elsewhere"}).status_code == 403
    assert browser.post("/api/answer", json=body, headers={"Origin": "null"}).status_code == 403
    assert browser.post("/api/answer", json=body, headers={"Origin": "http://localhost:7860"}).status_code == 200


@pytest.mark.slow
def test_at_a_loopback_address_other_names_of_it_are_refused(client, make_test):
    browser, store = client()
    body = {"trial": browser.post("/api/listener").json()["trial"]["number"], "values": [3]}
    for host in (
        "elsewhere",
        "elsewhere:7860",
        "localhost.elsewhere",
        "127.0.0.1.elsewhere:7860",
        "[::1",
        "",
        "192.0.2.1",
    ):
        rebound = {"Host": host, "Origin": f"http://{host}"}
        assert browser.get("/", headers=rebound).status_code == 403, host
        assert browser.get("/api/trial", headers=rebound).status_code == 403, host
        assert browser.post("/api/answer", json=body, headers=rebound).status_code == 403, host
    assert store.answers() == []
    for host in ("127.0.0.1", "127.0.0.1:7860", "LOCALHOST:9000", "localhost", "[::1]", "[::1]:7860"):
        assert browser.get("/", headers={"Host": host}).status_code == 200, host
    from lightning_voiceclone.evaluation.listening.server import make_app

    other = testclient.TestClient(make_app(*make_test(), "127.0.0.2"), "http://127.0.0.2:7860")
    assert other.get("/").status_code == 200
    assert other.get("/", headers={"Host": "elsewhere"}).status_code == 403
    let_in = testclient.TestClient(make_app(*make_test(), "0.0.0.0"), "http://laboratory:7860")
    assert let_in.get("/").status_code == 200


@pytest.mark.slow
def test_a_server_knows_that_it_is_at_a_loopback_address(serve, reports, tmp_path):
    with serve(reports[0], "--database", tmp_path / "listen.sqlite") as (address, _):
        rebound = urllib.request.Request(address, headers={"Host": "elsewhere"})
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(rebound, timeout=30)
        with urllib.request.urlopen(address, timeout=30) as response:
            assert response.status == 200


def test_a_listener_goes_on_elsewhere_by_an_address(client):
    browser, _ = client()
    state = browser.post("/api/listener").json()
    browser.cookies.clear()
    assert browser.get("/?listener=nobody").status_code == 404
    page = browser.get(f"/?listener={state['listener']}")
    assert page.url.path == "/"
    assert page.url.query == b""
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert browser.get("/api/trial").json() == state


def test_two_tests_on_one_host_have_a_listener_each(reports, tmp_path):
    from lightning_voiceclone.evaluation.listening.server import make_app

    tests = []
    for name in ("one", "two"):
        material = Material(reports[:1])
        store = Store(tmp_path / f"{name}.sqlite", material.identity)
        app = make_app(material, store, Schedule({"mos": material.trials("mos")}, 2, 0))
        tests.append((store, testclient.TestClient(app, "http://localhost:7860")))
    begun = [client.post("/api/listener").json() for _, client in tests]
    for _, client in tests:  # a browser sends a host's cookies to all of its ports
        for _, other in tests:
            client.cookies.update(other.cookies)
    for (store, client), state in zip(tests, begun, strict=True):
        assert client.get("/api/trial").json() == state
        sent = client.post("/api/answer", json={"trial": state["trial"]["number"], "values": [3]})
        assert (sent.status_code, sent.json()["answered"]) == (200, 1)
        assert [answer.listener for answer in store.answers()] == [state["listener"]]
        store.close()


def test_a_recording_that_disappears_is_reported(client, reports, monkeypatch):
    browser, _ = client()
    number = browser.post("/api/listener").json()["trial"]["number"]
    monkeypatch.setattr("lightning_voiceclone.evaluation.report.AUDIO", "elsewhere")
    assert browser.get(f"/audio/{number}/0").status_code == 503


class Visitor:
    """A browser without a screen, over a real connection."""

    def __init__(self, address, cookies=None):
        self.address, self.cookies = address, cookies or CookieJar()
        self.opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.cookies))

    def ask(self, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Content-Type": "application/json"})
        with self.opener.open(request, timeout=30) as response:
            return json.loads(response.read())

    def answer(self, state):
        trial = state["trial"]
        return self.ask("/api/answer", {"trial": trial["number"], "values": answer_to(trial)})


@pytest.mark.slow
def test_answers_survive_a_killed_server_and_two_listen_at_once(serve, reports, tmp_path):
    database = tmp_path / "listen.sqlite"
    arguments = [*reports, "--database", database, "--trials", 3]
    with serve(*arguments) as (address, process):
        visitors = [Visitor(address), Visitor(address)]
        states = [visitor.ask("/api/listener", {}) for visitor in visitors]
        with ThreadPoolExecutor(2) as pool:
            for _ in range(4):
                states = list(pool.map(lambda pair: pair[0].answer(pair[1]), zip(visitors, states, strict=True)))
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL
    with serve(*arguments) as (address, process):
        links = [f"/?listener={state['listener']}" for state in states]
        again = [Visitor(address), Visitor(address)]
        for visitor, link in zip(again, links, strict=True):
            visitor.opener.open(address + link, timeout=30).close()
        assert [visitor.ask("/api/trial") for visitor in again] == states
        assert [state["answered"] for state in states] == [4, 4]
        for visitor, state in zip(again, states, strict=True):
            while state["trial"]:
                state = visitor.answer(state)
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 0  # Ctrl-C is how a server ends
    assert not database.with_name("listen.sqlite-wal").exists()
    store = Store(database, None)
    kept = store.answers()
    store.close()
    assert len(kept) == 24
    assert len({(answer.listener, answer.trial.key) for answer in kept}) == 24
    mos = [answer.trial.key for answer in kept if answer.trial.test == "mos"]
    assert len(set(mos)) == 6  # two listeners at once were never given the same
