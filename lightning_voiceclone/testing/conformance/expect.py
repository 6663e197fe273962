"""Failures in words: what was expected, and what came."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor


def expect(holds: bool, expected: str, got: Any) -> None:
    """Fail unless ``holds``.

    Raises:
        AssertionError: says what was expected, and what came instead.
    """
    __tracebackhide__ = True
    if not holds:
        raise AssertionError(f"expected {expected}; got {got}")


def expect_shape(value: Any, shape: tuple[int, ...], what: str) -> None:
    """Fail unless ``value`` is a tensor of that shape, of finite numbers."""
    __tracebackhide__ = True
    got = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
    expect(got == shape, f"{what} of the shape {shape}", got)
    expect(bool(value.isfinite().all()), f"{what} of finite numbers", f"{int((~value.isfinite()).sum())} others")


def expect_same(actual: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Fail unless equal to ``tolerance`` of the greatest expected magnitude; ``what`` is what was expected."""
    __tracebackhide__ = True
    expect(actual.shape == expected.shape, f"{what}, of the shape {tuple(expected.shape)}", tuple(actual.shape))
    if not expected.numel():
        return
    bound = tolerance * max(float(expected.abs().max()), 1e-6)
    difference = float((actual - expected).abs().max())
    expect(difference <= bound, f"{what}, to {bound:.3g}", f"a difference of {difference:.3g}")


def expect_close(actual: Tensor, expected: Tensor, tolerance: float, what: str) -> None:
    """Fail unless equal to ``tolerance``, relative or absolute, number by number: the rounding of sums in other orders.

    NaN equals NaN.
    """
    __tracebackhide__ = True
    expect(actual.shape == expected.shape, f"{what}, of the shape {tuple(expected.shape)}", tuple(actual.shape))
    expect(actual.dtype == expected.dtype, f"{what}, in {expected.dtype}", actual.dtype)
    same = torch.isclose(actual, expected, rtol=tolerance, atol=tolerance, equal_nan=True)
    if not same.all():
        difference = float((actual.double() - expected.double()).abs().max())
        expect(False, f"{what}, to {tolerance:g}", f"a difference of {difference:.3g} in {int((~same).sum())} numbers")


def expect_refusal(call: Callable[[], Any], error: type[Exception] | tuple[type[Exception], ...], *words: str) -> None:
    """Fail unless the call raises that error, in one line with these words."""
    __tracebackhide__ = True
    kinds = error if isinstance(error, tuple) else (error,)
    named = " or ".join(kind.__name__ for kind in kinds)
    wanted = f"a {named} of one line" + (f" with {', '.join(map(repr, words))}" if words else "")
    try:
        call()
    except kinds as raised:
        text = str(raised)
        expect("\n" not in text and all(word in text for word in words), wanted, repr(text[:150]))
    except Exception as raised:
        expect(False, wanted, f"{type(raised).__name__}: {' '.join(str(raised).split())[:150]}")
    else:
        expect(False, wanted, "no error")
