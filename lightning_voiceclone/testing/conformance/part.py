"""Shared by the checks of all kinds: claims, and what holds of everything that computes."""

# ruff: noqa: D102 - a check's name describes it

import copy
import random
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import TensorFields
from lightning_voiceclone.core.part import Part, build, describe
from lightning_voiceclone.testing.conformance.expect import expect
from lightning_voiceclone.utils import global_settings

SEED = 20240229


def seeded(seed: int = SEED) -> None:
    """Begin torch's random numbers anew, so that checks do not depend on their order."""
    torch.manual_seed(seed)


def rebuilt(part: Part) -> Part:
    """The part as a model folder restores it: built from its description, then loaded with its weights."""
    made = build(describe(part))
    expect(type(made) is type(part), f"a copy of the class {type(part).__name__}", type(made).__name__)
    differs = [
        name for name, value in describe(part)["arguments"].items() if describe(made)["arguments"][name] != value
    ]
    expect(not differs, "the copy's arguments to be the part's", f"others: {differs}")
    made.load_state_dict(part.state_dict())
    return made.train(part.training)


def has_capability(part: Part | type[Part], name: str) -> bool:
    """Whether the part claims it, in ``capabilities``."""
    return name in getattr(part, "capabilities", frozenset())


def assert_gradients_reach(module: nn.Module) -> None:
    """Every trainable weight has a finite gradient that is not all zero."""
    trained = {name: weight for name, weight in module.named_parameters() if weight.requires_grad}
    missing = [name for name, weight in trained.items() if weight.grad is None]
    expect(not missing, "a gradient of every weight", f"none of {missing}")
    for name, weight in trained.items():
        assert weight.grad is not None
        expect(bool(weight.grad.isfinite().all()), f"a finite gradient of {name}", "one that is not finite")
        expect(bool(weight.grad.any()), f"a gradient of {name}", "zeros only")


def moved(value: Any, function: Callable[[Tensor], Tensor]) -> Any:
    """A copy of a call's argument or output with ``function`` applied to each tensor."""
    if isinstance(value, Tensor):
        return function(value)
    if isinstance(value, TensorFields):
        return value.map(function)
    if isinstance(value, list | tuple):
        return type(value)(moved(item, function) for item in value)
    if isinstance(value, dict):
        return {key: moved(item, function) for key, item in value.items()}
    return value


def tensors_of(value: Any) -> list[Tensor]:
    """The tensors of a call's argument or output, in order."""
    found: list[Tensor] = []
    moved(value, lambda tensor: found.append(tensor) or tensor)  # type: ignore[func-returns-value]
    return found


def plain(value: Any) -> Any:
    """A call's output as what ``==`` compares: tensors as their dtype, shape and bytes."""
    if isinstance(value, Tensor):
        raw = value.detach().contiguous().flatten().view(torch.uint8)
        return str(value.dtype), tuple(value.shape), raw.numpy().tobytes()
    if isinstance(value, TensorFields):
        return plain(value.tensors())
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    return value


def apart(ours: Any, theirs: Any) -> str:
    """How far two outputs are from each other, in words."""
    mine, other = tensors_of(ours), tensors_of(theirs)
    if not mine:
        return f"{ours!r:.60} and {theirs!r:.60}"
    if [value.shape for value in mine] != [value.shape for value in other]:
        return "outputs of other shapes"
    greatest = max(float((a.double() - b.double()).abs().max()) for a, b in zip(mine, other, strict=True) if a.numel())
    return f"outputs that differ by up to {greatest:.3g}"


def doubled(value: Tensor) -> Tensor:
    """In double precision, where it is floating-point."""
    return value.double() if value.is_floating_point() else value


class PartConformance:
    """Base of the checks; ``part`` is the class, ``arguments`` are what it is built with besides its first one.

    ``claims`` are those that the checks of this kind cover.
    """

    part: ClassVar[type[Part]]
    arguments: ClassVar[Mapping[str, Any]] = {}
    claims: ClassVar[frozenset[str]] = frozenset()

    def test_claims_are_checked(self) -> None:
        unknown = sorted(set(getattr(self.part, "capabilities", ())) - self.claims)
        covered = f"claims from {sorted(self.claims)}" if self.claims else "no claims of this kind"
        expect(not unknown, f"{covered}: nothing checks others", f"{unknown}")


