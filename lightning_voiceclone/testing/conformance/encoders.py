"""Checks that every content encoder and every speaker encoder must pass."""

# ruff: noqa: D102 - a check's name describes it

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import ContentEncoder, SpeakerEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.testing.conformance.export import OTHERS, check_export
from lightning_voiceclone.testing.conformance.part import (
    PartConformance,
    assert_close,
    assert_gradients_reach,
    rebuilt,
    seeded,
)
from lightning_voiceclone.testing.conformance.streaming import check_chunks, streamed_frames


class _EncoderConformance(PartConformance):
    """``sizes`` are lengths of x, in frames or samples; ``unit`` is how many of them give a frame of features."""

    sizes = (1, 2, 17, 60)
    dims = Dims(20)
    sample_rate = 16000

    def make(self, dims: Dims) -> ContentEncoder | SpeakerEncoder:
        """The encoder for these widths."""
        seeded()
        part = self.part(dims, **self.arguments)
        assert isinstance(part, ContentEncoder | SpeakerEncoder)
        return part

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
            assert_close(self.kept(encoder, theirs[index], size), self.kept(encoder, ours[index], size), 1e-5)

    def test_batch_equals_one_by_one(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, lengths = self.heard(pair)
        together = encoder(x, lengths)
        for index, size in enumerate(pair):
            alone = encoder(x[index : index + 1, ..., :size])[0]
            assert_close(self.kept(encoder, together[index], size), self.kept(encoder, alone, size))

    def test_no_lengths_means_all(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, _ = self.heard(pair[:1] * 2)
        assert_close(encoder(x), encoder(x, torch.tensor(pair[:1] * 2)))

    def test_gradients_reach_weights_and_input(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).train()
        x, lengths = self.heard(pair)
        x.requires_grad_()
        encoded = encoder(x, lengths)
        if not any(weight.requires_grad for weight in encoder.parameters()):
            pytest.skip("frozen")
        (encoded - torch.randn(encoded.shape)).square().mean().backward()
        assert_gradients_reach(encoder)
        assert x.grad is not None
        assert x.grad.isfinite().all()
        assert x.grad.any()

    def test_deterministic_in_eval(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, lengths = self.heard(pair)
        assert torch.equal(encoder(x, lengths), encoder(x, lengths))

    def test_double_precision(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, lengths = self.heard(pair)
        single = encoder(x, lengths)
        double = encoder.double()(x.double(), lengths)
        assert double.dtype == torch.float64
        assert_close(double.float(), single, 1e-3)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, lengths = self.heard(pair)
        on_cpu = encoder(x, lengths)
        assert_close(encoder.cuda()(x.cuda(), lengths.cuda()).cpu(), on_cpu, 1e-2)

    @pytest.mark.slow
    def test_export(self) -> None:
        encoder = self.make(self.dims).eval()
        unit = 1 if encoder.takes == "features" else round(self.sample_rate / self.dims.frame_rate)
        x, _ = self.heard([OTHERS[-1] * unit] * 2)
        check_export(
            encoder,
            lambda frames: (x[..., : frames * unit].clone(), torch.tensor([frames, frames - 7]) * unit),
            assert_close,
        )

    def test_checkpoint_round_trip(self, pair: list[int]) -> None:
        encoder = self.make(self.dims).eval()
        x, lengths = self.heard(pair)
        assert torch.equal(rebuilt(encoder)(x, lengths), encoder(x, lengths))


class ContentEncoderConformance(_EncoderConformance):
    """Shapes at the encoder's own frame rate, padding, gradients, determinism, moves, checkpoints."""

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
            assert content.shape[:2] == (2, encoder.channels)
            assert content.isfinite().all()
            # An encoder of audio may lose a frame at the end to its windows.
            short = self.frames(encoder, size) - content.shape[-1]
            assert short == 0 if encoder.takes == "features" else short in (0, 1)

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
            assert embedding.shape == (2, encoder.channels)
            assert embedding.isfinite().all()
            assert isinstance(encoder, SpeakerEncoder)
            assert encoder.one_speaker is None or -1 < encoder.one_speaker < 1
