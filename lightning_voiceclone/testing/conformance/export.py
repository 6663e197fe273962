"""The check that a part exported at one length works at others."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.part import Part
from lightning_voiceclone.testing.conformance.part import has_capability

EXPORTED = 37  # frames; odd, so that what works in steps of frames has something to pad
OTHERS = (17, 38, 700)  # below, just above, and beyond what parts take at once


def check_export(
    part: Part,
    given: Callable[[int], tuple[Any, ...]],
    assert_same: Callable[[Tensor, Tensor], None],
) -> None:
    """Exported at one length, with lengths left open, the part gives at that and at others what it gives eagerly.

    Args:
        part: if it does not claim to be exportable, the check is skipped.
        given: the part's arguments, for a number of frames; tensors of their own, not views.
        assert_same: compares the exported part's output with the expected one.
    """
    if not has_capability(part, "exportable"):
        pytest.skip("does not claim to be exportable")
    lengths = torch.export.AdditionalInputs()  # what differs between them and the arguments is left open
    lengths.add(given(EXPORTED + 1))
    with torch.no_grad():
        exported = torch.export.export(part, given(EXPORTED), dynamic_shapes=lengths).module()
        for frames in (EXPORTED, *OTHERS):
            arguments = given(frames)
            assert_same(exported(*arguments), part(*arguments))