class ComputingConformance(PartConformance):
    """Checks of every part that computes: its random state, what it keeps between calls, and what it changes."""

    claims = frozenset({"deterministic"})

    @pytest.fixture(autouse=True)
    def settings(self) -> Iterator[None]:
        """Put back what a part changes of torch's and NumPy's settings, so that other checks begin as they should."""
        before = global_settings.current()
        yield
        global_settings.restore(before)

    @abstractmethod
    def used(self) -> Part:
        """The part, as it is used."""

    @abstractmethod
    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        """Arguments of a call; those of variant 1 have the same shapes and other values."""

    def outcome(self, part: Any, *arguments: Any) -> Any:
        """What the part computes of them."""
        return part(*arguments)

    def _outcome(self, part: Part, variant: int = 0, seed: int = SEED) -> Any:
        arguments = self.example(part, variant)
        seeded(seed)
        with torch.no_grad():
            return moved(self.outcome(part, *arguments), torch.clone)

    def test_claim_deterministic(self) -> None:
        part = self.used()
        if not has_capability(part, "deterministic"):
            pytest.skip("does not claim to be deterministic")
        first, second = self._outcome(part), self._outcome(part, seed=SEED + 1)
        expect(plain(first) == plain(second), "the same output, whatever torch's seed", apart(first, second))

    def test_random_state_is_torchs(self) -> None:
        part = self.used()
        outcomes = []
        for number in range(2):
            with other_random_states(number):
                outcomes.append(self._outcome(part))
        expect(plain(outcomes[0]) == plain(outcomes[1]), "the same output with the same torch seed", apart(*outcomes))

    def test_a_call_leaves_no_trace_in_the_next(self) -> None:
        part = self.used()
        first = self._outcome(part)
        self._outcome(part, variant=1)
        again = self._outcome(part)
        expect(plain(first) == plain(again), "the first call's output again after another call", apart(first, again))

    def test_a_copy_shares_nothing(self) -> None:
        part = self.used()
        first = self._outcome(part)
        try:
            second = copy.deepcopy(part)
        except TypeError:  # it holds a model of another framework, say
            pytest.skip("cannot be copied")
        for value in (*second.parameters(), *second.buffers()):
            if value.is_floating_point():
                value.data.mul_(0.5).add_(0.1)
        changed = self._outcome_or_none(second)
        again = self._outcome(part)
        expect(plain(first) == plain(again), "the part to stay as it is while its copy's weights change",
               apart(first, again))  # fmt: skip
        if any(weight.requires_grad for weight in part.parameters()):
            expect(plain(first) != plain(changed), "the copy's own weights in its output",
                   "the output of the original's")  # fmt: skip

    def _outcome_or_none(self, part: Part) -> Any:
        try:
            return self._outcome(part)
        except Exception:  # weights that training would never make
            return None

    def test_input_is_untouched(self) -> None:
        part = self.used()
        arguments = self.example(part)
        before = moved(arguments, torch.clone)
        self.outcome(part, *arguments)
        expect(plain(before) == plain(arguments), "the input as it was", apart(before, arguments))

    def test_global_state_is_untouched(self) -> None:
        part = self.used()
        before = global_settings.current()
        ends = []
        for seed in (1, 2):
            self._outcome(part, seed=seed)
            ends.append(torch.get_rng_state())
        changed = [f"{name} {value}" for name, value in global_settings.changes(before).items()]
        expect(not changed, "torch's and NumPy's settings as they were", ", ".join(changed))
        expect(not torch.equal(*ends), "torch's random state to go on from the seed that was set", "a seed of its own")


