import itertools
import math

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.audio.augmentation import AddNoise, AddReverberation, RandomGain, RandomPitch, RandomSpeed
from lightning_voiceclone.core.part import build, describe
from lightning_voiceclone.errors import ConfigurationError

RATE = 16000
ALL = [RandomPitch, RandomSpeed, RandomGain, AddNoise, AddReverberation]


def tone(frequency=500.0, seconds=1.0, rows=1):
    time = torch.arange(round(seconds * RATE)) / RATE
    return 0.3 * torch.sin(2 * math.pi * frequency * time).repeat(rows, 1)


def frequency(audio):
    """Hz of the greatest bin, of the middle half."""
    quarter = len(audio) // 4
    middle = audio[quarter:-quarter] * torch.hann_window(len(audio) - 2 * quarter)
    return float(torch.fft.rfft(middle, n=1 << 18).abs().argmax()) * RATE / (1 << 18)


def decibels(power):
    return 10 * math.log10(power)


@pytest.mark.parametrize("transform", ALL)
def test_shape_range_and_independence_of_rows(transform):
    torch.manual_seed(0)
    audio = tone(rows=4)
    changed = transform(probability=1.0)(audio, RATE)
    assert changed.shape == audio.shape
    assert changed.dtype == audio.dtype
    assert float(changed.abs().max()) <= 1.0
    assert len({tuple(row[3000:3050].tolist()) for row in changed}) == 4
    assert torch.equal(audio, tone(rows=4))


@pytest.mark.slow
@pytest.mark.parametrize("transform", ALL)
def test_torchs_random_state_decides(transform):
    made = transform(probability=0.5)
    torch.manual_seed(3)
    first = made(tone(rows=8), RATE)
    torch.manual_seed(3)
    assert torch.equal(first, made(tone(rows=8), RATE))
    assert not torch.equal(first, made(tone(rows=8), RATE))
    # On average half of the rows are left exactly as they were.
    untouched = (first == tone(rows=8)).all(dim=1).sum()
    assert 1 <= untouched <= 7
    assert torch.equal(transform(probability=0.0)(tone(rows=2), RATE), tone(rows=2))


@pytest.mark.parametrize("transform", ALL)
@pytest.mark.parametrize("samples", [1, 2, 700])
def test_silence_and_short_rows_stay_finite(transform, samples):
    torch.manual_seed(0)
    for audio in (torch.zeros(2, samples), torch.full((2, samples), 0.1)):
        changed = transform(probability=1.0)(audio, RATE)
        assert changed.shape == audio.shape
        assert changed.isfinite().all()


@pytest.mark.parametrize("semitones", [-7.0, -1.5, 4.0, 12.0])
def test_pitch_is_shifted_by_the_semitones_and_timing_kept(semitones):
    audio = tone()
    audio[:, :5000] = 0
    shifted = RandomPitch(semitones, semitones, probability=1.0)(audio, RATE)[0]
    assert frequency(shifted) == pytest.approx(500 * 2 ** (semitones / 12), rel=0.005)
    power = shifted.square().unfold(0, 200, 200).mean(dim=1)
    begin = int((power > 0.25 * power.max()).nonzero()[0]) * 200
    assert begin == pytest.approx(5000, abs=500)
    assert RandomPitch.keeps_timing


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.25])
def test_speed_changes_pitch_and_length(speed):
    torch.manual_seed(0)
    played = RandomSpeed(speed, speed, probability=1.0)(tone(seconds=2.0), RATE)[0]
    length = round(len(played) / max(speed, 1.0))
    assert frequency(played[:length]) == pytest.approx(500 * speed, rel=0.002)
    assert float(played[:length].abs().max()) == pytest.approx(0.3, abs=0.02)
    assert not played[length:].any()
    assert not RandomSpeed.keeps_timing


def test_speed_one_changes_nothing():
    torch.testing.assert_close(RandomSpeed(1.0, 1.0, probability=1.0)(tone(), RATE), tone(), atol=1e-5, rtol=0)


def test_slow_rows_are_cropped_at_drawn_places():
    torch.manual_seed(0)
    ramp = torch.linspace(0, 0.9, RATE).repeat(6, 1)
    starts = RandomSpeed(0.5, 0.5, probability=1.0)(ramp, RATE)[:, 100]
    assert float(starts.max() - starts.min()) > 0.1


def test_gains_lie_in_the_range():
    torch.manual_seed(0)
    audio = tone(rows=200)
    gains = RandomGain(-12, 6, probability=1.0)(audio, RATE).square().mean(1) / audio.square().mean(1)
    gains = 10 * gains.log10()
    assert float(gains.min()) == pytest.approx(-12, abs=0.5)
    assert float(gains.max()) == pytest.approx(6, abs=0.5)
    assert float(gains.mean()) == pytest.approx(-3, abs=1.0)


