"""``lvc plugins``."""

import json
import sys

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.core.kinds import KINDS
from lightning_voiceclone.core.registry import Plugin, installed
from lightning_voiceclone.errors import PluginError
from lightning_voiceclone.utils.terminal import printable

COLUMNS = ("kind", "name", "package", "version")


def run(argv: list[str]) -> int:
    """List the installed parts, from the packages' metadata alone unless --claims is given."""
    parser = CommandParser("lvc plugins", description="List the installed parts: their names in YAML and on"
                                     " the command line, and the packages that supply them.")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    parser.add_argument("--kind", choices=KINDS, help="list this kind only")
    parser.add_argument("--claims", action="store_true", help="also show the capabilities that each class claims, which"
                        " the conformance tests check; imports every plugin")  # fmt: skip
    options = parser.parse_args(argv)
    plugins = [plugin for plugin in installed() if options.kind in (None, plugin.kind)]
    rows: list[dict[str, str | list[str]]] = [{**plugin.as_dict()} for plugin in plugins]
    if options.claims:
        rows = [row | {"claims": _claims(plugin)} for row, plugin in zip(rows, plugins, strict=True)]
    if options.json:
        print(json.dumps(rows, indent=1))
        return 0
    columns = (*COLUMNS, "claims") if options.claims else COLUMNS
    _print_table(
        [[column.upper() for column in columns], *([_text(row[column]) for column in columns] for row in rows)]
    )
    return 0


def _claims(plugin: Plugin) -> list[str]:
    """Capabilities, sorted; none for a plugin that fails to import, which prints a warning."""
    try:
        return sorted(getattr(plugin.load(), "capabilities", ()))
    except PluginError as error:
        print(f"lvc: warning: {printable(error)}", file=sys.stderr)
        return []


def _text(value: str | list[str]) -> str:
    return printable(value if isinstance(value, str) else ", ".join(value))


def _print_table(rows: list[list[str]]) -> None:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
