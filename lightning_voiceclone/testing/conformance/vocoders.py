"""Checks that every vocoder must pass."""

# ruff: noqa: D102 - a check's name describes it

import itertools
import math
from typing import Any, ClassVar

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import FeatureExtractor, Vocoder
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.core.spec import check_join
from lightning_voiceclone.core.streaming import State
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.testing.conformance.expect import expect, expect_refusal, expect_same, expect_shape
from lightning_voiceclone.testing.conformance.export import OTHERS, check_export
from lightning_voiceclone.testing.conformance.part import (
    NetworkConformance,
    assert_gradients_reach,
    has_capability,
    rebuilt,
    seeded,
)
from lightning_voiceclone.testing.conformance.speech import speech
from lightning_voiceclone.testing.conformance.streaming import check_chunks, streamed_frames

ENVELOPE_SECONDS = 0.005  # a value
MOST_LATE = 2  # values of the envelope by which copy synthesis may be late or early
SMOOTH = 5  # values over which it is averaged, so that it does not follow the pulses of a voice
MOST_ERROR = 0.9  # of copy synthesis's features, relative to the deviation of the recording's own; a constant has 1


class VocoderConformance(NetworkConformance):
    """Length T * hop, in range, finite, the sound of its features, rows apart, refusing bad input; what it claims.

    ``seconds`` is how much speech most checks take; ``tolerance`` is relative to the greatest sample.
    """

    claims = frozenset({"deterministic", "differentiable", "exportable", "likelihood", "streamable"})
    seconds: ClassVar[float] = 0.4
    tolerance: ClassVar[float] = 1e-4
    comparable = False  # rounding may grow from one iteration or sample to the next

    def extractor(self) -> FeatureExtractor:
        """The extractor whose features the vocoder turns to sound; override it."""
        raise NotImplementedError(f"{type(self).__name__} must override extractor()")

    def make(self) -> Vocoder:
        """The vocoder for the extractor's spec."""
        torch.manual_seed(0)
        part = self.part(self.extractor().spec, **self.arguments)
        assert isinstance(part, Vocoder)
        return part

    def used(self) -> Vocoder:
        return self.make().eval()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        features = self.features(min(self.seconds, 0.2))
        return (features.flip(-1) if variant else features,)

    def claiming(self, *names: str) -> Vocoder:
        """The vocoder, out of training, if it claims these capabilities; else the check is skipped."""
        vocoder = self.used()
        for name in names:
            if not has_capability(vocoder, name):
                pytest.skip(f"does not claim to be {name}")
        return vocoder

    def untrained(self) -> Vocoder:
        """The vocoder, out of training; skips the check if it has to be trained first."""
        vocoder = self.used()
        if any(weight.requires_grad for weight in vocoder.parameters()):
            pytest.skip("has to be trained first")
        return vocoder

    def audio(self, seconds: float | None = None, rows: int = 2) -> Tensor:
        """Synthetic speech (rows, T * hop)."""
        spec = self.extractor().spec
        sound = speech(seconds or self.seconds, spec.sample_rate, rows)
        return sound[:, : sound.shape[1] // spec.hop_length * spec.hop_length]

    def features(self, seconds: float | None = None, rows: int = 2) -> Tensor:
        """Features (rows, F, T) of :meth:`audio`."""
        return self.extractor().eval()(self.audio(seconds, rows))

    def assert_same(self, actual: Tensor, expected: Tensor, what: str = "the same audio") -> None:
        """Equal to ``tolerance`` of the greatest sample: an untrained network's output may be faint."""
        greatest = expected.abs().max()
        expect(float(greatest) > 0, "a sound, of which a check can show something", "silence")
        expect_same(actual / greatest, expected / greatest, self.tolerance, what)

    def test_spec_is_the_extractors(self) -> None:
        check_join("extractor", self.extractor().spec, "vocoder", self.make().spec)

    def test_length_and_range(self) -> None:
        vocoder, extractor, audio = self.used(), self.extractor().eval(), self.audio()
        features = extractor(audio / audio.abs().max())  # as loud as samples can be
        for frames in (1, 7, features.shape[-1]):
            sound = vocoder(features[:, :, :frames])
            expect_shape(sound, (2, frames * vocoder.spec.hop_length), f"audio of {frames} frames")
            expect(float(sound.abs().max()) <= 1, "samples in [-1, 1]", f"one of {float(sound.abs().max()):.3g}")

    def test_dtype_is_that_of_the_features(self) -> None:
        vocoder, features = self.used(), self.features(0.1)
        expect(vocoder(features).dtype == torch.float32, "float32 samples of float32 features", vocoder(features).dtype)

    def test_bad_features_are_refused(self) -> None:
        vocoder, features = self.used(), self.features(0.1)
        broken = features.clone()
        broken[0, 0, 1] = math.nan
        name = type(vocoder).__name__
        expect_refusal(lambda: vocoder(features[:, :-1]), SpecMismatchError, name)
        expect_refusal(lambda: vocoder(features[0]), SpecMismatchError, name)
        expect_refusal(lambda: vocoder(features[:, :, :0]), ConfigurationError, name)
        expect_refusal(lambda: vocoder(broken), ConfigurationError, name)

    def test_silence_is_quiet(self) -> None:
        extractor, vocoder = self.extractor().eval(), self.untrained()
        silent = vocoder(extractor(torch.zeros(1, extractor.spec.sample_rate // 2)))
        expect(float(silent.abs().max()) < 0.01, "silence of silence (below 0.01)", f"{float(silent.abs().max()):.3g}")

    def test_copy_synthesis(self) -> None:
        vocoder, extractor = self.untrained(), self.extractor().eval()
        audio = self.audio(rows=1)
        wanted = extractor(audio)
        with torch.no_grad():
            got = extractor(vocoder(wanted))
        deviation = (wanted - wanted.mean(-1, keepdim=True)).abs().mean((0, 2)).clamp(min=1e-6)
        error = float(((got - wanted).abs().mean((0, 2)) / deviation).median())
        expect(error <= MOST_ERROR, f"audio with the features it was made from, to {MOST_ERROR} of their deviation",
               f"{error:.3g} of it")  # fmt: skip

    def test_timing_is_kept(self) -> None:
        vocoder, extractor = self.untrained(), self.extractor().eval()
        audio = self.audio(rows=1)
        with torch.no_grad():
            sound = vocoder(extractor(audio))
        late = delay(sound[0], audio[0], vocoder.spec.sample_rate)
        expect(abs(late) <= MOST_LATE, f"a sound at its time, to {1000 * MOST_LATE * ENVELOPE_SECONDS:.0f} ms",
               f"one {1000 * late * ENVELOPE_SECONDS:+.0f} ms from it")  # fmt: skip

    def test_context_is_honest(self) -> None:
        vocoder = self.used()
        context = vocoder.context
        if math.isinf(context.left) or math.isinf(context.right):
            pytest.skip("context is the whole utterance")
        hop, changed = vocoder.spec.hop_length, int(context.right) + 3
        frames = changed + int(context.left) + 4
        features = self.features((frames + 1) * hop / vocoder.spec.sample_rate, rows=1)[..., :frames]
        other = features.clone()
        other[..., changed] = other[..., changed].flip(1) + 1
        outputs = []
        for given in (features, other):
            seeded()
            with torch.no_grad():
                outputs.append(vocoder(given)[0].unflatten(0, (frames, hop)))
        change = (outputs[1] - outputs[0]).abs().amax(1)
        bound = self.tolerance * float(outputs[0].abs().max())
        seen = (change > bound).nonzero()[:, 0].tolist()
        expect(bool(seen), f"other samples where frame {changed} changes", "the same")
        outside = [frame - changed for frame in seen if changed not in context.seen_by(frame, frames)]
        expect(not outside, f"no change beyond the declared context of {context.left:g} and {context.right:g} frames",
               f"changes {outside[:6]} frames away")  # fmt: skip

    def test_rows_are_apart(self) -> None:
        vocoder, features = self.used(), self.features(min(self.seconds, 0.2))
        other = features.clone()
        other[1] = features[1].flip(-1)
        outputs = []
        for given in (features, other):
            seeded()
            with torch.no_grad():
                outputs.append(vocoder(given)[:1])
        self.assert_same(outputs[1], outputs[0], "the first row to be the same whatever the second is")

    def test_batch_equals_one_by_one(self) -> None:
        # In double precision: errors of rounding may grow from one iteration or sample to the next.
        vocoder, features = self.claiming("deterministic").double(), self.features(rows=3).double()
        together = vocoder(features)
        for row in range(3):
            alone = vocoder(features[row : row + 1])
            self.assert_same(together[row : row + 1], alone, f"row {row} of a batch to be as it is alone")

    def test_streamable(self) -> None:
        vocoder = self.used().double()
        frames, hop = streamed_frames(vocoder), vocoder.spec.hop_length
        features = self.features((frames + 0.5) * hop / vocoder.spec.sample_rate).double()
        check_chunks(vocoder, lambda begin, end: features[:, :, begin:end], hop)

    def test_f0(self) -> None:
        vocoder = self.used().double()
        if not vocoder.needs:
            pytest.skip("takes features alone")
        expect(vocoder.needs == {"f0"}, "nothing else beside the features than f0", sorted(vocoder.needs))
        given, hop = self.with_f0(self.features(0.5).double()), vocoder.spec.hop_length
        sound = vocoder(given[:, :-1], f0=given[:, -1])
        expect_shape(sound, (2, given.shape[2] * hop), "audio of features and f0")
        another = not torch.equal(sound, vocoder(given[:, :-1], f0=1.3 * given[:, -1]))
        expect(another, "another sound of another f0", "the same")
        frames = streamed_frames(vocoder)
        given = self.with_f0(self.features((frames + 0.5) * hop / vocoder.spec.sample_rate).double())
        check_chunks(_WithF0(vocoder), lambda begin, end: given[:, :, begin:end], hop)
        self._check_long_stream(_WithF0(vocoder), self.with_f0(self.features(3.0).double()))

    def _check_long_stream(self, vocoder: Vocoder | Part, given: Tensor) -> None:
        """Chunks of several sizes of a vocoder with a state, longer than what a phase remembers."""
        state = vocoder.init_state(2)
        if state is None or vocoder.context is None:
            return
        grid, ahead, made = vocoder.context.grid, math.ceil(vocoder.context.right), []
        edges = [0, 10 * grid, 11 * grid, 50 * grid, 53 * grid, given.shape[2]]
        for begin, end in itertools.pairwise(edges):
            stop = min(end + ahead, given.shape[2])
            sound, state = vocoder.forward_chunk(given[..., begin:stop], state, ahead=stop - end)
            made.append(sound)
        self.assert_same(torch.cat(made, 1), vocoder(given), "three seconds in chunks to be those of the whole")

    @staticmethod
    def with_f0(features: Tensor) -> Tensor:
        """Features (B, F, T) and below them f0, which rises and falls, and has frames without voice: (B, F + 1, T)."""
        f0 = 120 + 40 * torch.arange(features.shape[2], dtype=features.dtype).div(20).sin()
        f0[5:15] = 0
        f0[100:120] = 0
        return torch.cat([features, f0.expand(len(features), 1, -1)], 1)

    def test_likelihood(self) -> None:
        vocoder = self.make().train()
        features, audio = self.features(), self.audio()
        name = type(vocoder).__name__
        if not has_capability(vocoder, "likelihood"):
            expect_refusal(lambda: vocoder.likelihood(features, audio), ConfigurationError, f"{name} has no likelihood")
            return
        bits = vocoder.likelihood(features, audio)
        expect_shape(bits, (len(audio),), "bits a sample, one value a row")
        bits.mean().backward()
        assert_gradients_reach(vocoder)
        expect_refusal(lambda: vocoder.likelihood(features, audio[:, :-1]), ConfigurationError, name)

    def test_preparing_changes_rounding_alone(self) -> None:
        vocoder, features = self.claiming("deterministic"), self.features()
        before = vocoder(features)
        state = {name: tensor.clone() for name, tensor in vocoder.state_dict().items()}
        vocoder.fuse()
        self.assert_same(vocoder(features), before, "the same audio after fuse()")
        after = vocoder.state_dict()
        kept = after.keys() == state.keys() and all(torch.equal(after[name], state[name]) for name in state)
        expect(kept, "the same weights after fuse()", "others")
        vocoder.train().eval()
        expect_same(vocoder(features), before, 0, "train() to take back what fuse() prepared: the same audio")

    @pytest.mark.slow
    def test_export(self) -> None:
        vocoder = self.claiming("exportable")
        spec = vocoder.spec
        features = self.features((OTHERS[-1] + 0.5) * spec.hop_length / spec.sample_rate, rows=1)
        check_export(vocoder, lambda frames: (features[..., :frames].clone(),), self.assert_same)

    def test_round_trip(self) -> None:
        vocoder = self.used()
        copy = rebuilt(vocoder)
        assert isinstance(copy, Vocoder)
        expect(copy.spec == vocoder.spec, "the same spec after a checkpoint", copy.spec.differences(vocoder.spec))
        if has_capability(vocoder, "deterministic"):
            features = self.features(0.2)
            expect_same(copy(features), vocoder(features), 0, "the same audio after a checkpoint")


def delay(sound: Tensor, source: Tensor, sample_rate: int) -> int:
    """By how many values of the envelope a sound (N,) is late, where it correlates best with its source (N,)."""
    ours, theirs = (_envelope(audio, sample_rate) for audio in (sound, source))
    most = min(round(0.1 / ENVELOPE_SECONDS), len(ours) // 2)
    lags = range(-most, most + 1)

    def score(lag: int) -> float:
        mine = ours[max(lag, 0) : len(ours) + min(lag, 0)]
        return float((mine * theirs[max(-lag, 0) : len(ours) - max(lag, 0)]).mean())

    return max(lags, key=lambda lag: (score(lag), -abs(lag)))


def _envelope(audio: Tensor, sample_rate: int) -> Tensor:
    size = max(round(ENVELOPE_SECONDS * sample_rate), 1)
    level = audio.detach().double()[: len(audio) // size * size].unflatten(0, (-1, size)).square().mean(1).sqrt()
    smooth = torch.nn.functional.avg_pool1d(level[None], SMOOTH, stride=1, padding=SMOOTH // 2)[0]
    return smooth - smooth.mean()


class _WithF0(Part):
    """A vocoder that is given f0 as the last of the channels."""

    def __init__(self, vocoder: Vocoder) -> None:
        super().__init__()
        self.vocoder, self.context = vocoder, vocoder.context
        self.capabilities = vocoder.capabilities  # type: ignore[misc]  # of this one alone

    def forward(self, x: Tensor) -> Tensor:
        sound: Tensor = self.vocoder(x[:, :-1], f0=x[:, -1])
        return sound

    def init_state(self, batch: int) -> State | None:
        return self.vocoder.init_state(batch)

    def forward_chunk(self, x: Tensor, state: State, ahead: int = 0) -> tuple[Tensor, State]:
        beside: dict[str, Any] = {"f0": x[:, -1]}
        return self.vocoder.forward_chunk(x[:, :-1], state, ahead, **beside)
