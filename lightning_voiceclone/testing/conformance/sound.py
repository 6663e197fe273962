"""Checks that every feature extractor and every vocoder must pass."""

# ruff: noqa: D102 - a check's name describes it

import math
from typing import ClassVar

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import FeatureExtractor, Vocoder
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.testing.conformance.export import OTHERS, check_export
from lightning_voiceclone.testing.conformance.part import (
    PartConformance,
    assert_close,
    assert_gradients_reach,
    has_capability,
    rebuilt,
)
from lightning_voiceclone.testing.conformance.streaming import check_chunks, streamed_frames
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
        left, right = extractor.context.left, extractor.context.right
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

    def test_streamable(self) -> None:
        extractor = self.make().eval().double()
        spec = extractor.spec
        audio = speech((streamed_frames(extractor) + 0.5) * spec.hop_length / spec.sample_rate, spec.sample_rate)
        check_chunks(extractor, lambda begin, end: audio[:, begin * spec.hop_length : end * spec.hop_length].double())

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
    """Length T * hop, in range, finite, agreeing with its extractor, refusing bad input; then what it claims.

    ``seconds`` is how much speech most checks take; ``tolerance`` is relative to the greatest sample.
    """

    seconds: ClassVar[float] = 0.4
    tolerance: ClassVar[float] = 1e-4

    def extractor(self) -> FeatureExtractor:
        """The extractor whose features the vocoder turns to sound; override it."""
        raise NotImplementedError(f"{type(self).__name__} must override extractor()")

    def make(self) -> Vocoder:
        """The vocoder for the extractor's spec."""
        torch.manual_seed(0)
        part = self.part(self.extractor().spec, **self.arguments)
        assert isinstance(part, Vocoder)
        return part

    def claiming(self, *names: str) -> Vocoder:
        """The vocoder, out of training, if it claims these capabilities; else the check is skipped."""
        vocoder = self.make().eval()
        for name in names:
            if not has_capability(vocoder, name):
                pytest.skip(f"does not claim to be {name}")
        return vocoder

    def audio(self, seconds: float | None = None, rows: int = 2) -> Tensor:
        """Synthetic speech (rows, T * hop)."""
        spec = self.extractor().spec
        sound = speech(seconds or self.seconds, spec.sample_rate, rows)
        return sound[:, : sound.shape[1] // spec.hop_length * spec.hop_length]

    def features(self, seconds: float | None = None, rows: int = 2) -> Tensor:
        """Features (rows, F, T) of :meth:`audio`."""
        return self.extractor().eval()(self.audio(seconds, rows))

    def assert_same(self, actual: Tensor, expected: Tensor) -> None:
        """Equal to ``tolerance`` of the greatest sample: an untrained network's output may be faint."""
        assert actual.shape == expected.shape
        greatest = expected.abs().max()
        assert greatest > 0, "silence equals silence: the check would show nothing"
        assert (actual - expected).abs().max() <= self.tolerance * greatest

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

    def test_bad_features_are_told_in_one_line(self) -> None:
        vocoder, features = self.make().eval(), self.features(0.1)
        broken = features.clone()
        broken[0, 0, 1] = math.nan
        cases = [
            (features[:, :-1], SpecMismatchError),
            (features[0], SpecMismatchError),
            (features[:, :, :0], ConfigurationError),
            (broken, ConfigurationError),
        ]
        for wrong, error in cases:
            with pytest.raises(error, match=type(vocoder).__name__) as raised:
                vocoder(wrong)
            assert "\n" not in str(raised.value)

    def test_silence_is_quiet(self) -> None:
        extractor, vocoder = self.extractor().eval(), self.make().eval()
        if any(weight.requires_grad for weight in vocoder.parameters()):
            pytest.skip("has to learn first what silence is")
        silent = extractor(torch.zeros(1, extractor.spec.sample_rate // 2))
        assert vocoder(silent).abs().max() < 0.01

    def test_deterministic(self) -> None:
        vocoder, features = self.claiming("deterministic"), self.features()
        first = vocoder(features)
        torch.manual_seed(1)
        assert torch.equal(vocoder(features), first)

    def test_batch_equals_one_by_one(self) -> None:
        # In double precision: errors of rounding may grow from one iteration or sample to the next.
        vocoder, features = self.claiming("deterministic").double(), self.features(rows=3).double()
        together = vocoder(features)
        for row in range(3):
            self.assert_same(together[row : row + 1], vocoder(features[row : row + 1]))

    def test_differentiable(self) -> None:
        vocoder = self.claiming("differentiable")
        features = self.features().requires_grad_()
        vocoder(features).square().mean().backward()
        assert features.grad is not None
        assert features.grad.isfinite().all()
        assert features.grad.any()

    def test_streamable(self) -> None:
        vocoder = self.make().eval().double()
        frames, hop = streamed_frames(vocoder), vocoder.spec.hop_length
        features = self.features((frames + 0.5) * hop / vocoder.spec.sample_rate).double()
        check_chunks(vocoder, lambda begin, end: features[:, :, begin:end], hop)

    def test_likelihood(self) -> None:
        vocoder = self.make().train()
        features, audio = self.features(), self.audio()
        if not has_capability(vocoder, "likelihood"):
            with pytest.raises(ConfigurationError, match=f"{type(vocoder).__name__} has no likelihood"):
                vocoder.likelihood(features, audio)
            return
        bits = vocoder.likelihood(features, audio)
        assert bits.shape == ()
        assert bits.isfinite()
        bits.backward()
        assert_gradients_reach(vocoder)
        with pytest.raises(ConfigurationError, match=type(vocoder).__name__):
            vocoder.likelihood(features, audio[:, :-1])

    def test_preparing_changes_rounding_alone(self) -> None:
        vocoder, features = self.claiming("deterministic"), self.features()
        before = vocoder(features)
        state = {name: tensor.clone() for name, tensor in vocoder.state_dict().items()}
        vocoder.fuse()
        self.assert_same(vocoder(features), before)
        after = vocoder.state_dict()
        assert after.keys() == state.keys()
        assert all(torch.equal(after[name], tensor) for name, tensor in state.items())
        vocoder.train().eval()
        assert torch.equal(vocoder(features), before), "train() does not take back what was prepared"

    @pytest.mark.slow
    def test_export(self) -> None:
        vocoder = self.claiming("exportable")
        spec = vocoder.spec
        features = self.features((OTHERS[-1] + 0.5) * spec.hop_length / spec.sample_rate, rows=1)
        check_export(vocoder, lambda frames: (features[..., :frames].clone(),), self.assert_same)

    def test_round_trip(self) -> None:
        vocoder = self.make().eval()
        copy = rebuilt(vocoder)
        assert isinstance(copy, Vocoder)
        assert copy.spec == vocoder.spec
        if has_capability(vocoder, "deterministic"):
            features = self.features(0.2)
            assert torch.equal(copy(features), vocoder(features))
