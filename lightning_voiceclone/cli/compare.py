"""``lvc compare``."""

import argparse
import json
from typing import TYPE_CHECKING

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.utils.terminal import console, printable

if TYPE_CHECKING:
    from lightning_voiceclone.evaluation.compare import Comparison

DESCRIPTION = """\
Compare reports of lvc evaluate: means over the cases that all of them have, and the paired difference of each to the
first, with a 95% interval by a bootstrap clustered over source and target speakers. An asterisk marks an interval
without 0. Refuses reports of other pairs, or measured by other models."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = CommandParser("lvc compare", description=DESCRIPTION, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("reports", nargs="+", metavar="DIR", help="folders that lvc evaluate wrote; two or more")
    made.add_argument("--json", action="store_true", help="print JSON instead of a table")
    made.add_argument("--draws", type=int, default=2000, metavar="N", help="draws of the bootstrap (default: 2000)")
    made.add_argument("--seed", type=int, default=0, help="random seed of the bootstrap (default: 0)")
    return made


def run(argv: list[str]) -> int:
    """Compare, and print."""
    options = parser().parse_args(argv)
    from lightning_voiceclone.evaluation.compare import compare

    comparison = compare(options.reports, draws=options.draws, seed=options.seed)
    if options.json:
        print(json.dumps(comparison.as_dict(), indent=1))
    else:
        _print(comparison)
    return 0


def _print(comparison: "Comparison") -> None:
    from rich.box import SIMPLE
    from rich.table import Table
    from rich.text import Text

    from lightning_voiceclone.cli.evaluate import shown
    from lightning_voiceclone.utils.reading import excerpt

    table = Table(title="differences: each less A", title_justify="left", box=SIMPLE, padding=(0, 1, 0, 0))
    table.add_column("metric", no_wrap=True)
    letters = [chr(ord("A") + place) for place in range(len(comparison.reports))]
    table.add_column("better", no_wrap=True)
    table.add_column("cases", justify="right", no_wrap=True)
    for letter in letters:
        table.add_column(letter, justify="right", no_wrap=True)
    for letter in letters[1:]:
        table.add_column(f"{letter} less A", justify="right", no_wrap=True)
    for name, metric in comparison.metrics.items():
        cells = [excerpt(name, 60), metric["better"], str(metric["n"]), *(shown(mean) for mean in metric["means"])]
        rows = zip(metric["differences"], metric["ci95"], metric["better_than_first"], strict=True)
        for difference, (low, high), verdict in rows:
            mark = "" if verdict is None else "*"
            cells.append(f"{difference:+.4g} [{shown(low)}, {shown(high)}]{mark}")
        table.add_row(*(Text(printable(cell)) for cell in cells))
    output = console()
    output.print(table)
    for letter, report in zip(letters, comparison.reports, strict=True):
        system = f"{excerpt(report.system.get('kind'))}: {excerpt(report.system.get('name'))}"
        output.print(Text(printable(f"{letter}: {report.folder} ({system})")))
    for reason in dict.fromkeys(comparison.left_out.values()):
        names = ", ".join(excerpt(name, 60) for name, why in comparison.left_out.items() if why == reason)
        output.print(Text(printable(f"not compared: {names}: {reason}")))
