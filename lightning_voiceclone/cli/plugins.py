"""``lvc plugins``: list, show, check and write parts."""

import json
import sys

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.core.deprecation import noted, of_class
from lightning_voiceclone.core.kinds import KINDS
from lightning_voiceclone.core.registry import Plugin, clashes, installed, strays
from lightning_voiceclone.errors import PluginError
from lightning_voiceclone.utils.terminal import printable, table

COLUMNS = ("kind", "name", "package", "version", "requires")
MORE = (
    "Also: lvc plugins show NAME, lvc plugins check PACKAGE, lvc plugins new PACKAGE --part KIND:ClassName; each has a"
    " --help."
)


def run(argv: list[str]) -> int:
    """List the installed parts, or run one of the subcommands."""
    if argv and argv[0] in ("new", "show", "check"):
        from lightning_voiceclone.cli import plugin_packages

        return {"new": plugin_packages.new, "show": plugin_packages.show, "check": plugin_packages.check}[argv[0]](
            argv[1:]
        )
    return _list(argv)


def _list(argv: list[str]) -> int:
    """List the installed parts, from the packages' metadata alone unless --claims or --check is given."""
    parser = CommandParser("lvc plugins", description="List the installed parts: their names in YAML and on"
                                     " the command line, the packages that supply them, and the versions of this one"
                                     " that those are for.", epilog=MORE)  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print a list of objects instead of a table")
    parser.add_argument("--kind", choices=KINDS, help="list this kind only")
    parser.add_argument("--claims", action="store_true", help="also show the capabilities that each class claims, which"
                        " the conformance tests check; imports every plugin")  # fmt: skip
    parser.add_argument("--check", action="store_true", help="also import every plugin, and show the cause where that"
                        " fails; the exit status is then 1. And what is deprecated, or builds on what is")  # fmt: skip
    options = parser.parse_args(argv)
    plugins = [plugin for plugin in installed() if options.kind in (None, plugin.kind)]
    rows: list[dict[str, str | list[str]]] = [{**plugin.as_dict()} for plugin in plugins]
    columns = list(COLUMNS)
    failures, lines = [*strays(), *clashes(plugins)], []
    if options.claims or options.check:
        health = [_loaded(plugin) for plugin in plugins]
        loaded = [found for found, _ in health]
        failures += [found for found in loaded if isinstance(found, PluginError)]
        lines = [f"{plugin.whole}: {line}" for plugin, (_, found) in zip(plugins, health, strict=True)
                 for line in found]  # fmt: skip
    if options.claims:
        columns.append("claims")
        rows = [row | {"claims": _claims(found)} for row, found in zip(rows, loaded, strict=True)]
    if options.check:
        columns.append("health")
        rows = [row | {"health": "fails" if isinstance(found, PluginError) else "deprecated" if going else "ok"}
                for row, (found, going) in zip(rows, health, strict=True)]  # fmt: skip
    if options.json:
        print(json.dumps(rows, indent=1))
    else:
        heading = [column.upper() for column in columns]
        print(table([heading, *([_text(row[column]) for column in columns] for row in rows)]))
    for line in (*failures, *(lines if options.check else ())):
        print(f"lvc: warning: {printable(line)}", file=sys.stderr)
    return 1 if options.check and failures else 0


def _loaded(plugin: Plugin) -> tuple[type | PluginError, list[str]]:
    """The class or the error, and lines on what is deprecated of all that it is made of."""
    with noted() as used:
        try:
            loaded = plugin.load()
        except PluginError as error:
            return error, []
    going = of_class(loaded)
    for name, declared in going.items():
        if declared.is_over() and name != plugin.name:
            return PluginError(f"{plugin.whole} is derived from a class that is gone: {declared.refusal(name)}"), []
    return loaded, list(dict.fromkeys([declared.line(name) for name, declared in going.items()] + list(used)))


def _claims(loaded: type | PluginError) -> list[str]:
    """Capabilities, sorted; none for a plugin that fails to import."""
    return [] if isinstance(loaded, PluginError) else sorted(getattr(loaded, "capabilities", ()))


def _text(value: str | list[str]) -> str:
    return printable(value if isinstance(value, str) else ", ".join(value))
