"""The checks of extractors, vocoders and transforms, on all that ship."""

import inspect

import pytest
import torch

from lightning_voiceclone.audio.augmentation import AddNoise, AddReverberation, RandomGain, RandomPitch, RandomSpeed
from lightning_voiceclone.audio.beamforming import BeamformMVDR
from lightning_voiceclone.audio.preprocessing import NormalizeLoudness, NormalizePeak, SpectralGate, TrimSilence
from lightning_voiceclone.core import registry
from lightning_voiceclone.features.augmentation import SpecAugment, WarpFrequency
from lightning_voiceclone.features.prosody import Energy, Pitch
from lightning_voiceclone.features.spectral import MFCC, STFT, MelSpectrogram
from lightning_voiceclone.features.stack import Stack
from lightning_voiceclone.features.utterance import Utterance
from lightning_voiceclone.features.waveform import Waveform
from lightning_voiceclone.testing.conformance import (
    AudioTransformConformance,
    FeatureExtractorConformance,
    FeatureTransformConformance,
    VocoderConformance,
)
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.vocoders.stacked import StackVocoder
from lightning_voiceclone.vocoders.unframe import Unframe
from lightning_voiceclone.vocoders.vocos import Vocos


class TestMelSpectrogram(FeatureExtractorConformance):
    part = MelSpectrogram


class TestMFCC(FeatureExtractorConformance):
    part = MFCC


class TestSTFT(FeatureExtractorConformance):
    part = STFT


class TestWaveform(FeatureExtractorConformance):
    part = Waveform


class TestPitch(FeatureExtractorConformance):
    part = Pitch


class TestEnergy(FeatureExtractorConformance):
    part = Energy


class TestStack(FeatureExtractorConformance):
    part = Stack

    def make(self):
        return Stack([MelSpectrogram(), Energy()])


class TestUtterance(FeatureExtractorConformance):
    part = Utterance


class TestStackVocoder(VocoderConformance):
    part = StackVocoder
    arguments = {"vocoder": "Vocos:width=8,hidden=8,layers=1"}

    def extractor(self):
        return Stack([MelSpectrogram(), Energy()])


class TestGriffinLimOfMel(VocoderConformance):
    part = GriffinLim
    arguments = {"iterations": 4}

    def extractor(self):
        return MelSpectrogram()


class TestGriffinLimOfSTFT(TestGriffinLimOfMel):
    def extractor(self):
        return STFT()


class TestGriffinLimOfMFCC(TestGriffinLimOfMel):
    def extractor(self):
        return MFCC()


class TestUnframe(VocoderConformance):
    part = Unframe

    def extractor(self):
        return Waveform()


class TestVocos(VocoderConformance):
    part = Vocos
    arguments = {"width": 16, "hidden": 16, "layers": 2}

    def extractor(self):
        return MelSpectrogram()


class TestNormalizeLoudness(AudioTransformConformance):
    part = NormalizeLoudness


class TestNormalizePeak(AudioTransformConformance):
    part = NormalizePeak


class TestTrimSilence(AudioTransformConformance):
    part = TrimSilence


class TestSpectralGate(AudioTransformConformance):
    part = SpectralGate


class TestBeamformMVDR(AudioTransformConformance):
    part = BeamformMVDR
    channels = 3

    def audio(self, transform, sample_rate=16000):
        torch.manual_seed(0)  # microphones that hear exactly the same have no covariance to invert
        heard = super().audio(transform, sample_rate)
        return heard + 0.01 * torch.randn_like(heard)


class TestRandomPitch(AudioTransformConformance):
    part = RandomPitch


class TestRandomSpeed(AudioTransformConformance):
    part = RandomSpeed


class TestRandomGain(AudioTransformConformance):
    part = RandomGain


class TestAddNoise(AudioTransformConformance):
    part = AddNoise


class TestAddReverberation(AudioTransformConformance):
    part = AddReverberation


class TestSpecAugment(FeatureTransformConformance):
    part = SpecAugment


class TestWarpFrequency(FeatureTransformConformance):
    part = WarpFrequency


@pytest.mark.parametrize("kind", ["feature_extractors", "vocoders", "audio_transforms", "feature_transforms"])
def test_every_part_that_ships_is_checked(kind):
    checked = {value.part.__name__ for value in globals().values() if inspect.isclass(value) and hasattr(value, "part")}
    ours = {p.name for p in registry.installed() if p.kind == kind and p.package == "lightning-voiceclone"}
    assert ours <= checked
