"""The conformance tests of a class, without a test file: for ``lvc plugins check`` and for Python."""

import itertools
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.deprecation import noted, of_class
from lightning_voiceclone.core.kinds import KINDS, Kind
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError

MOST_CHARACTERS = 400  # of a failure's message

MODULE = """
from lightning_voiceclone.testing.checking import UNDER_CHECK

globals().update(UNDER_CHECK)
"""
NUMBERS = itertools.count()  # of the modules of tests, which Python imports once by a name
UNDER_CHECK: dict[str, type] = {}  # the classes of tests of the run that is going on
BY_HAND = {"corpora": "lay_out"}  # kinds whose tests need a method of one's own: lay_out writes a small corpus
OFF = ("terminal", "cacheprovider", "xdist", "unraisableexception", "threadexception", "logging", "doctest", "junitxml")


@dataclass
class PartCheck:
    """What the conformance tests found of one part.

    Args:
        kind: of the part.
        name: of the class.
        claims: its capabilities, sorted.
        passed: number of checks that passed.
        failed: rules that do not hold, in words, and what was expected and what came.
        skipped: rules that were not checked, and why.
        deprecated: what it uses, or is, that a later version refuses: a line each.
    """

    kind: str
    name: str
    claims: list[str]
    passed: int = 0
    failed: list[tuple[str, str]] = field(default_factory=list)
    skipped: list[tuple[str, str]] = field(default_factory=list)
    deprecated: list[str] = field(default_factory=list)


class _Collector:
    """A pytest plugin that notes the outcome of each test."""

    def __init__(self, check: PartCheck) -> None:
        self.check = check

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        rule = rule_of(report.nodeid)
        if report.skipped:
            where = report.longrepr
            reason = where[2] if isinstance(where, tuple) else str(where)
            self.check.skipped.append((rule, reason.removeprefix("Skipped: ")))
        elif report.failed:
            self.check.failed.append((rule, _message(report)))
        elif report.when == "call":
            self.check.passed += 1

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            self.check.failed.append(("the tests can be collected", _message(report)))


def rule_of(nodeid: str) -> str:
    """The rule that a test checks, in words: its name, with its parameters in brackets."""
    name = nodeid.rpartition("::")[2].removeprefix("test_")
    words, bracket, parameters = name.partition("[")
    return words.replace("_", " ") + (f" ({parameters.rstrip(']')})" if bracket else "")


class NeedsOwnTestError(ConfigurationError):
    """A part whose checks need a method that only its author can write; names it."""


def kind_of(cls: type) -> Kind:
    """The kind of a class.

    Raises:
        ConfigurationError: if it is no part.
    """
    kind = KINDS.get(getattr(cls, "kind", ""))
    if kind is None or not issubclass(cls, Part):
        raise ConfigurationError(f"{cls.__name__} is no part; derive it from the contract of its kind")
    return kind


def conformance_of(
    cls: type[Part], arguments: Mapping[str, Any] | None = None, methods: Mapping[str, Any] | None = None
) -> type:
    """The conformance tests of a class's kind for it, as a class that pytest collects; arguments as of check_part.

    Raises:
        NeedsOwnTestError: if the kind needs a method that is not given.
        ConfigurationError: if the class is no part, or a vocoder that takes the features of no installed extractor.
    """
    kind = kind_of(cls)
    members: dict[str, Any] = {"part": cls, "arguments": dict(arguments or {}), **(methods or {})}
    needed = BY_HAND.get(kind.name)
    if needed is not None and needed not in members:
        raise NeedsOwnTestError(f"a test of your own is needed, with {needed}")
    if kind.name == "vocoders" and "extractor" not in members:
        extractor = _extractor_for(cls, members["arguments"])
        members["extractor"] = lambda self: extractor()
    return type(f"Test{cls.__name__}", (kind.load_conformance(),), members)


def check_part(
    cls: type[Part], arguments: Mapping[str, Any] | None = None, methods: Mapping[str, Any] | None = None
) -> PartCheck:
    """Run the conformance tests of a class's kind on it.

    Args:
        cls: a part; it need not belong to a package.
        arguments: with which it is built, besides the first that its kind prescribes; None for its defaults.
        methods: that the class of tests is to have in place of its own, by name, as a test file would override them:
            ``lay_out`` of a corpus, ``extractor`` of a vocoder, ``graded`` of a metric.

    Raises:
        ConfigurationError: if it is no part.
    """
    check = PartCheck(kind_of(cls).name, cls.__name__, sorted(getattr(cls, "capabilities", ())))
    with noted() as used:
        try:
            _run(conformance_of(cls, arguments, methods), check)
        except NeedsOwnTestError as error:
            check.skipped.append(("all rules", str(error)))
        except ConfigurationError as error:
            check.failed.append(("an extractor fits", str(error)))
    static = [declared.line(name) for name, declared in of_class(cls).items()]
    check.deprecated = list(dict.fromkeys([*static, *used]))
    return check


def _run(tests: type, check: PartCheck) -> None:
    """Run pytest on a class of tests, and note what comes of it."""
    UNDER_CHECK.clear()
    UNDER_CHECK[tests.__name__] = tests
    with tempfile.TemporaryDirectory() as folder:
        file, settings = Path(folder, f"test_of_{next(NUMBERS)}.py"), Path(folder, "pytest.ini")
        file.write_text(MODULE)
        settings.write_text("[pytest]\nmarkers = slow\n")
        options = [f"--rootdir={folder}", f"-c={settings}", "--import-mode=importlib"]
        off = [option for name in OFF for option in ("-p", f"no:{name}")]
        given = os.environ.pop("PYTEST_ADDOPTS", None)  # which are for other tests
        try:
            status = pytest.main([str(file), *options, *off], plugins=[_Collector(check)])
        finally:
            if given is not None:
                os.environ["PYTEST_ADDOPTS"] = given
    UNDER_CHECK.clear()
    if not (check.passed or check.failed or check.skipped):
        check.failed.append(("the tests run", f"no test was collected; pytest ended with {status!r}"))


def _extractor_for(cls: type[Part], arguments: Mapping[str, Any]) -> type[Part]:
    """An installed extractor, with its own defaults, whose features the vocoder takes."""
    first: LVCError | None = None
    extractors = [plugin for plugin in registry.installed() if plugin.kind == "feature_extractors"]
    for plugin in sorted(extractors, key=lambda plugin: plugin.name != "MelSpectrogram"):
        try:
            extractor: Any = plugin.load()
            cls(extractor().spec, **arguments)
        except (PluginError, TypeError):  # TypeError: an extractor that needs arguments
            continue
        except LVCError as error:
            first = first or error
            continue
        return extractor
    raise ConfigurationError(f"{cls.__name__} takes the features of no installed extractor: {first}")


def _message(report: Any) -> str:
    """What was expected and what came; an exception of the part's own, with its place, where it ended the test."""
    crash = getattr(report.longrepr, "reprcrash", None)
    text = " ".join((crash.message if crash else str(report.longrepr)).split())
    if text.startswith("AssertionError: "):
        text = text.removeprefix("AssertionError: ")
    elif crash:
        text = f"expected no error; got {text} ({Path(crash.path).name}, line {crash.lineno})"
    return text if len(text) <= MOST_CHARACTERS else text[:MOST_CHARACTERS] + " …"
