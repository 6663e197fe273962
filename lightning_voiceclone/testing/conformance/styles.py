"""Checks that every style encoder must pass, and the scripts that they need."""

# ruff: noqa: D102 - a check's name describes it

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.core.interfaces import StyleEncoder
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.testing.conformance.expect import expect, expect_close, expect_refusal, expect_shape
from lightning_voiceclone.testing.conformance.part import (
    NetworkConformance,
    assert_gradients_reach,
    rebuilt,
    seeded,
)

PER_FRAME = ("content", "f0", "voicing", "energy")


def random_script(frames: tuple[int, ...], channels: int) -> Script:
    """A script of random numbers, a row for each number of frames; its padding is random too."""
    seeded()
    rows, most = len(frames), max(frames)
    voicing = torch.rand(rows, most)
    f0 = torch.where(voicing > 0.5, 100 + 50 * voicing, 0.0)
    return Script(torch.tensor(frames), torch.randn(rows, channels, most), f0=f0, voicing=voicing,
                  energy=torch.randn(rows, most), register=torch.full((rows,), 130.0))  # fmt: skip


def one_row(script: Script, index: int) -> Script:
    """A row of a script, without its padding."""
    row = script.rows(slice(index, index + 1))
    frames = int(row.lengths[0])
    return row.map(lambda value: value if value.ndim == 1 else value[..., :frames])


class StyleEncoderConformance(NetworkConformance):
    """A vector a row, padding, rows, gradients, determinism, checkpoints; values that are styles and one that is none.

    ``values`` are two that ``read`` takes, of an encoder of values; ``unknown`` is one that it refuses. Of scripts,
    ``sizes`` are frames, and ``content`` is the channels.
    """

    claims = frozenset({"deterministic", "differentiable"})
    sizes = (60, 23, 1)
    content = 6
    values: tuple[str, str] | None = None
    unknown = "no such style"

    def make(self) -> StyleEncoder:
        """The encoder, as it is trained."""
        seeded()
        part = self.part(**self.arguments)
        assert isinstance(part, StyleEncoder)
        return part

    def used(self) -> StyleEncoder:
        return self.make().eval()

    def styles(self, encoder: StyleEncoder) -> Any:
        """x of several rows, which differ."""
        if encoder.takes == "script":
            return random_script(self.sizes, self.content)
        assert self.values is not None, "expected values, two that read takes; got none"
        return torch.stack([encoder.read(value) for value in self.values])

    def rows(self, x: Any) -> list[Any]:
        """Each row of x alone, without its padding."""
        if isinstance(x, Script):
            return [one_row(x, index) for index in range(len(x.lengths))]
        return list(x.split(1))

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        assert isinstance(part, StyleEncoder)
        x = self.styles(part)
        if not variant:
            return (x,)
        return (x.map(lambda value: value.flip(-1) if value.ndim > 1 else value),) if isinstance(x, Script) else (
            x.flip(0),)  # fmt: skip

    def test_a_vector_for_each_row(self) -> None:
        encoder = self.used()
        x = self.styles(encoder)
        vectors, rows = encoder(x), len(self.rows(x))
        expect_shape(vectors, (rows, encoder.channels), "style vectors")
        apart = float((vectors[0] - vectors[1]).detach().abs().max())
        expect(apart > 1e-6, "other vectors of another style", f"vectors that differ by {apart:.3g}")

    def test_batch_equals_one_by_one(self) -> None:
        encoder = self.used()
        x = self.styles(encoder)
        together = encoder(x)
        for index, row in enumerate(self.rows(x)):
            expect_close(encoder(row)[0], together[index], 1e-4, f"row {index} of a batch to be as it is alone")

    def test_padding_does_not_leak(self) -> None:
        encoder = self.used()
        if encoder.takes != "script":
            pytest.skip("takes values, which have no padding")
        x = self.styles(encoder)
        real = torch.arange(max(self.sizes)) < x.lengths[:, None]
        other = Script(**{name: self._padded(value, real) if name in PER_FRAME else value
                          for name, value in x.tensors().items()})  # fmt: skip
        expect_close(encoder(other), encoder(x), 1e-5, "the same vectors whatever the padding holds")

    @staticmethod
    def _padded(value: Tensor, real: Tensor) -> Tensor:
        return torch.where(real[:, None] if value.ndim == 3 else real, value, 10.0)

    def test_values_are_read(self) -> None:
        encoder = self.used()
        if encoder.takes == "script":
            expect_refusal(lambda: encoder.read(self.unknown), LVCError)
            return
        assert self.values is not None, "expected values, two that read takes; got none"
        shapes = {tuple(encoder.read(value).shape) for value in self.values}
        expect(len(shapes) == 1, "one shape for all values", sorted(shapes))
        expect_refusal(lambda: encoder.read(self.unknown), LVCError)

    def test_gradients_reach_weights(self) -> None:
        encoder = self.make().train()
        if not any(weight.requires_grad for weight in encoder.parameters()):
            pytest.skip("frozen")
        vectors = encoder(self.styles(encoder))
        (vectors - torch.randn(vectors.shape)).square().mean().backward()
        assert_gradients_reach(encoder)

    def test_deterministic_in_eval_and_after_a_checkpoint(self) -> None:
        encoder = self.used()
        x = self.styles(encoder)
        vectors = encoder(x)
        for other in (encoder, rebuilt(encoder)):
            expect_close(other(x), vectors, 0, "the same vectors again, and after a checkpoint")
