"""Checks that every transform of audio and of features must pass."""

# ruff: noqa: D102 - a check's name describes it

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import AudioTransform, FeatureTransform
from lightning_voiceclone.testing.conformance.part import PartConformance, rebuilt
from lightning_voiceclone.testing.conformance.sound import speech


class AudioTransformConformance(PartConformance):
    """Shapes by its stage, finite, input untouched, drawn from torch's random state, description.

    ``channels`` is how many a transform of the stage "prepare" is given; ``varies`` is False for one that does the
    same to every row.
    """

    channels = 1
    varies = True

    def make(self) -> AudioTransform:
        """The transform."""
        part = self.part(**self.arguments)
        assert isinstance(part, AudioTransform)
        return part.train()

    def audio(self, transform: AudioTransform, sample_rate: int = 16000) -> Tensor:
        """Speech: the same in each channel of a recording, or in each row of a batch."""
        rows = self.channels if transform.stage == "prepare" else 3
        return speech(0.5, sample_rate, rows=1).repeat(rows, 1)

    @pytest.mark.parametrize("sample_rate", [16000, 22050])
    def test_shape(self, sample_rate: int) -> None:
        transform = self.make()
        audio = self.audio(transform, sample_rate)
        torch.manual_seed(0)
        changed = transform(audio, sample_rate)
        assert changed.isfinite().all()
        assert changed.dtype == audio.dtype
        if transform.stage == "training":
            assert changed.shape == audio.shape
        else:
            assert changed.ndim == 2
            assert changed.numel()

    def test_stage_timing_and_voice_are_declared(self) -> None:
        transform = self.make()
        assert transform.stage in ("prepare", "training")
        assert isinstance(getattr(transform, "keeps_timing", True), bool)
        assert isinstance(getattr(transform, "keeps_voice", True), bool)

    def test_keeps_length_if_it_keeps_timing(self) -> None:
        transform = self.make()
        audio = self.audio(transform)
        if getattr(transform, "keeps_timing", True):
            assert transform(audio, 16000).shape[-1] == audio.shape[-1]

    def test_silence_is_finite(self) -> None:
        transform = self.make()
        audio = self.audio(transform)
        if transform.stage == "training":
            assert transform(torch.zeros_like(audio), 16000).isfinite().all()

    def test_input_is_untouched(self) -> None:
        transform = self.make()
        audio = self.audio(transform)
        before = audio.clone()
        transform(audio, 16000)
        assert torch.equal(audio, before)

    def test_random_state_is_torchs(self) -> None:
        transform = self.make()
        audio = self.audio(transform)
        torch.manual_seed(5)
        first = transform(audio, 16000)
        torch.manual_seed(5)
        assert torch.equal(transform(audio, 16000), first)

    def test_rows_are_drawn_anew(self) -> None:
        transform = self.make()
        if transform.stage != "training" or not self.varies:
            pytest.skip("does the same to every row")
        audio = self.audio(transform)
        torch.manual_seed(5)
        drawn = [transform(audio, 16000) for _ in range(4)]
        assert any(not torch.equal(changed[0], changed[1]) for changed in drawn)

    def test_round_trip(self) -> None:
        transform = self.make()
        audio = self.audio(transform)
        copy = rebuilt(transform)
        torch.manual_seed(5)
        first = transform(audio, 16000)
        torch.manual_seed(5)
        assert torch.equal(copy(audio, 16000), first)


class FeatureTransformConformance(PartConformance):
    """Keeps the shape, finite, input untouched, drawn anew for each row from torch's random state, description."""

    def make(self) -> FeatureTransform:
        """The transform."""
        part = self.part(**self.arguments)
        assert isinstance(part, FeatureTransform)
        return part.train()

    def features(self) -> Tensor:
        """Features (3, 40, 60), each row the same."""
        torch.manual_seed(1)
        return torch.randn(1, 40, 60).repeat(3, 1, 1)

    @pytest.mark.parametrize("shape", [(2, 40, 60), (1, 13, 1), (3, 80, 7)])
    def test_shape(self, shape: tuple[int, int, int]) -> None:
        torch.manual_seed(0)
        changed = self.make()(torch.randn(shape))
        assert changed.shape == shape
        assert changed.isfinite().all()

    def test_input_is_untouched(self) -> None:
        features = self.features()
        before = features.clone()
        self.make()(features)
        assert torch.equal(features, before)

    def test_drawn_from_torchs_random_state(self) -> None:
        transform, features = self.make(), self.features()
        torch.manual_seed(5)
        drawn = [transform(features) for _ in range(4)]
        torch.manual_seed(5)
        assert torch.equal(transform(features), drawn[0])
        assert any(not torch.equal(changed[0], changed[1]) for changed in drawn), "all rows are changed alike"

    def test_round_trip(self) -> None:
        transform, features = self.make(), self.features()
        copy = rebuilt(transform)
        torch.manual_seed(5)
        first = transform(features)
        torch.manual_seed(5)
        assert torch.equal(copy(features), first)
