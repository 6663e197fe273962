import numpy as np
import pytest

from lightning_voiceclone.testing.signals import band_features, speech_like


def test_length_range_and_repeatability():
    sound = speech_like(0.7, sample_rate=22050, speaker=3, seed=4)
    assert sound.audio.shape == sound.f0.shape == (15435,)
    assert np.abs(sound.audio).max() == pytest.approx(0.5)
    np.testing.assert_array_equal(sound.audio, speech_like(0.7, sample_rate=22050, speaker=3, seed=4).audio)
    assert np.abs(sound.audio - speech_like(0.7, sample_rate=22050, speaker=5, seed=4).audio).max() > 0.05


def test_pitch_is_the_signals_own():
    sound = speech_like(2.0, speaker=1)
    voiced = sound.f0 > 0
    assert 0.5 < voiced.mean() < 0.9
    assert 60 < sound.f0[voiced].min() < sound.f0.max() < 320
    found = []
    for start in np.flatnonzero(voiced)[::4000]:
        piece = sound.audio[start : start + 800]
        if voiced[start : start + 800].all() and len(piece) == 800:
            lags = np.correlate(piece, piece, "full")[800:]
            lag = int(np.argmax(lags[49:267])) + 50  # 60 to 320 Hz
            found.append(16000 / lag / sound.f0[start + 400])
    assert len(found) >= 3
    assert np.median(np.abs(np.log2(found))) < 0.1


def test_unvoiced_parts_are_noise():
    sound = speech_like(2.0)
    power = np.abs(np.fft.rfft(np.where(sound.f0 > 0, 0, sound.audio))) ** 2
    half = len(power) // 2
    assert power[half:].sum() > power[:half].sum()


@pytest.mark.parametrize("channels", [13, 20, 80])
def test_band_features_are_normalised(channels):
    features = band_features(speech_like(0.5).audio, channels=channels)
    assert features.shape == (channels, 50)
    np.testing.assert_allclose(features.mean(1), 0, atol=1e-4)
    np.testing.assert_allclose(features.std(1), 1, atol=0.05)


def test_empty_sound():
    assert speech_like(0.0).audio.shape == (0,)
