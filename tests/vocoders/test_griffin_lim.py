from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.filterbank import mel_filterbank
from lightning_voiceclone.features.prosody import Pitch
from lightning_voiceclone.features.spectral import MFCC, STFT, MelSpectrogram
from lightning_voiceclone.features.waveform import Waveform
from lightning_voiceclone.testing import VocoderConformance, speech_like
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim

SPEECH = Path(__file__).parents[2].parent / "shared" / "speech" / "LibriSpeech" / "test-other"
EXTRACTORS = {
    "mel": MelSpectrogram(),
    "mel power": MelSpectrogram(power=2.0, log="10", mel_scale="htk", mel_norm=None, floor=1e-8),
    "mel linear": MelSpectrogram(log=None, n_fft=512, win_length=400),
    "stft": STFT(),
    "stft odd hop": STFT(n_fft=512, hop_length=161, log="e"),
    "mfcc": MFCC(n_mfcc=40),
}
each_extractor = pytest.mark.parametrize("extractor", EXTRACTORS.values(), ids=EXTRACTORS.keys())


@pytest.fixture(scope="module")
def audio():
    return torch.from_numpy(np.stack([speech_like(0.8, speaker=index, seed=index).audio for index in range(3)]))


def log_mel_distance(first, second):
    """Mean absolute difference of natural-log mels, of what is not below -60 dB of full scale."""
    mel = MelSpectrogram(floor=1e-3)
    samples = min(first.shape[1], second.shape[1])
    return (mel(first[:, :samples]) - mel(second[:, :samples])).abs().mean().item()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("extractor", "greatest"),
    [(MelSpectrogram(), 0.22), (STFT(), 0.09), (MFCC(n_mfcc=40), 0.5), (MFCC(n_mfcc=13), 0.75)],
    ids=["mel", "stft", "mfcc40", "mfcc13"],
)
def test_copy_synthesis_sounds_alike(audio, extractor, greatest):
    assert log_mel_distance(GriffinLim(extractor.spec)(extractor(audio)), audio) < greatest


@pytest.mark.slow
@pytest.mark.skipif(not SPEECH.is_dir(), reason="the real recordings are not on this machine")
def test_copy_synthesis_of_real_speech():
    audio = torch.from_numpy(soundfile.read(min(SPEECH.rglob("*.flac")), dtype="float32")[0][None, :48000])
    mel = MelSpectrogram()
    assert (mel(GriffinLim(mel.spec)(mel(audio))) - mel(audio)).abs().mean() < 0.15


@pytest.mark.slow
def test_more_iterations_come_nearer(audio):
    stft = STFT()
    magnitudes = stft(audio)
    errors = [
        (stft(GriffinLim(stft.spec, iterations=count)(magnitudes)) - magnitudes).norm() / magnitudes.norm()
        for count in (4, 16, 64)
    ]
    assert errors[0] > 1.3 * errors[1] > 1.3 * errors[2]


