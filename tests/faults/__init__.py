"""Parts with one planted fault each, and the rule that must catch it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from lightning_voiceclone.core.part import Part


@dataclass(frozen=True)
class Fault:
    """A class with a fault.

    Args:
        rule: that must fail, in words, without its parameters.
        words: that the message must contain.
        alone: whether no other rule fails.
        methods: of the class of checks, to override.
    """

    part: type[Part]
    rule: str
    words: str
    alone: bool
    methods: dict[str, Any] = field(default_factory=dict)


FAULTS: dict[str, Fault] = {}
GOOD: dict[type[Part], dict[str, Any]] = {}  # what the faults are planted in, which pass, with methods to override


def fault(rule: str, words: str, *, alone: bool = True, **methods: Any) -> Callable[[type[Part]], type[Part]]:
    """Register a class as faulty."""

    def register(cls: type[Part]) -> type[Part]:
        FAULTS[cls.__name__] = Fault(cls, rule, words, alone, methods)
        return cls

    return register
