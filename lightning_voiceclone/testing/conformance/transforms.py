"""Checks that every transform of audio and of features must pass."""

# ruff: noqa: D102 - a check's name describes it

from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import AudioTransform, FeatureTransform
from lightning_voiceclone.core.part import Part
from lightning_voiceclone.testing.conformance.expect import expect, expect_same, expect_shape
from lightning_voiceclone.testing.conformance.part import NetworkConformance, rebuilt, seeded
from lightning_voiceclone.testing.conformance.speech import speech
from lightning_voiceclone.testing.conformance.vocoders import ENVELOPE_SECONDS, MOST_LATE, delay

RATE = 16000


class AudioTransformConformance(NetworkConformance):
    """Shapes by its stage, finite, input untouched, drawn from torch's random state, description.

    ``channels`` is how many a transform of the stage "prepare" is given; ``varies`` is False for one that does the
    same to every row.
    """

    channels = 1
    varies = True
    comparable = False

    def make(self) -> AudioTransform:
        """The transform."""
        part = self.part(**self.arguments)
        assert isinstance(part, AudioTransform)
        return part.train()

    def used(self) -> AudioTransform:
        return self.make()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        audio = self.audio(part, RATE)  # type: ignore[arg-type]
        return (audio.flip(-1) if variant else audio, RATE)

    def audio(self, transform: AudioTransform, sample_rate: int = 16000) -> Tensor:
        """Speech: the same in each channel of a recording, or in each row of a batch."""
        rows = self.channels if transform.stage == "prepare" else 3
        return speech(0.5, sample_rate, rows=1).repeat(rows, 1)

    @pytest.mark.parametrize("sample_rate", [16000, 22050])
    def test_shape(self, sample_rate: int) -> None:
        transform = self.make()
        audio = self.audio(transform, sample_rate)
        seeded(0)
        changed = transform(audio, sample_rate)
        expect(changed.dtype == audio.dtype, f"{audio.dtype} of {audio.dtype}", changed.dtype)
        if transform.stage == "training":
            expect_shape(changed, tuple(audio.shape), "audio")
        else:
            expect(changed.ndim == 2 and changed.numel() > 0, "audio (channels, N)", tuple(changed.shape))
            expect(bool(changed.isfinite().all()), "finite audio", "others")

    def test_stage_timing_and_voice_are_declared(self) -> None:
        transform = self.make()
        stage = getattr(transform, "stage", None)
        expect(stage in ("prepare", "training"), 'the stage "prepare" or "training"', repr(stage))
        for name in ("keeps_timing", "keeps_voice"):
            expect(isinstance(getattr(transform, name, True), bool), f"{name} True or False", getattr(transform, name))

    def test_keeps_timing_if_it_says_so(self) -> None:
        transform = self.make()
        if not getattr(transform, "keeps_timing", True):
            pytest.skip("does not keep the timing")
        audio = self.audio(transform)
        for seed in range(3):
            seeded(seed)
            changed = transform(audio, RATE)
            expect(changed.shape[-1] == audio.shape[-1], f"{audio.shape[-1]} samples", changed.shape[-1])
            late = delay(changed[0], audio[0], RATE)
            expect(abs(late) <= MOST_LATE, f"sound at its time, to {1000 * MOST_LATE * ENVELOPE_SECONDS:.0f} ms",
                   f"sound {1000 * late * ENVELOPE_SECONDS:+.0f} ms from it")  # fmt: skip

    def test_silence_is_finite(self) -> None:
        transform = self.make()
        audio = self.audio(transform)
        if transform.stage == "training":
            finite = bool(transform(torch.zeros_like(audio), RATE).isfinite().all())
            expect(finite, "finite audio of silence", "others")

    def test_rows_are_drawn_anew(self) -> None:
        transform = self.make()
        if transform.stage != "training" or not self.varies:
            pytest.skip("does the same to every row")
        expect(
            differs(transform, self.audio(transform), RATE), "rows that are changed each in its own way", "all alike"
        )

    def test_rows_are_apart(self) -> None:
        transform = self.make()
        if transform.stage != "training":
            pytest.skip("takes a whole recording")
        audio = self.audio(transform)
        check_rows_apart(transform, audio, 0.2 * audio.flip(-1), RATE)

    def test_round_trip(self) -> None:
        transform = self.make()
        audio = self.audio(transform)
        copy = rebuilt(transform)
        seeded(5)
        first = transform(audio, RATE)
        seeded(5)
        expect_same(copy(audio, RATE), first, 0, "the same audio after a checkpoint")


class FeatureTransformConformance(NetworkConformance):
    """Keeps the shape, finite, input untouched, drawn anew for each row from torch's random state, description."""

    comparable = False

    def make(self) -> FeatureTransform:
        """The transform."""
        part = self.part(**self.arguments)
        assert isinstance(part, FeatureTransform)
        return part.train()

    def used(self) -> FeatureTransform:
        return self.make()

    def example(self, part: Part, variant: int = 0) -> tuple[Any, ...]:
        features = self.features()
        return (features.flip(-1) if variant else features,)

    def features(self) -> Tensor:
        """Features (3, 40, 60), each row the same."""
        torch.manual_seed(1)
        return torch.randn(1, 40, 60).repeat(3, 1, 1)

    @pytest.mark.parametrize("shape", [(2, 40, 60), (1, 13, 1), (3, 80, 7)])
    def test_shape(self, shape: tuple[int, int, int]) -> None:
        seeded(0)
        expect_shape(self.make()(torch.randn(shape)), shape, "features")

    def test_rows_are_drawn_anew(self) -> None:
        expect(differs(self.make(), self.features()), "rows that are changed each in its own way", "all alike")

    def test_rows_are_apart(self) -> None:
        features = self.features()
        check_rows_apart(self.make(), features, 2 * features.flip(-1))

    def test_round_trip(self) -> None:
        transform, features = self.make(), self.features()
        copy = rebuilt(transform)
        seeded(5)
        first = transform(features)
        seeded(5)
        expect_same(copy(features), first, 0, "the same features after a checkpoint")


def differs(transform: Any, x: Tensor, *further: Any) -> bool:
    """Whether equal rows come out different, in one of four draws."""
    seeded(5)
    drawn = [transform(x, *further) for _ in range(4)]
    return any(not torch.equal(changed[0], changed[1]) for changed in drawn)


def check_rows_apart(transform: Any, x: Tensor, other: Tensor, *further: Any) -> None:
    """The first row comes out the same whatever the second is."""
    mixed = x.clone()
    mixed[1] = other[1]
    seeded(5)
    first = transform(x, *further)[0]
    seeded(5)
    expect_same(transform(mixed, *further)[0], first, 1e-5, "the first row to be the same whatever the second is")
