import pytest

lvc_world = pytest.importorskip("lvc_world", reason="lvc-world is not installed: pip install plugins/lvc-world")
pytest.importorskip(
    "pyworld", reason="pyworld is not installed: pip install pyworld 'setuptools<81'", exc_type=ImportError
)

from pathlib import Path  # noqa: E402 - after the skips

import soundfile  # noqa: E402
import torch  # noqa: E402
from lvc_world.features import WorldFeatures  # noqa: E402
from lvc_world.vocoder import World  # noqa: E402

from lightning_voiceclone.core.part import describe  # noqa: E402
from lightning_voiceclone.core.spec import check_join  # noqa: E402
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError  # noqa: E402
from lightning_voiceclone.features.spectral import STFT, MelSpectrogram  # noqa: E402
from lightning_voiceclone.testing import FeatureExtractorConformance, VocoderConformance, speech_like  # noqa: E402
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim  # noqa: E402

SPEECH = Path(__file__).parents[3].parent / "shared" / "speech" / "LibriSpeech" / "train-clean-100"
WORLD = WorldFeatures()


@pytest.mark.slow
class TestWorldFeatures(FeatureExtractorConformance):
    part = WorldFeatures


@pytest.mark.slow
class TestWorldFeaturesOfAnotherRate(FeatureExtractorConformance):
    part = WorldFeatures
    arguments = {"sample_rate": 22050, "hop_length": 221, "n_envelope": 40, "fmin": 60.0}


class TestWorld(VocoderConformance):
    part = World

    def extractor(self):
        return WorldFeatures()


@pytest.mark.slow
class TestWorldOfAnotherRate(TestWorld):
    def extractor(self):
        return WorldFeatures(sample_rate=22050, hop_length=221, n_envelope=40, fmin=60.0)


def synthetic(seconds=1.0):
    sound = speech_like(seconds, speaker=1)
    return torch.from_numpy(sound.audio)[None], torch.from_numpy(sound.f0)


def log_mel_distance(first, second):
    """Mean absolute difference of natural-log mels, of what is not below -60 dB of full scale."""
    mel = MelSpectrogram(floor=1e-3)
    return (mel(first) - mel(second)).abs().mean().item()


@pytest.mark.slow
def test_f0_is_that_of_the_middles_of_frames():
    audio, f0 = synthetic()
    found = WORLD(audio)[0, 0]
    expected = f0[80::160]
    both = (found > 0) & (expected > 0)
    assert both.sum() > 0.5 * (expected > 0).sum()
    assert ((found / expected - 1).abs()[both] < 0.02).float().mean() > 0.9


@pytest.mark.slow
def test_frames_of_another_hop_line_up():
    audio, _ = synthetic()
    coarse, fine = WORLD(audio), WorldFeatures(hop_length=32)(audio)
    # The middle of a hop of 160 is that of its third part of 32.
    both = (coarse[0, 0] > 0) & (fine[0, 0, 2::5] > 0)
    assert (coarse[0, 0] / fine[0, 0, 2::5] - 1).abs()[both].median() < 1e-3
    assert (coarse[0, 1] - fine[0, 1, 2::5]).abs()[both].median() < 0.05


@pytest.mark.slow
def test_copy_synthesis_sounds_alike():
    audio, _ = synthetic()
    features = WORLD(audio)
    voice = World(WORLD.spec)(features)
    assert log_mel_distance(voice, audio) < 0.45
    again = WORLD(voice)[0, 0]
    both = (again > 0) & (features[0, 0] > 0)
    assert (again / features[0, 0] - 1).abs()[both].median() < 0.01


