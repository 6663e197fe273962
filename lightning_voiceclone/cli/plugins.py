"""``lvc plugins``."""

import argparse
import json

from lightning_voiceclone.plugins import KINDS, installed


def run(argv: list[str]) -> int:
    """List the installed parts, from the packages' metadata alone."""
    parser = argparse.ArgumentParser("lvc plugins", description="List the installed parts: their names in YAML and on"
                                     " the command line, and the packages that supply them.")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    parser.add_argument("--kind", choices=KINDS, help="list this kind only")
    options = parser.parse_args(argv)
    plugins = [plugin for plugin in installed() if options.kind in (None, plugin.kind)]
    if options.json:
        print(json.dumps([plugin.as_dict() for plugin in plugins], indent=1))
        return 0
    rows = [("KIND", "NAME", "PACKAGE", "VERSION"), *((p.kind, p.name, p.package, p.version) for p in plugins)]
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for row in rows:
        print("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip())
    return 0
