"""The checks of all measures, on all that ship."""

from dataclasses import replace
from importlib.util import find_spec

import pytest
import torch

from lightning_voiceclone.core import registry
from lightning_voiceclone.core.interfaces import MetricSource, Recognizer, SpeakerEncoder
from lightning_voiceclone.evaluation.metrics.perception import DNSMOS, PESQ, STOI
from lightning_voiceclone.evaluation.metrics.prosody import F0RMSE, DurationRatio, F0Correlation, VoicingError
from lightning_voiceclone.evaluation.metrics.speaker import (
    NearerReference,
    ReferenceSimilarity,
    SourceSimilarity,
    SpeakerEqualErrorRate,
)
from lightning_voiceclone.evaluation.metrics.spectral import LogSpectralRMSE, MelCepstralDistortion, SpectralCorrelation
from lightning_voiceclone.evaluation.metrics.waveform import SegmentalSignalToNoise, SignalToNoise, WaveformRMSE
from lightning_voiceclone.evaluation.metrics.words import CharacterErrorRate, SelfWordErrorRate, WordErrorRate
from lightning_voiceclone.testing.conformance import MetricConformance


def without(package):
    return pytest.mark.skipif(find_spec(package) is None, reason=f"{package} is not installed")


class TestSignalToNoise(MetricConformance):
    part = SignalToNoise


class TestSegmentalSignalToNoise(MetricConformance):
    part = SegmentalSignalToNoise


class TestWaveformRMSE(MetricConformance):
    part = WaveformRMSE


class TestLogSpectralRMSE(MetricConformance):
    part = LogSpectralRMSE


class TestSpectralCorrelation(MetricConformance):
    part = SpectralCorrelation


class TestMelCepstralDistortion(MetricConformance):
    part = MelCepstralDistortion


class _Shifted(MetricConformance):
    """Pitch is moved; noise hides it instead of changing it."""

    def graded(self):
        case = self.copy()
        steps = [torch.linspace(0, len(case.clone) - 2, round(len(case.clone) * ratio)) for ratio in (0.95, 0.88, 0.8)]
        moved = [torch.lerp(case.clone[at.long()], case.clone[at.long() + 1], at.frac()) for at in steps]
        return [replace(case, clone=audio) for audio in moved]


@pytest.mark.slow
class TestF0RMSE(_Shifted):
    part = F0RMSE


@pytest.mark.slow
class TestF0Correlation(MetricConformance):
    part = F0Correlation
    noise_db = (10.0, 0.0, -3.0)
    seconds = 4.0


@pytest.mark.slow
class TestVoicingError(MetricConformance):
    part = VoicingError


class TestDurationRatio(_Shifted):
    part = DurationRatio


@pytest.mark.slow
@without("pesq")
class TestPESQ(MetricConformance):
    part = PESQ

    def test_perfect_is_best(self):
        assert self.figure(self.make(), self.copy()) == pytest.approx(4.644, abs=0.01)


@without("pystoi")
class TestSTOI(MetricConformance):
    part = STOI


@pytest.mark.slow
@without("speechmos")
class TestDNSMOS(MetricConformance):
    part = DNSMOS
    seconds = 9.5

    def graded(self):
        return []  # synthetic vowels are no speech to it; benchmarks/metrics.py grades real speech

    @pytest.mark.slow
    def test_perfect_is_best(self):
        assert 1 <= self.figure(self.make(), self.copy()) <= 5


class Bands(SpeakerEncoder):
    """Levels in eight bands of the spectrum."""

    takes = "audio"
    channels = 8

    def forward(self, x, lengths=None):
        power = torch.fft.rfft(x).abs().square()[:, : x.shape[1] // 4]
        return torch.stack([chunk.mean(1).add(1e-9).log() for chunk in power.chunk(8, 1)], 1)


class _Speaker(MetricConformance):
    def make(self):
        return self.part(Bands())

    def perfect(self):
        return replace(self.copy(), clone=self.copy().reference)

    def graded(self):
        case = self.copy()
        mixed = [torch.lerp(case.reference, case.source, share) for share in (0.05, 0.3, 0.9)]
        return [replace(case, clone=audio) for audio in mixed]


@pytest.mark.slow
class TestReferenceSimilarity(_Speaker):
    part = ReferenceSimilarity


@pytest.mark.slow
class TestSourceSimilarity(_Speaker):
    part = SourceSimilarity


@pytest.mark.slow
class TestNearerReference(_Speaker):
    part = NearerReference

    def graded(self):
        return [super(TestNearerReference, self).graded()[place] for place in (0, 2)]


@pytest.mark.slow
class TestSpeakerEqualErrorRate(_Speaker):
    part = SpeakerEqualErrorRate

    def test_worse_clones_have_worse_figures(self):
        pytest.skip("a rate of many cases; tests/metrics/test_speaker.py works one out by hand")


class Muffled(Recognizer):
    """Loses a word for every so much hiss."""

    source = MetricSource("muffled", "1")

    def transcribe(self, audio, sample_rate):
        rough = float(audio.diff().square().mean() / audio.square().mean().clamp_min(1e-9))
        words = ("some", "words", "that", "were", "said")
        return " ".join(words[: 5 - sum(rough > limit for limit in (0.45, 0.7, 1.0))])


@without("jiwer")
class _Words(MetricConformance):
    noise_db = (10.0, 5.0, -3.0)

    def make(self):
        return self.part(Muffled())


@without("jiwer")
class TestWordErrorRate(_Words):
    part = WordErrorRate


@without("jiwer")
class TestCharacterErrorRate(_Words):
    part = CharacterErrorRate


@without("jiwer")
class TestSelfWordErrorRate(_Words):
    part = SelfWordErrorRate


def test_every_measure_of_the_package_is_checked():
    checked = {cls.part.__name__ for cls in globals().values() if isinstance(cls, type) and hasattr(cls, "part")}
    shipped = {p.name for p in registry.installed() if (p.kind, p.package) == ("metrics", "lightning-voiceclone")}
    assert checked == shipped
