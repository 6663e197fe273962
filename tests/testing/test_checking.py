"""Conformance without a test file: counts, rules in words, what is not claimed."""

import sys

import pytest
from torch import nn

from lightning_voiceclone.cli.main import main
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.data.corpora import SpeakerFolders
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.losses.adversarial import HingeLoss, LeastSquaresLoss
from lightning_voiceclone.networks.generators.mlp import MLPGenerator
from lightning_voiceclone.testing.checking import OFF, check_part, rule_of
from lightning_voiceclone.vocoders.unframe import Unframe


class Mixing(MLPGenerator):
    """Subtracts the mean over a batch's frames."""

    def forward(self, condition):
        """Features."""
        features = super().forward(condition)
        return features - features.mean()


class Crashing(Generator):
    """Takes no frames."""

    context = Context(0, 0)

    def __init__(self, dims):
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def forward(self, condition):
        """Nothing."""
        raise RuntimeError("broken on purpose")


@pytest.mark.slow
def test_a_good_part_passes_with_its_arguments():
    found = check_part(MLPGenerator, {"hidden": 8})
    assert not found.failed
    assert found.passed > 30
    assert (found.kind, found.claims) == ("generators", ["exportable", "streamable"])


@pytest.mark.slow
def test_failures_begin_with_the_rule_in_words():
    found = check_part(Mixing, {"hidden": 8}, {"test_export": None})  # which takes longer than all others
    rules = {rule.partition(" (")[0] for rule, _ in found.failed}
    assert {"batch equals one by one", "streamable"} <= rules
    assert "shape" not in rules
    assert any("broken on purpose" in message for _, message in check_part(Crashing).failed)


def test_each_class_is_checked_by_itself():
    assert not check_part(HingeLoss).failed
    assert check_part(LeastSquaresLoss).name == "LeastSquaresLoss"

    class Wrong(HingeLoss):
        def generator(self, fake_logits):
            """Of the wrong sign."""
            return -super().generator(fake_logits)

    assert check_part(Wrong).failed
    assert not check_part(HingeLoss).failed


def test_a_vocoder_meets_an_extractor_whose_features_it_takes():
    found = check_part(Unframe)
    assert not found.failed
    assert found.passed >= 8


def test_a_corpus_needs_a_test_of_its_own():
    ((rule, reason),) = check_part(SpeakerFolders).skipped
    assert rule == "all rules"
    assert "lay_out" in reason


def test_what_is_no_part_is_refused():
    with pytest.raises(ConfigurationError, match="int is no part"):
        check_part(int)


@pytest.mark.parametrize(("nodeid", "rule"), [
    ("t.py::TestX::test_padding_does_not_leak[all]", "padding does not leak (all)"),
    ("t.py::TestX::test_shape", "shape"),
])  # fmt: skip
def test_rules_are_the_names_of_tests(nodeid, rule):
    assert rule_of(nodeid) == rule


def test_the_command_prints_a_table_and_its_status(capsys):
    assert main(["plugins", "check", "HingeLoss", f"{__name__}:Crooked"]) == 1
    printed = capsys.readouterr().out
    assert "| HingeLoss" in printed
    assert "Crooked: " in printed.partition("FAILED")[0]


class Crooked(HingeLoss):
    """Not a number."""

    def generator(self, fake_logits):
        """NaN."""
        return super().generator(fake_logits) * float("nan")


@pytest.mark.slow
def test_parts_of_installed_packages_are_collected_by_pytest(monkeypatch):
    made = [registry.Plugin(kind, name, "lvc-other", "1.0", f"{module}:{name}") for kind, name, module in (
        ("adversarial_losses", "HingeLoss", HingeLoss.__module__), ("adversarial_losses", "Crooked", __name__),
        ("corpora", "SpeakerFolders", SpeakerFolders.__module__), ("generators", "Gone", "no_such_module"),
    )]  # fmt: skip
    monkeypatch.setattr(registry, "installed", lambda: tuple(made))
    monkeypatch.delitem(sys.modules, "lightning_voiceclone.testing.installed", raising=False)
    outcomes = {}

    class Collector:
        def pytest_runtest_logreport(self, report):
            if report.when == "call":
                outcomes.setdefault(report.nodeid.split("::")[1], []).append((report.outcome, str(report.longrepr)))

    off = [option for name in OFF for option in ("-p", f"no:{name}")]
    pytest.main(["--pyargs", "lightning_voiceclone.testing.installed", "-k", "lvc_other", *off], [Collector()])
    monkeypatch.delitem(sys.modules, "lightning_voiceclone.testing.installed", raising=False)
    prefix = "Test_lvc_other_"
    assert {outcome for outcome, _ in outcomes.pop(f"{prefix}adversarial_losses_HingeLoss")} <= {"passed", "skipped"}
    assert "failed" in {outcome for outcome, _ in outcomes.pop(f"{prefix}adversarial_losses_Crooked")}
    ((left, reason),) = outcomes.pop(f"{prefix}corpora_SpeakerFolders")
    ((broken, cause),) = outcomes.pop(f"{prefix}generators_Gone")
    assert (left, broken) == ("skipped", "failed")
    assert "with lay_out" in reason
    assert "plugin Gone of package lvc-other 1.0 fails to import" in cause
    assert not outcomes


@pytest.mark.parametrize(("target", "words"), [
    ("HingLoss", "did you mean HingeLoss?"), ("no.such.module:Class", "No module named 'no'"),
    ("HingeLoss:x", "expected HingeLoss:setting=value"),
])  # fmt: skip
def test_targets_that_are_not_there_are_refused(capsys, target, words):
    assert main(["plugins", "check", target]) == 2
    assert words in capsys.readouterr().err


def test_a_module_of_the_working_folder_is_found_and_its_fault_is_one_line(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    (tmp_path / "broken_module_here.py").write_text("1 / 0\n")
    assert main(["plugins", "check", "broken_module_here:Part"]) == 2
    assert "ZeroDivisionError: division by zero" in capsys.readouterr().err
