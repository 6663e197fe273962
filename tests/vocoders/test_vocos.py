"""Vocos: its conformance, its framing, and that it learns."""

import pytest
import torch

from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.spectral import MFCC, STFT, MelSpectrogram
from lightning_voiceclone.losses.mel import MultiResolutionMelLoss
from lightning_voiceclone.networks.layers.past import Past
from lightning_voiceclone.testing.conformance import VocoderConformance
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.vocoders.overlap_add import overlap_add
from lightning_voiceclone.vocoders.vocos import Vocos

SMALL = {"width": 32, "hidden": 48, "layers": 2}


class TestVocos(VocoderConformance):
    part = Vocos
    arguments = SMALL

    def extractor(self):
        return MelSpectrogram()


class TestCausalVocos(VocoderConformance):
    part = Vocos
    arguments = {**SMALL, "causal": True}

    def extractor(self):
        return MelSpectrogram()


class TestCausalVocosOfOtherFrames(VocoderConformance):
    part = Vocos
    arguments = {**SMALL, "causal": True, "step": 3, "n_fft": 480}

    def extractor(self):
        return MelSpectrogram()


class TestHarmonicVocos(VocoderConformance):
    part = Vocos
    arguments = {**SMALL, "harmonic": True}

    def extractor(self):
        return MelSpectrogram()


class TestCausalHarmonicVocos(VocoderConformance):
    part = Vocos
    arguments = {**SMALL, "harmonic": True, "causal": True}

    def extractor(self):
        return MelSpectrogram()


class TestRefinedCausalVocos(VocoderConformance):
    part = Vocos
    arguments = {**SMALL, "causal": True, "refine": 1}

    def extractor(self):
        return MelSpectrogram()


class TestVocosOfOtherFeatures(VocoderConformance):
    part = Vocos
    arguments = {**SMALL, "step": 1}

    def extractor(self):
        return MFCC(hop_length=128, n_fft=512)


def test_a_causal_one_waits_for_the_frames_that_overlap_alone():
    assert Vocos(MelSpectrogram().spec, **SMALL, causal=True).context == Context(2 * 3 * 3 * 2 + 2, 2, grid=2)


def test_a_spectrum_becomes_the_frames_it_came_from():
    vocoder = Vocos(MelSpectrogram().spec, **SMALL)
    audio = torch.from_numpy(speech_like(0.5).audio)[None]
    hop, n_fft = 160, vocoder.n_fft
    padded = torch.nn.functional.pad(audio, ((n_fft - hop) // 2,) * 2)
    frames = padded.unfold(1, n_fft, hop) * vocoder.window
    rebuilt = overlap_add(frames * vocoder.window, vocoder.window, hop)
    edge = n_fft // 2
    assert torch.allclose(rebuilt[:, edge:-edge], audio[:, edge : rebuilt.shape[1] - edge], atol=1e-5)


@pytest.mark.parametrize("extractor", [MelSpectrogram(), MelSpectrogram(n_mels=40, hop_length=200, n_fft=800)])
def test_white_noise_begins_at_the_level_of_its_bands(extractor):
    torch.manual_seed(0)
    audio = 0.1 * torch.randn(1, 16000)
    vocoder = Vocos(extractor.spec, **SMALL).eval()
    torch.nn.init.zeros_(vocoder.head.weight)
    features = extractor(audio)
    magnitude = vocoder._spectrum(features, Past())[0]
    padded = torch.nn.functional.pad(audio, ((vocoder.n_fft - extractor.spec.hop_length) // 2,) * 2)
    real = torch.fft.rfft(padded.unfold(1, vocoder.n_fft, extractor.spec.hop_length) * vocoder.window).abs()
    inner = slice(vocoder.n_fft // 8, 3 * vocoder.n_fft // 8)
    assert (magnitude[..., inner].mean() / real[..., inner].mean()).item() == pytest.approx(1, abs=0.05)


@pytest.mark.slow
def test_it_overfits_a_recording():
    torch.manual_seed(0)
    extractor = MelSpectrogram()
    audio = torch.from_numpy(speech_like(0.64).audio)[None]
    features, distance = extractor(audio), MultiResolutionMelLoss(16000)
    vocoder = Vocos(extractor.spec, **SMALL)
    vocoder.fit_statistics([features])
    optimizer = torch.optim.AdamW(vocoder.parameters(), lr=3e-3)
    losses = []
    for _ in range(60):
        loss = distance(vocoder(features), audio).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert losses[-1] < 0.5 * losses[0]


@pytest.mark.parametrize("harmonic", [False, True])
def test_half_precision_is_near_to_single(harmonic):
    torch.manual_seed(0)
    vocoder, features = Vocos(MelSpectrogram().spec, **SMALL, harmonic=harmonic).eval(), torch.randn(1, 80, 20) - 4
    given = {"f0": torch.full((1, 20), 137.0)} if harmonic else {}
    single = vocoder(features, **given)
    half = vocoder.bfloat16()(features.bfloat16(), **given)
    assert half.dtype == torch.bfloat16
    assert (half.float() - single).abs().max() < 0.1 * single.abs().max() + 1e-3


def test_fitting_again_changes_nothing():
    vocoder = Vocos(MelSpectrogram().spec, **SMALL)
    vocoder.fit_statistics([torch.randn(1, 80, 50)])
    mean = vocoder.normalizer.mean.clone()
    vocoder.fit_statistics([torch.randn(1, 80, 50) + 5])
    assert torch.equal(vocoder.normalizer.mean, mean)


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({"kernel_size": 4}, "must be odd"),
        ({"n_fft": 200}, "at least two hops"),
        ({"n_fft": 641}, "must be even"),
        ({"layers": 0}, "layers"),
    ],
)
def test_settings_that_cannot_work(settings, words):
    with pytest.raises(ConfigurationError, match=words):
        Vocos(MelSpectrogram().spec, **settings)


def test_an_odd_hop_is_refused():
    with pytest.raises(ConfigurationError, match="the hop of the features is 441; it must be even"):
        Vocos(MelSpectrogram(sample_rate=44100, hop_length=441, n_fft=2048).spec, **SMALL)


def test_features_that_it_cannot_vocode():
    vocoder = Vocos(MelSpectrogram().spec, **SMALL).eval()
    with pytest.raises(SpecMismatchError, match=r"expects features \(batch, 80, frames\) but got \(1, 40, 7\)"):
        vocoder(torch.zeros(1, 40, 7))
    with pytest.raises(ConfigurationError, match="no frames"):
        vocoder(torch.zeros(1, 80, 0))
    with pytest.raises(ConfigurationError, match="2 values that are not finite"):
        vocoder(torch.zeros(1, 80, 7).index_put((torch.tensor(0), torch.tensor([1, 2]), torch.tensor(3)),
                                                torch.tensor(float("nan"))))  # fmt: skip


def test_it_takes_spectra_without_mel_bands():
    assert Vocos(STFT().spec, **SMALL).eval()(torch.zeros(1, 513, 5)).shape == (1, 800)
