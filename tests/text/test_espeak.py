import sys

import numpy as np
import pytest

from lightning_voiceclone.errors import LVCError

TEXT = "The family painted the gate."


@pytest.fixture
def espeak():
    pytest.importorskip("espeakng_loader", reason="espeakng-loader (the extra espeak) is not installed")
    from lightning_voiceclone.text.espeak import Espeak

    return Espeak()


def test_speech_is_audible_and_within_range(espeak):
    audio, rate = espeak.speak(TEXT, "en-us", "m7")
    assert rate == 22050
    assert audio.dtype == np.float32
    assert 1.0 < len(audio) / rate < 3.0
    assert 0.02 < np.sqrt(np.mean(audio**2)) < 0.5
    assert np.abs(audio).max() <= 1.0


def test_a_fresh_synthesiser_repeats_and_other_instances_do_not_disturb_it(espeak):
    from lightning_voiceclone.text.espeak import Espeak

    first = [espeak.speak(text, "en-us", "linda")[0] for text in (TEXT, "A dog sang.")]
    other = Espeak()
    again = []
    for text in (TEXT, "A dog sang."):
        again.append(other.speak(text, "en-us", "linda")[0])
        espeak.speak("Something else entirely.", "en-gb-x-rp", "m4", pitch=70, rate=200)
    for left, right in zip(first, again, strict=True):
        np.testing.assert_array_equal(left, right)


def test_rate_and_pitch_have_their_effect(espeak):
    import librosa

    slow, rate = espeak.speak(TEXT, variant="m7", rate=120)
    fast, _ = espeak.speak(TEXT, variant="m7", rate=240)
    assert len(slow) > 1.5 * len(fast)
    low, high = (
        np.nanmedian(librosa.yin(espeak.speak(TEXT, variant="m7", pitch=pitch)[0], fmin=50, fmax=500, sr=rate))
        for pitch in (20, 80)
    )
    assert high > 1.2 * low


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"text": TEXT, "variant": "lind"}, ["'lind'", "did you mean linda?"]),
        ({"text": TEXT, "voice": "xx-yy"}, ["'xx-yy'", "en-us"]),
        ({"text": "  "}, ["said nothing", "'  '"]),
    ],
)
def test_what_cannot_be_spoken_is_refused(espeak, arguments, words):
    with pytest.raises(LVCError) as caught:
        espeak.speak(**arguments)
    for word in words:
        assert word in str(caught.value)


def test_a_missing_package_is_reported_with_its_remedy(monkeypatch):
    from lightning_voiceclone.text.espeak import speak

    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(LVCError, match=r'pip install "lightning-voiceclone\[espeak\]"'):
        speak(TEXT)
