"""Checks that every feature extractor must pass."""

# ruff: noqa: D102 - a check's name describes it

import functools
import math
from contextlib import suppress
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.interfaces import FeatureExtractor
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.core.registry import constructor_parameters
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import LVCError, PluginError
from lightning_voiceclone.testing.conformance.expect import expect, expect_refusal, expect_same, expect_shape
from lightning_voiceclone.testing.conformance.part import NetworkConformance, other_arguments, rebuilt
from lightning_voiceclone.testing.conformance.speech import speech
from lightning_voiceclone.testing.conformance.streaming import check_chunks, streamed_frames

LATE_SECONDS = 0.02  # by which the middle of a sound's effect may miss the sound; a frame, if that is longer


class FeatureExtractorConformance(NetworkConformance):
    """T = N // hop centred frames, the spec's numbers, any length and precision, rows apart, context, no weights.

    ``tolerance`` is relative to the greatest magnitude of the features.
    """

    claims = frozenset({"deterministic", "differentiable", "streamable"})
    tolerance = 1e-4
    double_tolerance = 0.05  # a frame's pitch may jump
    half_tolerance = 0.3  # half-precision samples have noise, which quiet frames show

    def make(self) -> FeatureExtractor:
        """The extractor."""
        part = self.part(**self.arguments)
        assert isinstance(part, FeatureExtractor)
        return part

    def used(self) -> FeatureExtractor:
        return self.make().eval()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        assert isinstance(part, FeatureExtractor)
        audio = speech(0.3, part.spec.sample_rate)
        return (audio.flip(-1) if variant else audio,)

    def half(self, part: Part, *arguments: Any) -> Any:
        features = part(arguments[0].half())
        expect(features.dtype == torch.float16, "features in half precision of half-precision audio", features.dtype)
        return features

    def assert_same(self, actual: Tensor, expected: Tensor, what: str) -> None:
        """Equal to ``tolerance`` of the greatest magnitude."""
        expect_same(actual, expected, self.tolerance, what)

    def test_shape(self) -> None:
        extractor = self.used()
        spec = extractor.spec
        audio = speech(0.6, spec.sample_rate)
        shortest = max(spec.n_fft or 0, spec.hop_length)
        for samples in (shortest, 20 * spec.hop_length, 20 * spec.hop_length + 1, 21 * spec.hop_length - 1):
            given = audio[:, :samples]
            frames = given.shape[1] // spec.hop_length
            expect_shape(extractor(given), (2, spec.channels, frames), f"features of {given.shape[1]} samples")

    def test_one_hop_and_less_than_a_window(self) -> None:
        extractor = self.used()
        hop, window = extractor.spec.hop_length, extractor.spec.n_fft or 0
        for samples in sorted({hop, hop + 1, 2 * hop, max(window - 1, hop)}):
            audio = speech(0.5, extractor.spec.sample_rate, rows=1)[:, :samples]
            shape = (1, extractor.spec.channels, audio.shape[1] // hop)
            expect_shape(extractor(audio), shape, f"features of {audio.shape[1]} samples")

    def test_audio_that_cannot_be_framed_is_refused(self) -> None:
        extractor = self.used()
        audio, hop = speech(0.3, extractor.spec.sample_rate), extractor.spec.hop_length
        cases = {"one axis": audio[0], "three axes": audio[None], "whole numbers": (1000 * audio).long(),
                 "no sample": audio[:, :0], "less than a hop": audio[:, : hop - 1]}  # fmt: skip
        for name, wrong in cases.items():
            if wrong.shape[-1] < hop and hop == 1 and name != "no sample":
                continue
            try:
                expect_refusal(lambda wrong=wrong: extractor(wrong), LVCError)  # type: ignore[misc]
            except AssertionError as error:
                raise AssertionError(f"of audio with {name}: {error}") from None

    def test_silence_is_finite(self) -> None:
        extractor = self.used()
        features = extractor(torch.zeros(1, extractor.spec.sample_rate // 2))
        expect(bool(features.isfinite().all()), "finite features of silence", "others")

    def test_frames_are_centred(self) -> None:
        extractor = self.used()
        spec = extractor.spec
        middle, frames = 30, 60
        generator = torch.Generator().manual_seed(0)
        quiet = 1e-3 * torch.randn(1, frames * spec.hop_length, generator=generator)
        loud = quiet.clone()
        reach = max(spec.sample_rate // 400, 1)  # 5 ms of noise, whose middle is that of a frame
        at = round((middle + 0.5) * spec.hop_length)
        loud[:, max(at - reach, 0) : at + reach] += 0.3 * torch.randn(2 * reach, generator=generator)
        change = (extractor(loud) - extractor(quiet)).abs().sum((0, 1)).double()
        expect(float(change.sum()) > 0, "other features where there is a sound", "the same")
        centre = float((change * torch.arange(len(change))).sum() / change.sum())
        late = (centre - middle) / spec.frame_rate
        bound = max(LATE_SECONDS, 1 / spec.frame_rate)
        expect(abs(late) <= bound, f"a sound in the middle of frame {middle} to show there, to {1000 * bound:.0f} ms",
               f"a change centred {1000 * late:+.0f} ms from it")  # fmt: skip

    def test_kind_is_its_own_or_that_of_the_same_features(self) -> None:
        extractor = self.used()
        spec = extractor.spec
        for other in _of_kind(spec.kind):
            if issubclass(type(extractor), other) and type(extractor).forward is other.forward:
                continue
            twin = _with_spec(other, spec)
            own = f"a kind that no other extractor has, such as {type(extractor).__name__.lower()!r}"
            expect(twin is not None, own, f"{spec.kind!r}, that of {other.__name__}, which has no such spec")
            assert twin is not None
            audio = speech(0.3, spec.sample_rate).double()  # logarithms of single precision differ near the floor
            what = f"features that its spec states, of the kind {spec.kind!r}: those of {other.__name__}"
            self.assert_same(extractor.double()(audio), twin.eval().double()(audio), what)

    def test_every_argument_is_in_the_spec(self) -> None:
        extractor = self.used()
        audio = speech(0.3, extractor.spec.sample_rate)
        ours = extractor(audio)
        for name, value in other_arguments(self.part, self.arguments, 0):
            try:
                other = self.part(**{**self.arguments, name: value})
            except (LVCError, TypeError, ValueError):  # a value that was guessed badly
                continue
            assert isinstance(other, FeatureExtractor)
            if other.spec == extractor.spec and extractor.spec.channels == other.spec.channels:
                with suppress(LVCError):
                    expect_same(other.eval()(audio), ours, 1e-6,
                                f"{name}={value!r} to be in the spec, or the same features with it")  # fmt: skip

    def test_spec_survives_a_checkpoint(self) -> None:
        spec = self.make().spec
        again = AudioSpec.from_mapping(spec.to_mapping())
        expect(again == spec, f"the spec {spec} after a checkpoint", again)

    def test_channel_frequencies(self) -> None:
        extractor = self.used()
        hertz = extractor.channel_frequencies()
        if hertz is None:
            pytest.skip("channels are no frequencies")
        nyquist = extractor.spec.sample_rate / 2
        expect_shape(hertz, (extractor.spec.channels,), "channel frequencies")
        expect(bool((hertz >= 0).all() and (hertz <= nyquist).all()), f"frequencies from 0 to {nyquist:g} Hz",
               f"{hertz.tolist()[:8]} …")  # fmt: skip
        stated = hertz.nonzero().flatten()
        hertz = hertz[stated]
        times = torch.arange(extractor.spec.sample_rate) / extractor.spec.sample_rate
        for channel in (len(hertz) // 2, 3 * len(hertz) // 4):
            tone = 0.5 * torch.sin(2 * math.pi * hertz[channel] * times)[None]
            loudest = int(extractor(tone)[0, stated].mean(-1).argmax())
            spacing = float(hertz[max(loudest - 1, 0) : loudest + 2].diff().abs().max())  # of its neighbours
            expect(abs(float(hertz[loudest] - hertz[channel])) <= spacing * (1 + len(hertz) // 40),
                   f"a tone of {float(hertz[channel]):.0f} Hz to be loudest in channel {int(stated[channel])}, or"
                   " one of that frequency", f"{int(stated[loudest])}, of {float(hertz[loudest]):.0f} Hz")  # fmt: skip

    def test_batch_equals_one_by_one(self) -> None:
        extractor = self.used()
        audio = speech(0.5, extractor.spec.sample_rate, rows=3)
        together = extractor(audio)
        for index in range(3):
            alone = extractor(audio[index : index + 1])
            self.assert_same(together[index : index + 1], alone, f"row {index} of a batch to be as it is alone")

    def test_context_is_honest(self) -> None:
        extractor = self.used()
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
            self.assert_same(second[:, :, part], first[:, :, part],
                             f"no change beyond the declared context of {left:g} and {right:g} frames")  # fmt: skip

    def test_streamable(self) -> None:
        extractor = self.used().double()
        spec = extractor.spec
        audio = speech((streamed_frames(extractor) + 0.5) * spec.hop_length / spec.sample_rate, spec.sample_rate)
        check_chunks(extractor, lambda begin, end: audio[:, begin * spec.hop_length : end * spec.hop_length].double())

    def test_nothing_to_train(self) -> None:
        names = [name for name, weight in self.make().named_parameters() if weight.requires_grad]
        expect(not names, "no weights to train", names)

    @pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
    def test_cuda(self) -> None:
        extractor = self.used()
        audio = speech(0.5, extractor.spec.sample_rate)
        on_cpu = extractor(audio)
        expect_same(extractor.cuda()(audio.cuda()).cpu(), on_cpu, 1e-2, "the same on a GPU")

    def test_round_trip(self) -> None:
        extractor = self.used()
        copy = rebuilt(extractor)
        assert isinstance(copy, FeatureExtractor)
        expect(copy.spec == extractor.spec, "the same spec after a checkpoint", copy.spec.differences(extractor.spec))
        audio = speech(0.3, extractor.spec.sample_rate)
        expect_same(copy(audio), extractor(audio), 0, "the same features after a checkpoint")


@functools.cache
def _of_kind(kind: str) -> tuple[type[FeatureExtractor], ...]:
    """Installed extractors whose features are of that kind, by their defaults."""
    found = []
    for plugin in registry.installed():
        if plugin.kind == "feature_extractors":
            with suppress(LVCError, PluginError, TypeError, ImportError):  # what cannot be built by itself
                cls: Any = plugin.load()
                if cls().spec.kind == kind:
                    found.append(cls)
    return tuple(found)


def _with_spec(cls: type[FeatureExtractor], spec: AudioSpec) -> FeatureExtractor | None:
    """The extractor of that class with that spec; None if its arguments lead to no such spec."""
    values = spec.to_mapping() | {"n_mfcc": spec.channels, "threshold": spec.floor}
    values |= {"floor": 1e-5} if spec.floor is None else {}
    arguments: dict[str, Any] = {name: values[name] for name in constructor_parameters(cls) if name in values}
    with suppress(LVCError, TypeError):
        made = cls(**arguments)
        return made if made.spec == spec else None
    return None
