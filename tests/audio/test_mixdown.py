import numpy as np
import pytest
import soundfile
import soxr

from lightning_voiceclone.audio.checks import check_recording
from lightning_voiceclone.audio.io import read_audio, read_with_notes
from lightning_voiceclone.audio.mixdown import Mixdown, measure_mixdown
from lightning_voiceclone.errors import RecordingError

RATE = 16000


def tone(seconds=1.0, seed=0):
    """(N,) whose mean is 0: 200 Hz that swells, with a little noise."""
    times = np.arange(round(seconds * RATE)) / RATE
    noise = 1e-3 * np.random.default_rng(seed).standard_normal(len(times))
    audio = 0.4 * np.sin(2 * np.pi * 200 * times) * np.sin(np.pi * times / seconds) ** 2 + noise
    return (audio - audio.mean()).astype(np.float32)


@pytest.fixture
def written(tmp_path):
    def write(*channels, suffix="wav", rate=RATE):
        path = tmp_path / f"a.{suffix}"
        soundfile.write(path, np.stack(channels, axis=1), rate, **({"subtype": "FLOAT"} if suffix == "wav" else {}))
        return path

    return write


def test_channels_that_cancel_are_not_mixed(written):
    left = tone()
    path = written(0.9 * left, -left)
    audio, _, notes = read_with_notes(path)
    np.testing.assert_array_equal(audio, -left)
    assert notes == (f"{path}: its channels cancel each other when mixed: channel 2 of 2 is used",)
    assert check_recording(path).mixdown.notes == (notes[0].removeprefix(f"{path}: "),)
    whole, _ = read_audio(path, 12000)
    np.testing.assert_allclose(read_audio(path, 12000, start=0.2, end=0.7)[0], whole[2400:8400], atol=1e-5)
    np.testing.assert_array_equal(read_audio(path, mono=False)[0], np.stack([0.9 * left, -left]))


@pytest.mark.parametrize(("scale", "channel"), [(-0.81, 1), (-0.79, None), (0.0, None), (1.0, None)])
def test_a_mean_that_keeps_a_hundredth_of_the_power_is_taken(scale, channel):
    # ((1 + scale) / 2)^2 is 0.009 and 0.011 for the first two; the first channel is the quieter one.
    audio = tone()
    assert measure_mixdown([np.stack([scale * audio, audio], axis=1)]) == Mixdown(2, channel)


def test_one_of_sixteen_microphones_is_found_and_sixteen_are_averaged():
    alone = np.zeros((RATE, 16), np.float32)
    alone[:, 5] = tone()
    assert measure_mixdown([alone]).channel == 5
    alike = np.stack([tone() + 1e-3 * tone(seed=n) for n in range(16)], axis=1)
    assert measure_mixdown([alike[:100], alike[100:]]) == Mixdown(16)
    np.testing.assert_allclose(Mixdown(16)(alike), alike.mean(axis=1), atol=1e-7)


@pytest.mark.parametrize("offset", [0.1, -0.5])
def test_a_constant_offset_is_subtracted_before_resampling(written, offset):
    clean = 0.4 * tone(2.0)
    path = written(clean + np.float32(offset))
    audio, _, notes = read_with_notes(path, 12000)
    np.testing.assert_allclose(audio, soxr.resample(clean, RATE, 12000, quality="HQ"), atol=1e-6)
    assert notes == (f"{path}: its samples have a constant offset: {offset:+.3f} of full scale, subtracted",)
    np.testing.assert_allclose(read_audio(path, 12000, start=0.5, end=1.5)[0], audio[6000:18000], atol=1e-5)


def test_an_offset_below_60_db_is_left_alone(written):
    audio = tone() + np.float32(9e-4)
    path = written(audio)
    np.testing.assert_array_equal(read_audio(path)[0], audio)
    assert check_recording(path).mixdown.notes == ()


def test_nothing_but_an_offset_is_silent(written):
    with pytest.raises(RecordingError, match="silent: its peak is -200 dB"):
        check_recording(written(np.full(RATE, 0.5, np.float32)))


def test_opposite_channels_with_an_offset_each_still_cancel():
    audio = tone()
    found = measure_mixdown([np.stack([audio + np.float32(0.1), np.float32(0.1) - audio], axis=1)])
    assert found.channel == 0
    assert found.offset == pytest.approx(0.1, abs=1e-6)


def test_a_changed_file_is_measured_anew(written):
    path = written(tone() + np.float32(0.1))
    assert abs(read_audio(path)[0].mean()) < 1e-6
    path = written(tone(1.5))
    np.testing.assert_array_equal(read_audio(path)[0], tone(1.5))
