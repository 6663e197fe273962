"""Stores answers in SQLite, each at once, so that they survive a killed server."""

import contextlib
import hashlib
import json
import os
import secrets
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.evaluation.listening.contents import contents_fault
from lightning_voiceclone.evaluation.listening.kinds import Conditions
from lightning_voiceclone.evaluation.listening.material import Trial
from lightning_voiceclone.evaluation.listening.schedule import Shown
from lightning_voiceclone.utils.files import unwritable_above
from lightning_voiceclone.utils.reading import excerpt

APPLICATION = 0x6C766C69  # SQLite's application_id of these files, "lvli"
HELD_SECONDS = 1800.0  # an unanswered trial counts as taken for this long
MOST_NEW = 1000  # listeners who started within that time and have answered nothing
CACHED = 1 << 16  # parsed trials and orders
SCHEMA = f"""
PRAGMA application_id = {APPLICATION};
CREATE TABLE identity (content TEXT NOT NULL);
CREATE TABLE listener (id TEXT PRIMARY KEY, since REAL NOT NULL);
CREATE TABLE presentation (
  id INTEGER PRIMARY KEY, listener TEXT NOT NULL REFERENCES listener, trial TEXT NOT NULL, arrangement TEXT NOT NULL,
  since REAL NOT NULL, UNIQUE (listener, trial)
);
CREATE TABLE answer (presentation INTEGER PRIMARY KEY REFERENCES presentation, ratings TEXT NOT NULL,
  since REAL NOT NULL);
"""
Chooser = Callable[[Sequence[Shown]], tuple[Trial, Conditions] | None]


class FullError(LVCError):
    """There are more new listeners than the test allows at once."""


@dataclass(frozen=True)
class Presentation:
    """A trial shown to a listener.

    Args:
        number: its public name, which reveals nothing about it.
        trial: the trial.
        arrangement: the conditions at the places.
    """

    number: int
    trial: Trial
    arrangement: Conditions


@dataclass(frozen=True)
class Answer:
    """One answer: the numbers given to the places of an arrangement.

    Args:
        listener: name.
        trial: the trial.
        arrangement: the conditions at the places.
        values: one for each rated place.
        seconds: between showing the trial and the answer.
    """

    listener: str
    trial: Trial
    arrangement: Conditions
    values: tuple[int, ...]
    seconds: float


def _place_fault(path: Path) -> str:
    """Why no file can be opened there, for which SQLite has one message; empty where one can."""
    if path.is_dir():
        return "it is a folder"
    if path.exists() and not os.access(path, os.R_OK | os.W_OK):
        return "you may not read and write it"
    above = unwritable_above(path)
    return "" if above is None else f"{above} is no folder that you may write to"