@pytest.mark.slow
@each_extractor
def test_output_lies_on_the_input_in_time(extractor, audio):
    features = extractor(audio[:1])
    voice = GriffinLim(extractor.spec)(features)
    assert voice.shape == (1, features.shape[-1] * extractor.spec.hop_length)
    fine = STFT(n_fft=512, hop_length=4)
    # Phases are free, so waveforms do not match sample by sample, but loudness over time does.
    ours, theirs = (fine(x[:, : voice.shape[1]]).square().sum(1)[0].sqrt() for x in (voice, audio[:1]))
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    size = 2 * len(ours)
    correlation = torch.fft.irfft(torch.fft.rfft(theirs, size).conj() * torch.fft.rfft(ours, size), size)
    lag = int(correlation.argmax())
    lag = 4 * (lag - size if lag > size // 2 else lag)
    assert abs(lag) <= 16, "more than a millisecond off"


@pytest.mark.parametrize("hop", [160, 161])
def test_magnitudes_fit_best_where_the_output_lies(audio, hop):
    stft = STFT(hop_length=hop)
    features = stft(audio[:1])
    voice = GriffinLim(stft.spec)(features)
    shifts = range(-80, 81, 8)
    errors = [(stft(voice.roll(shift, 1)) - features)[..., 4:-4].norm().item() for shift in shifts]
    assert shifts[int(np.argmin(errors))] == 0


@each_extractor
@pytest.mark.parametrize("frames", [1, 2, 5])
def test_few_frames(extractor, audio, frames):
    voice = GriffinLim(extractor.spec, iterations=3)(extractor(audio)[..., :frames])
    assert voice.shape == (3, frames * extractor.spec.hop_length)
    assert voice.isfinite().all()


def test_mel_inverse_has_the_bands_asked_for(audio):
    mel = MelSpectrogram()
    vocoder = GriffinLim(mel.spec)
    features = mel(audio)
    spectrum = vocoder.magnitudes(features)
    assert (spectrum >= 0).all()
    bands = (mel_filterbank(mel.spec).T @ spectrum).clamp(min=1e-5).log()
    assert (bands - features).abs().mean() < 0.01


def test_random_state_has_no_part_and_rows_are_apart(audio):
    mel = MelSpectrogram()
    vocoder = GriffinLim(mel.spec, iterations=8)
    torch.manual_seed(0)
    before = torch.get_rng_state()
    together = vocoder(mel(audio))
    assert torch.equal(torch.get_rng_state(), before)
    alone = vocoder(mel(audio[1:2]))
    # Errors of rounding grow from one iteration to the next.
    assert (together[1] - alone[0]).abs().max() < 1e-2 * alone.abs().max()


@pytest.mark.slow
def test_precisions(audio):
    mel = MelSpectrogram()
    vocoder = GriffinLim(mel.spec, iterations=2)
    features = mel(audio)
    assert vocoder(features.double()).dtype == torch.float64
    assert vocoder(features.bfloat16()).dtype == torch.bfloat16
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(vocoder(features), GriffinLim(mel.spec, iterations=2)(features))


@each_extractor
def test_a_diverged_generator_gives_sound_within_range(extractor):
    voice = GriffinLim(extractor.spec, iterations=2)(torch.full((1, extractor.spec.channels, 5), 1e4))
    assert voice.isfinite().all()
    assert voice.abs().max() <= 1


@pytest.mark.parametrize("extractor", [Pitch(), Waveform()])
def test_wrong_kind_of_features_is_refused(extractor):
    with pytest.raises(SpecMismatchError, match=f"mel, mfcc, stft.*'{extractor.spec.kind}'"):
        GriffinLim(extractor.spec)


@pytest.mark.parametrize(
    ("settings", "told"),
    [({"iterations": 0}, "iterations is 0"), ({"momentum": 1.0}, "momentum is 1.0"), ({"momentum": -0.1}, "-0.1")],
)
def test_bad_settings_are_reported(settings, told):
    with pytest.raises(ConfigurationError, match=told):
        GriffinLim(MelSpectrogram().spec, **settings)


def test_windows_that_hardly_overlap_are_refused():
    with pytest.raises(ConfigurationError, match=r"hop_length is 400.*lower hop_length to 256"):
        GriffinLim(STFT(n_fft=512, hop_length=400).spec)


def test_bad_features_are_reported():
    vocoder = GriffinLim(MelSpectrogram().spec)
    with pytest.raises(SpecMismatchError, match=r"\(batch, 80, frames\) but got \(1, 40, 10\)"):
        vocoder(torch.zeros(1, 40, 10))
    with pytest.raises(SpecMismatchError, match="80, 10"):
        vocoder(torch.zeros(80, 10))
    with pytest.raises(ConfigurationError, match="no frames"):
        vocoder(torch.zeros(1, 80, 0))
    features = torch.zeros(1, 80, 10)
    features[0, 3, 4:6] = torch.tensor([float("nan"), float("inf")])
    with pytest.raises(ConfigurationError, match="2 values that are not finite"):
        vocoder(features)


@pytest.mark.slow
class TestGriffinLimOfMel(VocoderConformance):
    part = GriffinLim

    def extractor(self):
        return MelSpectrogram()


class TestGriffinLimOfSTFT(VocoderConformance):
    part = GriffinLim
    arguments = {"iterations": 8}

    def extractor(self):
        return STFT()


class TestGriffinLimOfMFCC(VocoderConformance):
    part = GriffinLim
    arguments = {"iterations": 8}

    def extractor(self):
        return MFCC(hop_length=512)
