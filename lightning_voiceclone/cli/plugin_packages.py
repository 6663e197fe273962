"""``lvc plugins new``, ``show`` and ``check``."""

import importlib
import inspect
import os
import sys
from pathlib import Path
from typing import Any

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.core.deprecation import of_class
from lightning_voiceclone.core.kinds import KINDS
from lightning_voiceclone.core.registry import Plugin, constructor_parameters, installed, parse_part
from lightning_voiceclone.errors import ConfigurationError, PluginError, nearest
from lightning_voiceclone.utils.terminal import printable, table

ROLES = {"audio_transforms": "augmentation", "feature_transforms": "content_transforms"}  # options of other names


def new(argv: list[str]) -> int:
    """Write a package."""
    from lightning_voiceclone.scaffold.package import NewPart, write_package
    from lightning_voiceclone.scaffold.recipes import use_commands

    kinds = ", ".join(kind.word for kind in KINDS.values())
    parser = CommandParser("lvc plugins new", description="Write a plugin package that installs, passes its tests,"
                           " trains and converts as it stands; then make its parts your own.")  # fmt: skip
    parser.add_argument("package", metavar="PACKAGE", help="name of the distribution, such as lvc-mine")
    parser.add_argument("--part", action="append", required=True, metavar="KIND:ClassName",
                        help=f"a part to begin with; may be given several times. Kinds: {kinds}")  # fmt: skip
    parser.add_argument("--output", metavar="FOLDER", help="folder to make (default: the package's name)")
    options = parser.parse_args(argv)
    parts = [NewPart.parse(text) for text in options.part]
    folder = Path(options.output or options.package)
    for path in write_package(options.package, parts, folder):
        print(printable(str(folder / path)))
    shown = printable(str(folder))
    print(f"\nNext:\n  pip install -e {shown}\n  lvc plugins check {options.package}\n  pytest {shown}")
    for command in use_commands(parts, folder):
        print(f"  {printable(command)}")
    return 0


def show(argv: list[str]) -> int:
    """Print what a part is, its settings, and how a recipe names it."""
    parser = CommandParser("lvc plugins show", description="Print what a part does, its settings with their defaults,"
                           " and how a recipe names it.")  # fmt: skip
    parser.add_argument("name", metavar="NAME", help="of the class, as lvc plugins lists it")
    options = parser.parse_args(argv)
    found = _called(options.name)
    for number, plugin in enumerate(found):
        print("\n" * bool(number) + _shown(plugin))
    return 0


def check(argv: list[str]) -> int:
    """Run the conformance tests; the exit status is 1 if a rule does not hold."""
    parser = CommandParser("lvc plugins check", description="Run the conformance tests on the parts of a package, or on"
                           " one part, and print a table for a README. Each failure begins with the rule.")  # fmt: skip
    parser.add_argument("target", nargs="+", metavar="PACKAGE|CLASS",
                        help="name of an installed package; or of a class as lvc plugins lists it, or module:Class,"
                        " with settings where the defaults are large: MyGenerator:width=16,layers=2")  # fmt: skip
    options = parser.parse_args(argv)
    targets = [target for text in options.target for target in _targets(text)]
    try:
        from lightning_voiceclone.testing.checking import check_part
    except ImportError as error:
        raise ConfigurationError(f"the conformance tests need pytest ({error}); pip install pytest") from error
    rows = [["| part", "| kind", "| passed", "| failed", "| not claimed or not here", "| claims |"],
            ["|---"] * 5 + ["|--- |"]]  # fmt: skip
    failed = False
    lines: list[str] = []
    going: list[str] = []
    for cls, arguments in targets:
        print(f"checking {cls.__name__} ...", file=sys.stderr, flush=True)
        found = check_part(cls, arguments)
        failed = failed or bool(found.failed)
        counts = [found.passed, len(found.failed), len(found.skipped)]
        rows.append([f"| {cls.__name__}", f"| {KINDS[found.kind].singular}", *(f"| {count}" for count in counts),
                     f"| {', '.join(found.claims)} |"])  # fmt: skip
        lines += [f"{cls.__name__}: {rule}: FAILED: {message}" for rule, message in found.failed]
        lines += [f"{cls.__name__}: {rule}: not checked: {reason}" for rule, reason in found.skipped
                  if rule == "all rules"]  # fmt: skip
        going += [f"{cls.__name__}: deprecated: {line}" for line in found.deprecated]
    print(table(rows))
    lines = lines or ["Every rule that applies holds."]
    print("\n".join(["", *map(printable, lines + going)]))
    return 1 if failed else 0