class Store:
    """The file of one listening test. Several threads and processes may use it at once.

    Args:
        path: of the file; it is created if it does not exist.
        identity: of the test (``Material.identity``); None to read the test that is there.

    Raises:
        ConfigurationError: if the file is not a listening test's, is of another test, or is missing and to be read.
    """

    def __init__(self, path: Path, identity: dict[str, object] | None) -> None:
        if identity is None and not path.is_file():
            raise ConfigurationError(f"there is no database {path}; name it with --database")
        self.path, self._lock, new = path.resolve(), threading.Lock(), not path.exists()
        try:
            self._database = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
            try:
                self._open(path, identity)
            except BaseException:
                self._database.close()
                raise
        except (sqlite3.Error, UnicodeDecodeError) as error:
            if new and path.is_file() and path.stat().st_size == 0:
                path.unlink()  # SQLite made it, and could write nothing into it
            reason = _place_fault(path) or excerpt(error)
            raise ConfigurationError(f"{path} cannot be used as a listening test's database: {reason};"
                                     " name another file with --database") from error  # fmt: skip

    def _open(self, path: Path, identity: dict[str, object] | None) -> None:
        self._database.execute("PRAGMA trusted_schema = OFF")
        self._database.execute("PRAGMA synchronous = FULL")
        self._database.execute("PRAGMA foreign_keys = ON")
        with self._transaction() as database:
            self.identity = self._begin(database, path, identity)
        self._database.execute("PRAGMA journal_mode = WAL")

    def _begin(self, database: sqlite3.Connection, path: Path, identity: dict[str, object] | None) -> dict[str, object]:
        """The test's identity, written where the file is new."""
        if database.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            if identity is None or database.execute("SELECT count(*) FROM sqlite_master").fetchone()[0]:
                raise ConfigurationError(f"{path} is not a listening test's database; name another with --database")
            for statement in SCHEMA.split(";"):
                database.execute(statement)
            database.execute("INSERT INTO identity VALUES (?)", [json.dumps(identity)])
            return identity
        if fault := contents_fault(database, SCHEMA):
            raise ConfigurationError(f"{path} was damaged or altered: {fault}; take a copy, or another --database")
        there: dict[str, Any] = json.loads(database.execute("SELECT content FROM identity").fetchone()[0])
        for field, here in (identity or {}).items():
            if here != there.get(field):
                detail = f" ({excerpt(', '.join(there[field]))} there)" if field == "systems" else ""
                raise ConfigurationError(
                    f"{path} has the answers of a test of other {field}{detail}; name another file with --database"
                )
        return there

    @property
    def cookie(self) -> str:
        """Name of the cookie by which a browser knows its listener of this test.

        A host's cookies hold for all of its ports, so that each test needs one of its own.
        """
        content = json.dumps([str(self.path), self.identity], sort_keys=True)
        return f"listener-{hashlib.sha256(content.encode(errors='surrogateescape')).hexdigest()[:12]}"

    def close(self) -> None:
        """Write everything into the one file and close it."""
        self._database.close()

    def add_listener(self) -> str:
        """A new listener's name, at random so that nobody can guess it.

        Raises:
            FullError: if ``MOST_NEW`` others have started within the last half hour and answered nothing.
        """
        name = secrets.token_urlsafe(12)
        with self._transaction() as database:
            (new,) = database.execute(
                "SELECT count(*) FROM listener WHERE since > ? AND id NOT IN"
                " (SELECT listener FROM presentation JOIN answer ON id = presentation)", [time.time() - HELD_SECONDS],
            ).fetchone()  # fmt: skip
            if new >= MOST_NEW:
                raise FullError(f"{new} listeners have started and answered nothing yet; try again in half an hour")
            database.execute("INSERT INTO listener VALUES (?, ?)", [name, time.time()])
        return name

    def knows(self, listener: str) -> bool:
        """Whether there is such a listener."""
        with self._transaction() as database:
            return database.execute("SELECT 1 FROM listener WHERE id = ?", [listener]).fetchone() is not None

    def answered(self, listener: str) -> list[Trial]:
        """The trials that the listener has answered."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT trial FROM answer JOIN presentation ON id = presentation WHERE listener = ?", [listener]
            ).fetchall()
        return [_trial(key) for (key,) in rows]

    def present(self, listener: str, choose: Chooser) -> Presentation | None:
        """The listener's open trial, else one that ``choose`` picks from the history; None at the end."""
        with self._transaction() as database:
            row = database.execute(
                "SELECT id, trial, arrangement FROM presentation WHERE listener = ?"
                " AND id NOT IN (SELECT presentation FROM answer)", [listener],
            ).fetchone()  # fmt: skip
            if row:
                return Presentation(row[0], _trial(row[1]), _order(row[2]))
            rows = database.execute(
                "SELECT listener, trial, arrangement FROM presentation LEFT JOIN answer ON id = presentation"
                " WHERE presentation IS NOT NULL OR listener = ? OR presentation.since > ?",
                [listener, time.time() - HELD_SECONDS],
            )
            chosen = choose([Shown(who, _trial(trial), _order(order)) for who, trial, order in rows])
            if chosen is None:
                return None
            number = database.execute(
                "INSERT INTO presentation (listener, trial, arrangement, since) VALUES (?, ?, ?, ?)",
                [listener, chosen[0].key, json.dumps(chosen[1]), time.time()],
            ).lastrowid
            assert number is not None  # SQLite gives one for every row that it inserted
            return Presentation(number, *chosen)

    def presentation(self, listener: str, number: int) -> Presentation | None:
        """The listener's presentation of that number, answered or not."""
        with self._transaction() as database:
            row = database.execute(
                "SELECT trial, arrangement FROM presentation WHERE id = ? AND listener = ?", [number, listener]
            ).fetchone()
        return Presentation(number, _trial(row[0]), _order(row[1])) if row else None

    def answer(self, number: int, values: Sequence[int]) -> Literal["kept", "again", "other"]:
        """Store an answer; the first one stays.

        Returns:
            "kept" for a first answer, "again" where the same was kept before, "other" where another one was.
        """
        text = json.dumps(list(values))
        with self._transaction() as database:
            before = database.execute("SELECT ratings FROM answer WHERE presentation = ?", [number]).fetchone()
            if before is None:
                database.execute("INSERT INTO answer VALUES (?, ?, ?)", [number, text, time.time()])
                return "kept"
        return "again" if before[0] == text else "other"

    def answers(self) -> list[Answer]:
        """All answers, in the order in which the trials were shown."""
        with self._transaction() as database:
            rows = database.execute(
                "SELECT listener, trial, arrangement, ratings, answer.since - presentation.since"
                " FROM answer JOIN presentation ON id = presentation ORDER BY id"
            ).fetchall()
        return [
            Answer(listener, _trial(trial), _order(order), tuple(json.loads(ratings)), seconds)
            for listener, trial, order, ratings, seconds in rows
        ]

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield self._database
                self._database.execute("COMMIT")
            except BaseException:
                if self._database.in_transaction:  # SQLite has rolled back by itself where the disk is full
                    self._database.execute("ROLLBACK")
                raise


@lru_cache(CACHED)
def _order(text: str) -> Conditions:
    return tuple(json.loads(text))


@lru_cache(CACHED)
def _trial(key: str) -> Trial:
    test, case, *conditions = json.loads(key)
    return Trial(test, case, tuple(conditions))
