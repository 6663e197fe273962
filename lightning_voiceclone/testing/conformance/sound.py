"""Checks that every feature extractor and every vocoder must pass."""

# ruff: noqa: D102 - a check's name says what it checks

import math

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.interfaces import FeatureExtractor, Vocoder
from lightning_voiceclone.spec import AudioSpec, check_join
from lightning_voiceclone.testing.conformance.part import PartConformance, assert_close, has_capability, rebuilt
from lightning_voiceclone.testing.signals import speech_like


def speech(seconds: float, sample_rate: int, rows: int = 2) -> Tensor:
    """Synthetic speech (rows, N), one speaker a row."""
    sounds = [speech_like(seconds, sample_rate=sample_rate, speaker=row, seed=row).audio for row in range(rows)]
    return torch.stack([torch.from_numpy(sound) for sound in sounds])


class FeatureExtractorConformance(PartConformance):
    """T = N // hop, the spec's channels, finite, rows apart, context, no weights, moves, checkpoints.

    ``tolerance`` is relative to the greatest magnitude of the features.
    """

    tolerance = 1e-4

    def make(self) -> FeatureExtractor:
        """The extractor."""
        part = self.part(**self.arguments)
        assert isinstance(part, FeatureExtractor)
        return part

    def assert_same(self, actual: Tensor, expected: Tensor) -> None:
        """Equal to ``tolerance`` of the greatest magnitude."""
        assert actual.shape == expected.shape
        assert (actual - expected).abs().max() <= self.tolerance * expected.abs().max().clamp(min=1e-6)

    def test_shape(self) -> None:
        extractor = self.make().eval()
        spec = extractor.spec
        audio = speech(0.6, spec.sample_rate)
        shortest = max(spec.n_fft or 0, spec.hop_length)
        for samples in (shortest, 20 * spec.hop_length, 20 * spec.hop_length + 1, 21 * spec.hop_length - 1):
            features = extractor(audio[:, :samples])
            assert features.shape == (2, spec.channels, min(samples, audio.shape[1]) // spec.hop_length)
            assert features.isfinite().all()

    def test_silence_is_finite(self) -> None:
        extractor = self.make().eval()
        assert extractor(torch.zeros(1, extractor.spec.sample_rate // 2)).isfinite().all()

    def test_spec_survives_a_checkpoint(self) -> None:
        spec = self.make().spec
        assert AudioSpec.from_mapping(spec.to_mapping()) == spec

    def test_batch_equals_one_by_one(self) -> None:
        extractor = self.make().eval()
        audio = speech(0.5, extractor.spec.sample_rate, rows=3)
        together = extractor(audio)
        for index in range(3):
            self.assert_same(together[index : index + 1], extractor(audio[index : index + 1]))

    def test_context_is_honest(self) -> None:
        extractor = self.make().eval()
        left, right = extractor.context
        if math.isinf(left) or math.isinf(right):
            pytest.skip("context is the whole utterance")
        hop = extractor.spec.hop_length
        changed = int(right) + 4
        frames = changed + int(left) + 10
        before = speech((frames + 1) * hop / extractor.spec.sample_rate, extractor.spec.sample_rate)[:, : frames * hop]
        after = before.clone()
        after[:, changed * hop : (changed + 1) * hop] += 0.2
        first, second = extractor(before), extractor(after)
        for part in (slice(0, changed - int(right)), slice(changed + int(left) + 1, None)):
            self.assert_same(second[:, :, part], first[:, :, part])

    def test_nothing_to_train(self) -> None:
        assert [name for name, weight in self.make().named_parameters() if weight.requires_grad] == []

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda(self) -> None:
        extractor = self.make().eval()
        audio = speech(0.5, extractor.spec.sample_rate)
        on_cpu = extractor(audio)
        assert_close(extractor.cuda()(audio.cuda()).cpu(), on_cpu, 1e-2)

    def test_round_trip(self) -> None:
        extractor = self.make().eval()
        copy = rebuilt(extractor)
        assert isinstance(copy, FeatureExtractor)
        assert copy.spec == extractor.spec
        audio = speech(0.3, extractor.spec.sample_rate)
        assert torch.equal(copy(audio), extractor(audio))


class VocoderConformance(PartConformance):
    """Length T * hop, in range, finite, agreeing with its extractor; then what its capabilities promise."""

    def extractor(self) -> FeatureExtractor:
        """The extractor whose features the vocoder turns to sound; override it."""
        raise NotImplementedError(f"{type(self).__name__} must override extractor()")

    def make(self) -> Vocoder:
        """The vocoder for the extractor's spec."""
        torch.manual_seed(0)
        part = self.part(self.extractor().spec, **self.arguments)
        assert isinstance(part, Vocoder)
        return part

    def features(self, seconds: float = 0.4) -> Tensor:
        """Features (B, F, T) of synthetic speech."""
        extractor = self.extractor().eval()
        return extractor(speech(seconds, extractor.spec.sample_rate))

    def test_spec_is_the_extractors(self) -> None:
        check_join("extractor", self.extractor().spec, "vocoder", self.make().spec)

    def test_length_and_range(self) -> None:
        vocoder = self.make().eval()
        features = self.features()
        for frames in (1, 7, features.shape[-1]):
            audio = vocoder(features[:, :, :frames])
            assert audio.shape == (2, frames * vocoder.spec.hop_length)
            assert audio.isfinite().all()
            assert audio.abs().max() <= 1

    def test_silence_is_quiet(self) -> None:
        extractor, vocoder = self.extractor().eval(), self.make().eval()
        silent = extractor(torch.zeros(1, extractor.spec.sample_rate // 2))
        assert vocoder(silent).abs().max() < 0.01

    def test_deterministic(self) -> None:
        vocoder = self.make().eval()
        if not has_capability(vocoder, "deterministic"):
            pytest.skip("does not claim to be deterministic")
        features = self.features()
        assert torch.equal(vocoder(features), vocoder(features))

    def test_differentiable(self) -> None:
        vocoder = self.make().eval()
        if not has_capability(vocoder, "differentiable"):
            pytest.skip("does not claim to be differentiable")
        features = self.features().requires_grad_()
        vocoder(features).square().mean().backward()
        assert features.grad is not None
        assert features.grad.isfinite().all()
        assert features.grad.any()

    def test_streamable(self) -> None:
        vocoder = self.make().eval()
        if not has_capability(vocoder, "streamable"):
            pytest.skip("does not claim to be streamable")
        left, right = vocoder.context
        assert math.isfinite(left)
        assert math.isfinite(right)
        features, hop = self.features(), vocoder.spec.hop_length
        whole, half = vocoder(features), features.shape[-1] // 2
        start = max(half - int(left), 0)
        chunk = vocoder(features[:, :, start:])
        assert_close(chunk[:, (half - start) * hop :], whole[:, half * hop :])
        end = min(half + int(right), features.shape[-1])
        assert_close(vocoder(features[:, :, :end])[:, : half * hop], whole[:, : half * hop])

    def test_export(self) -> None:
        vocoder = self.make().eval()
        if not has_capability(vocoder, "exportable"):
            pytest.skip("does not claim to be exportable")
        features = self.features()
        assert_close(torch.export.export(vocoder, (features,)).module()(features), vocoder(features))

    def test_round_trip(self) -> None:
        vocoder = self.make().eval()
        copy = rebuilt(vocoder)
        assert isinstance(copy, Vocoder)
        assert copy.spec == vocoder.spec
        if has_capability(vocoder, "deterministic"):
            features = self.features(0.2)
            assert torch.equal(copy(features), vocoder(features))
