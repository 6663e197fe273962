"""Checks that every content encoder and every speaker encoder must pass."""

# ruff: noqa: D102 - a check's name describes it

import math
from fractions import Fraction
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import ContentEncoder, SpeakerEncoder
from lightning_voiceclone.core.part import Dims, Part
from lightning_voiceclone.core.streaming import FINEST, Context
from lightning_voiceclone.testing.conformance.expect import expect, expect_close, expect_same, expect_shape
from lightning_voiceclone.testing.conformance.export import OTHERS, check_export
from lightning_voiceclone.testing.conformance.part import (
    NetworkConformance,
    assert_gradients_reach,
    rebuilt,
    seeded,
)
from lightning_voiceclone.testing.conformance.streaming import check_chunks, streamed_frames


class _EncoderConformance(NetworkConformance):
    """``sizes`` are lengths of x, in frames or samples."""

    claims = frozenset({"deterministic", "differentiable", "exportable"})

    sizes = (1, 2, 17, 60)
    dims = Dims(20)
    sample_rate = 16000

    def make(self, dims: Dims) -> ContentEncoder | SpeakerEncoder:
        """The encoder for these widths."""
        seeded()
        part = self.part(dims, **self.arguments)
        assert isinstance(part, ContentEncoder | SpeakerEncoder)
        return part

    def used(self) -> ContentEncoder | SpeakerEncoder:
        return self.make(self.dims).eval()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        x, _ = self.heard([self.sizes[-1]] * 2)
        return (x.flip(-1) if variant else x,)

    def heard(self, sizes: list[int]) -> tuple[Tensor, Tensor]:
        """x, padded at random to the longest of ``sizes``, and the lengths."""
        seeded()
        rows, longest = len(sizes), max(sizes)
        by_features = self.part.takes == "features"  # type: ignore[attr-defined]
        x = torch.randn(rows, self.dims.features, longest) if by_features else 0.1 * torch.randn(rows, longest)
        return x, torch.tensor(sizes)

    def kept(self, encoder: ContentEncoder | SpeakerEncoder, encoded: Tensor, size: int) -> Tensor:
        """The part of one row's output that must not depend on the padding."""
        return encoded

    @pytest.fixture
    def pair(self) -> list[int]:
        """Two lengths of x."""
        return [self.sizes[-1], self.sizes[-2]]

    def test_padding_does_not_leak(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, lengths = self.heard(pair)
        scrambled = x.clone()
        scrambled[1, ..., pair[1] :] = 10.0
        ours, theirs = encoder(x, lengths), encoder(scrambled, lengths)
        for index, size in enumerate(pair):
            expect_close(self.kept(encoder, theirs[index], size), self.kept(encoder, ours[index], size), 1e-5,
                         f"row {index} to be the same whatever its padding holds")  # fmt: skip

    def test_batch_equals_one_by_one(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, lengths = self.heard(pair)
        together = encoder(x, lengths)
        for index, size in enumerate(pair):
            alone = encoder(x[index : index + 1, ..., :size])[0]
            expect_close(self.kept(encoder, together[index], size), self.kept(encoder, alone, size), 1e-4,
                         f"row {index} of a batch to be as it is alone")  # fmt: skip

    def test_no_lengths_means_all(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, _ = self.heard(pair[:1] * 2)
        all_of_it = encoder(x, torch.tensor(pair[:1] * 2))
        expect_close(encoder(x), all_of_it, 1e-4, "without lengths the output with the whole as lengths")

    def test_gradients_reach_weights_and_input(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).train()
        x, lengths = self.heard(pair)
        x.requires_grad_()
        encoded = encoder(x, lengths)
        if not any(weight.requires_grad for weight in encoder.parameters()):
            pytest.skip("frozen")
        (encoded - torch.randn(encoded.shape)).square().mean().backward()
        assert_gradients_reach(encoder)
        expect(x.grad is not None and bool(x.grad.any()), "a gradient of the input", "none")
        assert x.grad is not None
        expect(bool(x.grad.isfinite().all()), "a finite gradient of the input", "one that is not")

    def test_deterministic_in_eval(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, lengths = self.heard(pair)
        expect_same(encoder(x, lengths), encoder(x, lengths), 0, "the same output again, out of training")

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, lengths = self.heard(pair)
        on_cpu = encoder(x, lengths)
        expect_close(encoder.cuda()(x.cuda(), lengths.cuda()).cpu(), on_cpu, 1e-2, "the same on a GPU")

    @pytest.mark.slow
    def test_export(self) -> None:
        encoder = self.make(self.dims).eval()
        unit = 1 if encoder.takes == "features" else round(self.sample_rate / self.dims.frame_rate)
        x, _ = self.heard([OTHERS[-1] * unit] * 2)
        check_export(
            encoder,
            lambda frames: (x[..., : frames * unit].clone(), torch.tensor([frames, frames - 7]) * unit),
            lambda ours, theirs: expect_close(ours, theirs, 1e-4, "what the part itself gives"),
        )

    def test_checkpoint_round_trip(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, lengths = self.heard(pair)
        expect_same(rebuilt(encoder)(x, lengths), encoder(x, lengths), 0, "the same output after a checkpoint")


class ContentEncoderConformance(_EncoderConformance):
    """Shapes at the encoder's own frame rate, padding, context, gradients, determinism, moves, checkpoints."""

    claims = frozenset({"deterministic", "differentiable", "exportable", "streamable"})

    def frames(self, encoder: ContentEncoder, size: int) -> int:
        """Frames of content for x of that length: every begun one."""
        by_features = encoder.takes == "features"
        seconds = size / (self.dims.frame_rate if by_features else self.sample_rate)
        return -int(-seconds * encoder.frame_rate // 1)

    def kept(self, encoder: ContentEncoder | SpeakerEncoder, encoded: Tensor, size: int) -> Tensor:
        """The real frames of content."""
        assert isinstance(encoder, ContentEncoder)
        return encoded[..., : self.frames(encoder, size)]

    def test_shape(self) -> None:
        encoder = self.make(self.dims)
        assert isinstance(encoder, ContentEncoder)
        for size in self.sizes:
            x, lengths = self.heard([size, max(size - 1, 1)])
            content = encoder(x, lengths)
            # An encoder of audio may lose a frame at the end to its windows.
            frames = self.frames(encoder, size)
            if encoder.takes == "audio" and content.shape[-1] == frames - 1:
                frames -= 1
            expect_shape(content, (2, encoder.channels, frames), f"content of {size} {self._units(encoder)}")

    def _units(self, encoder: ContentEncoder) -> str:
        return "frames" if encoder.takes == "features" else "samples"

    def test_context_is_honest(self) -> None:
        encoder = self.make(self.dims).eval()
        assert isinstance(encoder, ContentEncoder)
        left, right = encoder.context.left, encoder.context.right
        if math.isinf(left) or math.isinf(right):
            pytest.skip("context is the whole utterance")
        # Of features the context counts frames of x, of audio frames of content.
        unit = 1.0 if encoder.takes == "features" else self.sample_rate / encoder.frame_rate
        rate = encoder.frame_rate / self.dims.frame_rate if encoder.takes == "features" else 1.0
        context = encoder.context.beside(Context(0, 0, Fraction(rate).limit_denominator(FINEST).denominator))
        changed, frames = int(right) + 2 * context.grid + 4, int(left + 2 * right) + 5 * context.grid + 10
        x, _ = self.heard([round(frames * unit)])
        other = x.clone()
        other[..., round(changed * unit) : round((changed + 1) * unit)] += 1
        ours, theirs = encoder(x), encoder(other)
        change = (theirs - ours).abs().amax((0, 1))
        seen = (change > 1e-5 * ours.abs().max()).nonzero()[:, 0].tolist()
        expect(bool(seen), f"other content where frame {changed} changes", "the same")
        # A frame of audio lies somewhere between those before and after it.
        near = [(frame, context.seen_by(math.floor(frame / rate), frames)) for frame in seen]
        outside = [frame for frame, there in near if not there.start - 2 <= changed <= there.stop]
        expect(not outside, f"a change of frame {changed} in the content of chunks that see it alone, by the context of"
               f" {left:g} and {right:g} frames with a grid of {encoder.context.grid}",
               f"one in {outside[:6]}")  # fmt: skip

    def test_streamable(self) -> None:
        encoder = self.make(self.dims).eval().double()
        assert isinstance(encoder, ContentEncoder)
        by_features = encoder.takes == "features"
        # An encoder of audio counts its context in frames of content.
        unit, rate = (1, self.dims.frame_rate) if by_features else (self.sample_rate / encoder.frame_rate, None)
        x = self.heard([round(streamed_frames(encoder) * unit)] * 2)[0].double()
        check_chunks(
            encoder,
            lambda begin, end: x[..., round(begin * unit) : round(end * unit)],
            encoder.frame_rate / rate if rate else 1,
        )


class SpeakerEncoderConformance(_EncoderConformance):
    """One vector an utterance, whatever its length; padding, gradients, determinism, moves, checkpoints."""

    def test_shape(self) -> None:
        encoder = self.make(self.dims)
        for size in self.sizes:
            x, lengths = self.heard([size, max(size - 1, 1)])
            embedding = encoder(x, lengths)
            expect_shape(embedding, (2, encoder.channels), f"embeddings of {size} of x")

    def test_one_speaker_is_a_cosine(self) -> None:
        encoder = self.make(self.dims)
        assert isinstance(encoder, SpeakerEncoder)
        least = encoder.one_speaker
        expect(least is None or -1 < least < 1, "one_speaker between -1 and 1, or None", least)