class NetworkConformance(ComputingConformance):
    """Checks of parts whose input and output are tensors: gradients to the input, precision."""

    claims = frozenset({"deterministic", "differentiable"})
    double_tolerance = 1e-3  # of the mean magnitude, as a mean
    half_tolerance = 0.1

    def half(self, part: Part, *arguments: Any) -> Any:
        """The outcome in half precision: under autocast, as bf16-mixed training uses a network."""
        with torch.autocast("cpu", torch.bfloat16):
            return self.outcome(part, *arguments)

    def test_claim_differentiable(self) -> None:
        part = self.used()
        if not has_capability(part, "differentiable"):
            pytest.skip("does not claim to be differentiable")
        arguments = moved(self.example(part), lambda x: x.clone().requires_grad_() if x.is_floating_point() else x)
        outputs = [output for output in tensors_of(self.outcome(part, *arguments)) if output.is_floating_point()]
        reached = any(output.requires_grad for output in outputs)
        expect(reached, "a gradient of the output with respect to the input", "an output without one")
        sum(output.square().mean() for output in outputs).backward()  # type: ignore[union-attr]
        gradients = [x.grad for x in tensors_of(arguments) if x.grad is not None]
        finite = all(bool(gradient.isfinite().all()) for gradient in gradients)
        expect(bool(gradients) and finite, "a finite gradient of the input", "none" if finite else "numbers not finite")
        expect(any(bool(x.any()) for x in gradients), "a gradient of the input", "zeros only")

    def test_double_precision(self) -> None:
        part = self.used()
        single = self._outcome(part)
        part = part.double()
        arguments = moved(self.example(part), doubled)
        seeded()
        with torch.no_grad():
            double = self.outcome(part, *arguments)
        self._compare(double, single, self.double_tolerance, "double", {torch.float64})

    def test_half_precision(self) -> None:
        part = self.used()
        single, arguments = self._outcome(part), self.example(part)
        seeded()
        try:
            with torch.no_grad():
                half = self.half(part, *arguments)
        except RuntimeError as error:
            if "primitive descriptor" in str(error):
                pytest.skip("this CPU has no such operation in half precision")
            raise
        self._compare(half, single, self.half_tolerance, "half", None)

    def _compare(self, actual: Any, expected: Any, tolerance: float, precision: str, dtypes: set[Any] | None) -> None:
        for ours, theirs in zip(tensors_of(actual), tensors_of(expected), strict=True):
            if theirs.is_floating_point():
                right = dtypes is None or ours.dtype in dtypes
                expect(right, f"an output in {precision} precision of an input in {precision} precision", ours.dtype)
                expect(bool(ours.isfinite().all()), f"finite numbers in {precision} precision", "others")
                if self.comparable and theirs.numel():
                    error = float((ours.double() - theirs.double()).abs().mean())
                    bound = tolerance * max(float(theirs.abs().mean()), 1e-6)
                    what = f"in {precision} precision what single gives, to {bound:.3g} on average"
                    expect(error <= bound, what, f"a difference of {error:.3g}")

    comparable = True  # False where rounding may change the output much, as of pitch or a drawn number


def other_random_states(number: int) -> Any:
    """A context with Python's and NumPy's random states at a seed; put back after it."""
    return _RandomStates(number)


class _RandomStates:
    def __init__(self, number: int) -> None:
        self.number = number

    def __enter__(self) -> None:
        self.states = random.getstate(), np.random.get_state()
        random.seed(self.number)
        np.random.seed(self.number)

    def __exit__(self, *error: object) -> None:
        random.setstate(self.states[0])
        np.random.set_state(self.states[1])


def other_arguments(part: type[Part], arguments: Mapping[str, Any], first: int) -> Iterator[tuple[str, Any]]:
    """Each of a class's arguments with another value, as far as one can be guessed from its default and its type."""
    import inspect
    import typing

    parameters = dict(list(inspect.signature(part.__init__).parameters.items())[1 + first :])
    hints = typing.get_type_hints(part.__init__)
    for name, parameter in parameters.items():
        value = arguments.get(name, parameter.default)
        choices = typing.get_args(hints.get(name))
        inner = [one for choice in choices for one in (typing.get_args(choice) or (choice,))]
        if isinstance(value, bool):
            yield name, not value
        elif isinstance(value, int):
            yield from ((name, other) for other in (2 * value, value // 2, value + 1) if other != value)
        elif isinstance(value, float):
            yield from ((name, other) for other in (2 * value, value / 2 if value else 0.1) if other != value)
        elif any(isinstance(choice, str) for choice in inner):
            yield from ((name, choice) for choice in inner if isinstance(choice, str) and choice != value)
