"""``lvc listen``."""

import argparse
import contextlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.errors import ConfigurationError, nearest
from lightning_voiceclone.utils.terminal import printable, table

if TYPE_CHECKING:
    import socket

TESTS = ("mos", "similarity", "abx", "mushra")
REMEDY = "pip install 'lightning-voiceclone[listen]'"


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser(
        "lvc listen",
        description="Serve a listening test in the browser with the recordings of reports, one for each system, all of"
        " the same pairs; or print its results. Tests: mos (naturalness, 1 to 5), similarity (the same"
        " speaker as the reference? four points), abx (can listeners distinguish two systems?), mushra (systems side by"
        " side, 0 to 100, with hidden reference and anchor).",
    )
    made.add_argument("reports", nargs="*", type=Path, metavar="REPORT", help="folders that lvc evaluate wrote")
    made.add_argument("--port", default=7860, type=int, help="port to serve at; 0 takes a free one (default: 7860)")
    made.add_argument("--host", default="127.0.0.1", help="address to serve at; 0.0.0.0 serves other machines too"
                      " (default: 127.0.0.1)")  # fmt: skip
    made.add_argument("--database", default=Path("listen.sqlite"), type=Path, metavar="FILE",
                      help="where answers are stored (default: listen.sqlite)")  # fmt: skip
    made.add_argument("--tests", metavar="NAMES", help="tests in their order, separated by commas (default: all"
                      " that this number of reports allows; abx needs two)")  # fmt: skip
    made.add_argument("--trials", default=16, type=int,
                      help="of each test for one listener, at most (default: 16)")  # fmt: skip
    made.add_argument("--seed", default=0, type=int, help="random seed of the order of trials (default: 0)")
    made.add_argument("--results", action="store_true", help="print means with 95%% intervals instead of serving")
    made.add_argument("--json", action="store_true", help="with --results: print an object instead of a table")
    return made


def run(argv: list[str]) -> int:
    """Serve the test, or print its results."""
    options = parser().parse_args(argv)
    if options.results:
        return _results(options)
    if options.json:
        raise ConfigurationError("--json is for results; add --results")
    return _serve(options)


def _results(options: argparse.Namespace) -> int:
    from lightning_voiceclone.evaluation.listening.statistics import results
    from lightning_voiceclone.evaluation.listening.store import Store

    if options.reports:
        raise ConfigurationError(f"--results reads the database alone; leave out {options.reports[0]}")
    store = Store(options.database, None)
    found = results(store.answers(), options.seed)
    store.close()
    if options.json:
        print(json.dumps({"database": str(options.database), "test": store.identity, "results": found}, indent=1))
    elif found:
        print(printable("\n\n".join(_table(name, result) for name, result in found.items()), lines=True))
    else:
        print(f"{printable(options.database)}: no answers yet")
    return 0


def _table(name: str, result: Mapping[str, Any]) -> str:
    head = (
        f"{name}: {result['title']} ({result['answers']} answers of {result['listeners']} listeners; intervals:"
        f" {result['interval']})"
    )
    rows = [("SYSTEM", "MEAN", "95% INTERVAL", "N", *(["SAME", "95% INTERVAL"] if name == "similarity" else []),
             *(["P (GUESSING)"] if name == "abx" else []))]  # fmt: skip
    for system, summary in sorted(result["systems"].items(), key=lambda item: -item[1]["mean"]):
        row = [system, f"{summary['mean']:.2f}", _interval(summary["ci95"], 2), str(summary["n"])]
        if name == "similarity":
            row += [f"{summary['same']:.0%}", _interval(summary["same_ci95"], 2)]
        if name == "abx":
            row.append(f"{summary['p_value']:.3g}")
        rows.append(tuple(row))
    lines = [table([[printable(cell) for cell in row] for row in rows])]
    unreliable = result.get("unreliable_listeners")
    if unreliable:
        lines.append(f"{len(unreliable)} listeners rated the hidden reference below 90 in more than 15% of their"
                     f" trials, whom BS.1534-3 would exclude: {printable(', '.join(unreliable))}")  # fmt: skip
    return "\n".join([head, *lines])


def _interval(ends: Sequence[float] | None, digits: int) -> str:
    return f"{ends[0]:.{digits}f} to {ends[1]:.{digits}f}" if ends else "-"


def _serve(options: argparse.Namespace) -> int:
    if not options.reports:
        raise ConfigurationError("name at least one report's folder: lvc listen report/; lvc evaluate writes them")
    if options.trials < 1:
        raise ConfigurationError(f"--trials is {options.trials}, but must be at least 1")
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(f"lvc listen needs {error.name}, which is not installed: {REMEDY}") from error
    from lightning_voiceclone.evaluation.listening.bounds import bounded_server
    from lightning_voiceclone.evaluation.listening.material import Material
    from lightning_voiceclone.evaluation.listening.schedule import Schedule
    from lightning_voiceclone.evaluation.listening.server import make_app
    from lightning_voiceclone.evaluation.listening.store import Store

    material = Material(options.reports)
    tests = _tests(options.tests, len(material.systems))
    schedule = Schedule({test: material.trials(test) for test in tests}, options.trials, options.seed)
    # Imports now what the first listener would otherwise wait for.
    material.sound(material.cases[0], material.systems[0])
    with (
        _listening(options.host, options.port) as taken,
        contextlib.closing(Store(options.database, material.identity)) as store,
        contextlib.suppress(KeyboardInterrupt),  # the usual end of a server
    ):
        host = f"[{options.host}]" if ":" in options.host else options.host
        print(f"{len(material.systems)} systems, {len(material.cases)} cases, {schedule.length} trials a listener"
              f" ({', '.join(tests)}); answers in {printable(options.database)}\nhttp://{host}:{taken.getsockname()[1]}/"
              "  (Ctrl-C ends)", flush=True)  # fmt: skip
        app = make_app(material, store, schedule, taken.getsockname()[0])
        bounded_server(app).run(sockets=[taken])
    return 0


def _tests(names: str | None, systems: int) -> list[str]:
    from lightning_voiceclone.evaluation.listening.kinds import TESTS as KINDS

    if names is None:
        return [name for name in TESTS if KINDS[name].least_systems <= systems]
    chosen = list(dict.fromkeys(name.strip() for name in names.split(",")))
    for name in chosen:
        if name not in KINDS:
            raise ConfigurationError(f"--tests names {name!r}{nearest(name, KINDS)}; there are {', '.join(KINDS)}")
        if KINDS[name].least_systems > systems:
            raise ConfigurationError(
                f"the test {name} compares {KINDS[name].least_systems} systems, but {systems} report was given;"
                " name another system's report beside it"
            )
    return chosen


def _listening(host: str, port: int) -> "socket.socket":
    """A listening socket, opened before anything is written."""
    import socket

    if not 0 <= port <= 65535:  # getaddrinfo takes it modulo 65536
        raise ConfigurationError(f"--port is {port}, but must be from 0 to 65535")
    try:
        family, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        return socket.create_server(address[:2], family=family)  # reuses an address that was let go of just now
    except OSError as error:
        reason = str(error.strerror).partition(" (while")[0]  # create_server repeats the address
        raise ConfigurationError(
            f"cannot serve at {host} port {port}: {reason}; choose another with --port or --host"
        ) from error