@pytest.mark.parametrize("kind", ["white", "pink"])
@pytest.mark.parametrize("ratio", [5.0, 20.0])
def test_the_measured_ratio_is_the_drawn_one(kind, ratio):
    torch.manual_seed(0)
    audio = 0.3 * tone(rows=3)
    noise = AddNoise(ratio, ratio, noise=kind, probability=1.0)(audio, RATE) - audio
    for row, added in zip(audio, noise, strict=True):
        assert decibels(row.square().mean() / added.square().mean()) == pytest.approx(ratio, abs=0.01)


def test_pink_noise_falls_by_three_decibels_an_octave():
    torch.manual_seed(0)
    audio = 0.05 * tone(frequency=7900, seconds=8.0)
    added = (AddNoise(10, 10, noise="pink", probability=1.0)(audio, RATE) - audio)[0]
    power = torch.fft.rfft(added).abs().square()
    octaves = [power[8 * low : 16 * low].mean() for low in (100, 200, 400, 800, 1600)]
    falls = [decibels(a / b) for a, b in itertools.pairwise(octaves)]
    assert falls == pytest.approx([3.01] * 4, abs=1.0)


def test_noise_from_a_folder_is_that_noise(tmp_path):
    torch.manual_seed(0)
    time = np.arange(3000) / 8000  # another rate, and shorter than the rows
    soundfile.write(tmp_path / "hum.wav", 0.5 * np.sin(2 * np.pi * 200 * time), 8000)
    audio = 0.3 * tone(frequency=3000)
    added = AddNoise(10, 10, noise=str(tmp_path), probability=1.0)(audio, RATE) - audio
    assert frequency(added[0]) == pytest.approx(200, abs=3)
    assert decibels(audio.square().mean() / added.square().mean()) == pytest.approx(10, abs=0.01)


def test_reverberation_keeps_the_direct_sound_in_place_and_decays():
    torch.manual_seed(0)
    click = torch.zeros(1, RATE)
    click[0, 4000] = 0.5
    wet = AddReverberation(0.4, 0.4, low_direct=6.0, high_direct=6.0, probability=1.0)(click, RATE)[0]
    assert int(wet.abs().argmax()) == 4000
    assert float(wet[:4000].abs().max()) < 1e-4
    power = wet[4032:].square()
    level = [decibels(power[a : a + 800].mean()) for a in (0, 1600, 3200)]
    assert level[0] - level[1] == pytest.approx(15, abs=1.5)  # 60 dB in 0.4 s
    assert level[1] - level[2] == pytest.approx(15, abs=1.5)
    direct = wet[4000].square() / wet[4001:].square().sum()
    assert decibels(direct) == pytest.approx(6, abs=0.3)
    assert float(wet.square().sum()) == pytest.approx(0.25, rel=0.01)


def test_recorded_responses_are_aligned_to_their_direct_sound(tmp_path):
    response = np.zeros(2000)
    response[700], response[900] = -0.8, 0.2
    soundfile.write(tmp_path / "room.wav", response, RATE, subtype="FLOAT")
    click = torch.zeros(1, 8000)
    click[0, 1000] = 0.5
    wet = AddReverberation(responses=str(tmp_path), probability=1.0)(click, RATE)[0]
    scale = 0.5 / math.sqrt(1 + 0.25**2)
    assert float(wet[1000]) == pytest.approx(scale, rel=1e-3)
    assert float(wet[1200]) == pytest.approx(-scale / 4, rel=1e-3)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: RandomPitch(3, -3), "goes from 3 to -3"),
        (lambda: RandomPitch(-30, 30), "24"),
        (lambda: RandomSpeed(0.0, 1.0), "above 0"),
        (lambda: RandomGain(probability=1.5), "1.5"),
        (lambda: AddNoise(noise="brown"), "'brown'.*white, pink"),
        (lambda: AddReverberation(responses="/nowhere"), "/nowhere"),
        (lambda: AddReverberation(0.0, 0.5), "above 0"),
    ],
)
def test_impossible_settings_are_refused(make, told):
    with pytest.raises(ConfigurationError, match=told):
        make()


def test_noise_that_cannot_be_decoded_is_reported_at_once_and_hidden_files_are_none(tmp_path):
    soundfile.write(tmp_path / "a.wav", torch.randn(RATE).numpy(), RATE)
    (tmp_path / "._a.wav").write_bytes(b"a resource fork")
    AddNoise(noise=str(tmp_path))
    (tmp_path / "b.wav").write_bytes(b"not audio")
    with pytest.raises(ConfigurationError, match=r"b\.wav cannot be decoded; take it out of"):
        AddNoise(noise=str(tmp_path))


@pytest.mark.parametrize("transform", ALL)
def test_settings_can_be_written_down_and_made_again(transform):
    assert build(describe(transform(probability=0.25))).probability == 0.25
