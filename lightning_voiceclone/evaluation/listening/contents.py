"""Checks the contents of a listening test's database, which another person may have made or changed."""

import math
import sqlite3
from typing import Any

from lightning_voiceclone.evaluation.listening.kinds import TESTS
from lightning_voiceclone.utils.reading import are_strings, excerpt, parse_json

MOST_CELL = 1 << 20  # bytes
CONDITIONS = {"mos": (1, 1), "similarity": (1, 1), "abx": (2, 2), "mushra": (3, 100)}  # least and most in a trial
OBJECTS = "SELECT type, name, sql FROM sqlite_master ORDER BY type, name"


def contents_fault(database: sqlite3.Connection, schema: str) -> str:
    """The first thing in an open database that a listening test does not write; empty if there is none.

    Raises:
        sqlite3.Error: if the file is damaged.
    """
    if hasattr(database, "setlimit"):  # Python 3.11
        database.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MOST_CELL)
    # Another person's views and triggers would run with our queries.
    fresh = sqlite3.connect(":memory:")
    fresh.executescript(schema)
    expected = fresh.execute(OBJECTS).fetchall()
    fresh.close()
    if database.execute(OBJECTS).fetchall() != expected:
        return "it has other tables than a listening test's"
    identities = database.execute("SELECT content FROM identity").fetchall()
    identity = _parsed(identities[0][0]) if len(identities) == 1 else None
    if not isinstance(identity, dict) or not isinstance(identity.get("systems"), dict):
        return "it does not identify its test"
    rows = database.execute("SELECT id, listener, trial, arrangement, since FROM presentation")
    orders: dict[int, tuple[str, list[str]]] = {}
    for number, listener, trial, order, since in rows:
        shown = _presentation(trial, order)
        if shown is None or not isinstance(listener, str) or not _is_time(since):
            return f"the presentation {number} is {_shown(trial, order, since)}, which is not a trial"
        orders[number] = shown
    for number, ratings, since in database.execute("SELECT presentation, ratings, since FROM answer"):
        if number not in orders or not _is_time(since) or not _is_answer(*orders[number], ratings):
            return f"the answer {number} is {_shown(ratings, since)}, which does not fit its trial"
    return ""


def _parsed(text: object) -> Any:
    try:
        return parse_json(text) if isinstance(text, str) else None
    except ValueError:
        return None


def _presentation(trial: object, order: object) -> tuple[str, list[str]] | None:
    """Test and arrangement of a row; None if they are not valid."""
    key, places = _parsed(trial), _parsed(order)
    if not are_strings(key) or len(key) < 3 or key[0] not in TESTS or not are_strings(places):
        return None
    least, most = CONDITIONS[key[0]]
    if not least <= len(key) - 2 <= most:
        return None
    return (key[0], places) if tuple(places) in TESTS[key[0]].arrangements(tuple(key[2:])) else None


def _is_answer(test: str, order: list[str], ratings: object) -> bool:
    values, kind = _parsed(ratings), TESTS[test]
    if not isinstance(values, list) or len(values) != kind.count(tuple(order)):
        return False
    return all(type(value) is int and kind.least <= value <= kind.greatest for value in values)


def _is_time(value: object) -> bool:
    return isinstance(value, float) and math.isfinite(value)


def _shown(*cells: object) -> str:
    return excerpt(", ".join(repr(cell)[:60] for cell in cells))
