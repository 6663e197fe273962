"""Each fault that is planted in a good part is caught by its rule, whose message says what was expected and what came.

The faults are in ``tests/faults``; most of them break no other rule.
"""

import pytest
from faults import FAULTS, GOOD, measuring, networks, sound  # noqa: F401 (the last three register them)

from lightning_voiceclone.core.kinds import KINDS
from lightning_voiceclone.testing.checking import check_part


def rules(found):
    """Names of the rules that failed, without their parameters."""
    return {rule.partition(" (")[0] for rule, _ in found.failed}


@pytest.mark.slow
@pytest.mark.parametrize("cls", GOOD, ids=lambda cls: cls.__name__)
def test_what_the_faults_are_planted_in_passes(cls):
    assert check_part(cls, methods=GOOD[cls]).failed == []


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_fault_is_caught_by_its_rule(name):
    fault = FAULTS[name]
    # An export takes longer than all other checks: only where it must fail. The good parts above are exported.
    left_out = {} if fault.rule == "export" else {"test_export": None}
    found = check_part(fault.part, methods=left_out | fault.methods)
    messages = [message for rule, message in found.failed if rule.partition(" (")[0] == fault.rule]
    assert messages, f"caught by {sorted(rules(found))}"
    assert all(message.startswith(("expected ", "of audio with ")) and "; got " in message for message in messages)
    assert any(fault.words in message for message in messages), messages
    if fault.alone:
        assert rules(found) == {fault.rule}


def test_every_kind_has_faults():
    kinds = {fault.part.kind for fault in FAULTS.values()}
    assert kinds == set(KINDS)
    assert len(FAULTS) >= 60
