import sqlite3
from concurrent.futures import ThreadPoolExecutor

import pytest

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.listening import store as stores
from lightning_voiceclone.evaluation.listening.store import Store


@pytest.mark.slow
def test_an_answer_is_kept_once_and_the_first_stays(make_test):
    _, store, schedule = make_test()
    listener = store.add_listener()
    shown = store.present(listener, lambda history: schedule.next(listener, history))
    assert store.answer(shown.number, [3]) == "kept"
    assert store.answer(shown.number, [3]) == "again"
    assert store.answer(shown.number, [4]) == "other"
    (kept,) = store.answers()
    assert (kept.listener, kept.values, kept.trial, kept.arrangement) == (
        listener, (3,), shown.trial, shown.arrangement
    )  # fmt: skip
    assert 0 <= kept.seconds < 60


def test_a_trial_stays_before_its_listener_until_it_is_answered(make_test, tmp_path):
    material, store, schedule = make_test()
    listener = store.add_listener()
    choose = lambda history: schedule.next(listener, history)  # noqa: E731
    shown = store.present(listener, choose)
    assert store.present(listener, choose) == shown
    store.close()
    again = Store(tmp_path / "listen.sqlite", material.identity)
    assert again.present(listener, choose) == shown
    again.answer(shown.number, [1])
    assert again.present(listener, choose).trial.key != shown.trial.key
    again.close()


def test_a_trial_that_nobody_answers_is_free_again_after_a_while(make_test, monkeypatch):
    _, store, _ = make_test()
    first, second = store.add_listener(), store.add_listener()
    _, _, schedule = make_test(("mos",))
    store.present(first, lambda history: schedule.next(first, history))
    seen = []
    monkeypatch.setattr(stores, "HELD_SECONDS", 1e6)
    store.present(second, lambda history: seen.append(len(history)))
    monkeypatch.setattr(stores, "HELD_SECONDS", -1.0)
    store.present(second, lambda history: seen.append(len(history)))
    assert seen == [1, 0]


@pytest.mark.slow
def test_many_at_once_each_answer_everything_once(make_test):
    _, store, schedule = make_test(trials=4)

    def listen(_):
        listener = store.add_listener()
        while shown := store.present(listener, lambda history: schedule.next(listener, history)):
            assert store.answer(shown.number, [1]) == "kept"
        return len(store.answered(listener))

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(listen, range(8))) == [16] * 8
    mos = [answer.trial.key for answer in store.answers() if answer.trial.test == "mos"]
    assert sorted(mos.count(key) for key in set(mos)) == [2] * 16  # 8 x 4 answers over 16 trials


def test_a_listener_in_two_windows_sees_one_trial(make_test):
    _, store, schedule = make_test()
    listener = store.add_listener()
    with ThreadPoolExecutor(8) as pool:
        shown = list(pool.map(
            lambda _: store.present(listener, lambda history: schedule.next(listener, history)), range(16)
        ))  # fmt: skip
    assert len({presentation.number for presentation in shown}) == 1


def test_databases_of_other_tests_and_other_files_are_refused(make_test, tmp_path):
    material, store, _ = make_test()
    store.close()
    path = tmp_path / "listen.sqlite"
    Store(path, material.identity).close()
    with pytest.raises(ConfigurationError, match=r"other systems \(alpha, beta, gamma there\).*--database"):
        Store(path, material.identity | {"systems": {"alpha": "0"}})
    with pytest.raises(ConfigurationError, match="other pairs"):
        Store(path, material.identity | {"pairs": "0"})
    (tmp_path / "text").write_text("this is no database, but a text of some length\n" * 50)
    with pytest.raises(ConfigurationError, match="text cannot be used"):
        Store(tmp_path / "text", material.identity)
    other = sqlite3.connect(tmp_path / "other.sqlite")
    other.execute("CREATE TABLE mine (x)")
    other.commit()
    other.close()
    before = (tmp_path / "other.sqlite").read_bytes()
    with pytest.raises(ConfigurationError, match="not a listening test's database"):
        Store(tmp_path / "other.sqlite", material.identity)
    assert (tmp_path / "other.sqlite").read_bytes() == before
    with pytest.raises(ConfigurationError, match="there is no database"):
        Store(tmp_path / "missing.sqlite", None)
    assert not (tmp_path / "missing.sqlite").exists()
    with pytest.raises(ConfigurationError, match="cannot be used"):
        Store(tmp_path / "missing" / "listen.sqlite", material.identity)
