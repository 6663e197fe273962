"""Shared by the checks of all kinds."""

from collections.abc import Mapping
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.part import Part, build, describe

SEED = 20240229


def seeded() -> None:
    """Begin torch's random numbers anew, so that checks do not depend on their order."""
    torch.manual_seed(SEED)


def rebuilt(part: Part) -> Part:
    """The part as a model folder restores it: built from its description, then loaded with its weights."""
    copy = build(describe(part))
    assert type(copy) is type(part)
    assert describe(copy) == describe(part), "the copy's description differs from the original's"
    copy.load_state_dict(part.state_dict())
    return copy.train(part.training)


def has_capability(part: Part | type[Part], name: str) -> bool:
    """Whether the part claims it, in ``capabilities``."""
    return name in getattr(part, "capabilities", frozenset())


def assert_gradients_reach(module: nn.Module) -> None:
    """Every trainable weight has a finite gradient that is not all zero."""
    missing = [name for name, weight in module.named_parameters() if weight.requires_grad and weight.grad is None]
    assert not missing, f"no gradient reaches {missing}"
    for name, weight in module.named_parameters():
        if weight.requires_grad:
            assert weight.grad is not None
            assert weight.grad.isfinite().all(), f"the gradient of {name} is not finite"
            assert weight.grad.any(), f"the gradient of {name} is all zero"


def assert_close(actual: Tensor, expected: Tensor, tolerance: float = 1e-4) -> None:
    """Equal up to the rounding of sums taken in another order."""
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


class PartConformance:
    """Base of the checks; ``part`` is the class, ``arguments`` are what it is built with besides its first one."""

    part: ClassVar[type[Part]]
    arguments: ClassVar[Mapping[str, Any]] = {}