@pytest.mark.slow
def test_output_lies_on_the_input_in_time():
    audio, _ = synthetic()
    voice = World(WORLD.spec)(WORLD(audio))
    fine = STFT(n_fft=512, hop_length=4)
    ours, theirs = (fine(x).square().sum(1)[0].sqrt() for x in (voice, audio))
    ours, theirs = ours - ours.mean(), theirs - theirs.mean()
    size = 2 * len(ours)
    correlation = torch.fft.irfft(torch.fft.rfft(theirs, size).conj() * torch.fft.rfft(ours, size), size)
    lag = int(correlation.argmax())
    assert abs(4 * (lag - size if lag > size // 2 else lag)) <= 32, "more than 2 ms off"


@pytest.mark.slow
def test_melody_moves_with_f0():
    audio, _ = synthetic()
    features = WORLD(audio)
    higher = features.clone()
    higher[:, 0] *= 1.5
    found = WORLD(World(WORLD.spec)(higher))[0, 0]
    both = (found > 0) & (higher[0, 0] > 0)
    assert (found / higher[0, 0] - 1).abs()[both].median() < 0.01


@pytest.mark.slow
@pytest.mark.skipif(not SPEECH.is_dir(), reason="the real recordings are not on this machine")
def test_copy_synthesis_of_real_speech():
    path = min(SPEECH.rglob("*.flac"))
    audio = torch.from_numpy(soundfile.read(path, dtype="float32")[0][None, :48000])
    features = WORLD(audio)
    voice = World(WORLD.spec)(features)
    assert log_mel_distance(voice, audio) < 0.4
    again = WORLD(voice)[0, 0]
    both = (again > 0) & (features[0, 0] > 0)
    assert (again / features[0, 0] - 1).abs()[both].median() < 0.02


@pytest.mark.parametrize("value", [1e4, -1e4])
def test_a_diverged_generator_gives_sound_within_range(value):
    voice = World(WORLD.spec)(torch.full((1, WORLD.spec.channels, 20), value))
    assert voice.isfinite().all()
    assert voice.abs().max() <= 1


@pytest.mark.parametrize("samples", [160, 161, 319, 1023])
def test_short_recordings(samples):
    audio, _ = synthetic()
    features = WORLD(audio[:, 3000 : 3000 + samples])
    assert features.shape == (1, WORLD.spec.channels, samples // 160)
    assert World(WORLD.spec)(features).shape == (1, samples // 160 * 160)


@pytest.mark.slow
def test_a_crop_with_its_margin_comes_near_the_whole():
    audio, _ = synthetic(3.0)
    whole, margin = WORLD(audio), WORLD.margin
    assert margin == 50
    crop = WORLD(audio[:, (100 - margin) * 160 : (200 + margin) * 160])[..., margin:-margin]
    assert crop.shape[-1] == 100
    whole = whole[..., 100:200]
    assert ((crop[0, 0] > 0) == (whole[0, 0] > 0)).float().mean() > 0.95
    both = (crop[0, 0] > 0) & (whole[0, 0] > 0)
    assert ((crop[0, 0] / whole[0, 0] - 1).abs()[both] < 0.01).float().mean() > 0.95
    assert (crop - whole)[:, 1:61].abs().mean() < 0.01


def test_spec_differs_for_other_settings():
    other = WorldFeatures(fmin=60.0)
    with pytest.raises(SpecMismatchError, match=r"fmin is 71\.0.*60\.0"):
        check_join("the features", WORLD.spec, "the vocoder", World(other.spec).spec)


def test_other_kinds_of_features_are_refused():
    with pytest.raises(SpecMismatchError, match=r"'mel'.*WorldFeatures"):
        World(MelSpectrogram().spec)
    with pytest.raises(SpecMismatchError, match="'world'"):
        GriffinLim(WORLD.spec)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"fmin": 0.0}, "fmin is 0"),
        ({"fmax": 9000.0}, "fmax is 9000"),
        ({"n_envelope": 0}, "n_envelope is 0"),
        ({"hop_length": 2000}, "n_fft is 1024"),
    ],
)
def test_bad_settings_are_reported(settings, told):
    with pytest.raises(ConfigurationError, match=told):
        WorldFeatures(**settings)


def test_missing_library_is_reported(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pyworld", None)
    with pytest.raises(ConfigurationError, match="pip install pyworld"):
        WorldFeatures()


def test_description_names_the_package():
    assert describe(World(WORLD.spec))["package"] == "lvc-world"