def _targets(text: str) -> list[tuple[Any, dict[str, Any]]]:
    """Classes, each with its arguments, of a package, of a class's name, or of ``module:Class``."""
    of_package = [plugin for plugin in installed() if plugin.package == text]
    if of_package:
        return [(plugin.load(), {}) for plugin in of_package]
    module, _, rest = text.partition(":")
    if rest and not any(plugin.name == module for plugin in installed()):
        name, settings = parse_part(rest)
        sys.path.insert(0, os.getcwd())  # as python -m does
        try:
            return [(getattr(importlib.import_module(module), name), settings)]
        except (Exception, SystemExit) as error:  # whatever the module raises
            raise ConfigurationError(
                f"{text}: {type(error).__name__}: {error}; name an installed package, a class or module:Class"
            ) from error
    name, settings = parse_part(text)
    return [(plugin.load(), settings) for plugin in _called(name, packages=True)]


def _called(name: str, *, packages: bool = False) -> list[Plugin]:
    """All plugins of that name.

    Raises:
        PluginError: if there is none; names the nearest.
    """
    found = [plugin for plugin in installed() if plugin.name == name]
    if not found:
        names = {plugin.name for plugin in installed()} | ({p.package for p in installed()} if packages else set())
        raise PluginError(
            f"no part{' or package' if packages else ''} is called {name!r}{nearest(name, sorted(names))};"
            " lvc plugins lists them"
        )
    return found


def _shown(plugin: Plugin) -> str:
    import docstring_parser

    cls = plugin.load()
    documentation = docstring_parser.parse(inspect.getdoc(cls) or "")
    described = {parameter.arg_name: parameter.description or "" for parameter in documentation.params}
    kind = KINDS[plugin.kind]
    lines = [f"{plugin.name}, a {kind.singular} of {plugin.package} {plugin.version} ({plugin.value})", ""]
    lines.append(documentation.description or "")
    lines += [f"\n{declared.line(name)}" for name, declared in of_class(cls).items()]
    claims = sorted(getattr(cls, "capabilities", ()))
    lines += ["", f"claims: {', '.join(claims) or 'none'}", ""]
    settings = _settings(cls, kind.first_argument)
    if settings:
        lines.append("settings:")
        for name, parameter in settings.items():
            default = "" if parameter.default is parameter.empty else f" = {parameter.default!r}"
            lines += [f"  {name}{default}", *(f"      {line}" for line in described.get(name, "").splitlines())]
        lines.append("")
    return printable("\n".join([*lines, "in a recipe:", *_snippet(plugin, settings)]), lines=True)


def _settings(cls: type, first: str | None) -> dict[str, inspect.Parameter]:
    """Parameters of the constructor but the one that its kind prescribes."""
    parameters = dict(list(constructor_parameters(cls).items())[1 if first else 0 :])
    fixed = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    return {name: parameter for name, parameter in parameters.items() if parameter.kind not in fixed}


def _snippet(plugin: Plugin, settings: dict[str, inspect.Parameter]) -> list[str]:
    import yaml

    role = ROLES.get(plugin.kind, KINDS[plugin.kind].word)
    simple = {name: list(p.default) if isinstance(p.default, tuple) else p.default for name, p in settings.items()
              if p.default is None or isinstance(p.default, bool | int | float | str | tuple)}  # fmt: skip
    value: dict[str, Any] = {"class_path": plugin.name} | ({"init_args": simple} if simple else {})
    text = yaml.safe_dump({role: [value] if plugin.kind in ROLES else value}, sort_keys=False, default_flow_style=None)
    return [f"  {line}" for line in text.splitlines()]
