import math

import numpy as np
import pytest
import torch

from lightning_voiceclone.audio.preprocessing import (
    NormalizeLoudness,
    NormalizePeak,
    SpectralGate,
    TrimSilence,
    integrated_loudness,
    k_weighting,
)
from lightning_voiceclone.core.part import build, describe
from lightning_voiceclone.errors import ConfigurationError, RecordingError

RATE = 16000


def voice(seconds=3.0):
    """(1, N): harmonics of a gliding pitch in syllables, three a second, with silence between them."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    phase = 2 * math.pi * torch.cumsum(130 + 20 * torch.sin(2 * math.pi * 0.7 * time), 0) / RATE
    harmonics = sum(torch.sin(k * phase) / k for k in range(1, 25))
    envelope = torch.sin(math.pi * 3 * time).clamp_min(0)
    return (0.25 * envelope * harmonics).float()[None]


def noise(seconds, level):
    return level * torch.randn(1, round(seconds * RATE))


def signal_to_noise(clean, dirty):
    return 10 * math.log10(clean.square().sum() / (dirty - clean).square().sum())


def test_k_weighting_has_the_standards_own_numbers_at_48_khz():
    shelf, high_pass = k_weighting(48000)
    expected = [1.53512485958697, -2.69169618940638, 1.19839281085285, 1, -1.69065929318241, 0.73248077421585]
    np.testing.assert_allclose(shelf, expected, atol=1e-9)
    np.testing.assert_allclose(high_pass, [1, -2, 1, 1, -1.99004745483398, 0.99007225036621], atol=1e-9)


@pytest.mark.parametrize("rate", [16000, 44100, 48000])
def test_loudness_of_a_full_scale_tone_is_the_standards(rate):
    tone = np.sin(2 * np.pi * 997 * np.arange(3 * rate) / rate)[None]
    assert integrated_loudness(tone, rate) == pytest.approx(-3.01, abs=0.05)
    assert integrated_loudness(np.vstack([tone, tone]), rate) == pytest.approx(0.0, abs=0.05)
    assert integrated_loudness(tone / 10, rate) == pytest.approx(-23.01, abs=0.05)


def test_the_gate_leaves_silence_out_of_the_loudness():
    tone = 0.1 * np.sin(2 * np.pi * 997 * np.arange(5 * RATE) / RATE)[None]
    padded = np.pad(tone, ((0, 0), (10 * RATE, 10 * RATE)))
    assert integrated_loudness(padded, RATE) == pytest.approx(integrated_loudness(tone, RATE), abs=0.3)
    assert integrated_loudness(np.zeros((1, RATE)), RATE) == -math.inf


def test_loudness_reaches_its_target_and_never_clips():
    quiet = NormalizeLoudness(-23)(0.02 * voice(), RATE)
    assert integrated_loudness(quiet.numpy(), RATE) == pytest.approx(-23, abs=0.01)
    loud = NormalizeLoudness(-3, peak=-1)(voice(), RATE)
    assert float(loud.abs().max()) == pytest.approx(10 ** (-1 / 20), rel=1e-5)
    silent = torch.zeros(1, RATE)
    assert torch.equal(NormalizeLoudness()(silent, RATE), silent)
    short = NormalizeLoudness(-23)(0.02 * voice(0.2), RATE)
    assert integrated_loudness(short.numpy(), RATE) == pytest.approx(-23, abs=0.01)


def test_peak_reaches_its_target():
    assert float(NormalizePeak(-6)(voice(), RATE).abs().max()) == pytest.approx(10 ** (-6 / 20), rel=1e-5)
    assert torch.equal(NormalizePeak()(torch.zeros(2, 100), RATE), torch.zeros(2, 100))


@pytest.mark.parametrize("make", [lambda: NormalizePeak(1.0), lambda: NormalizeLoudness(3.0)])
def test_a_target_above_full_scale_is_refused(make):
    with pytest.raises(ConfigurationError, match="0"):
        make()


@pytest.mark.parametrize("level", [0.0, 1e-3, 5e-3])
def test_trimming_cuts_both_ends_and_keeps_the_speech(level):
    torch.manual_seed(0)
    speech = voice()
    audio = torch.nn.functional.pad(speech, (round(0.8 * RATE), round(1.1 * RATE))) + noise(4.9, level)
    trimmed = TrimSilence(hangover=0.1)(audio, RATE)
    # Speech fills the 3 s; each end keeps 0.1 s more.
    assert trimmed.shape[1] / RATE == pytest.approx(3.0 + 0.2, abs=0.1)
    kept = float(trimmed.square().sum() / audio.square().sum())
    assert kept > (0.999 if level < 5e-3 else 0.99)


def test_trimming_follows_noise_that_grows():
    torch.manual_seed(0)
    ramp = torch.linspace(1e-4, 3e-3, 8 * RATE)
    audio = torch.nn.functional.pad(voice(), (2 * RATE, 3 * RATE)) + ramp * torch.randn(1, 8 * RATE)
    assert TrimSilence()(audio, RATE).shape[1] / RATE == pytest.approx(3.2, abs=0.1)


def test_long_pauses_are_shortened_only_if_asked():
    pause = torch.zeros(1, 2 * RATE)
    audio = torch.cat([voice(0.33), pause, voice(0.33)], dim=1)
    assert TrimSilence()(audio, RATE).shape[1] == pytest.approx(audio.shape[1], abs=0.1 * RATE)
    shortened = TrimSilence(hangover=0.05, longest_pause=0.3)(audio, RATE)
    assert shortened.shape[1] / RATE == pytest.approx(0.66 + 0.3 + 0.1, abs=0.1)
    assert float(shortened.square().sum()) == pytest.approx(float(audio.square().sum()), rel=1e-3)


def test_trimming_keeps_channels_together():
    audio = torch.nn.functional.pad(torch.cat([voice(), 0.5 * voice()]), (RATE, RATE))
    trimmed = TrimSilence()(audio, RATE)
    assert trimmed.shape[0] == 2
    torch.testing.assert_close(trimmed[1], 0.5 * trimmed[0])


def test_a_steady_sound_is_kept_and_silence_is_refused():
    tone = 0.1 * torch.sin(torch.arange(2 * RATE) * 0.3)[None]
    assert TrimSilence()(tone, RATE).shape[1] > 1.9 * RATE
    for audio in (torch.zeros(1, RATE), 1e-5 * torch.ones(1, RATE), torch.zeros(1, 10)):
        with pytest.raises(RecordingError, match="no speech"):
            TrimSilence()(audio, RATE)


def test_a_click_is_not_speech():
    click = torch.zeros(1, 2 * RATE)
    click[0, RATE] = 0.9
    with pytest.raises(RecordingError, match="no speech"):
        TrimSilence()(click, RATE)


def test_the_gate_raises_the_ratio_of_signal_to_noise():
    torch.manual_seed(0)
    clean = voice(4.0)
    dirty = clean + noise(4.0, float(clean.square().mean().sqrt()) * 10**-0.5)
    before = signal_to_noise(clean, dirty)
    assert before == pytest.approx(10, abs=0.2)
    cleaned = SpectralGate()(dirty, RATE)
    assert cleaned.shape == clean.shape
    assert signal_to_noise(clean, cleaned) > before + 5
    told = torch.cat([noise(1.0, float((dirty - clean).std())), dirty], dim=1)
    with_profile = SpectralGate(noise_start=0.0, noise_end=1.0)(told, RATE)[:, RATE:]
    assert signal_to_noise(clean, with_profile) > before + 5


def test_the_gate_goes_down_to_its_floor_and_leaves_clean_speech():
    torch.manual_seed(0)
    hiss = noise(2.0, 0.01)
    audio = torch.cat([hiss, voice()], dim=1)
    gated = SpectralGate(floor=-20, strength=3, noise_start=0.0, noise_end=1.9)(audio, RATE)
    weakened = 10 * math.log10(gated[:, : int(1.9 * RATE)].square().mean() / hiss[:, : int(1.9 * RATE)].square().mean())
    assert -20.5 < weakened < -15
    clean = voice() + noise(3.0, 1e-4)
    assert signal_to_noise(clean, SpectralGate()(clean, RATE)) > 25


@pytest.mark.slow
@pytest.mark.parametrize("samples", [1, 300, 5000])
def test_the_gate_takes_short_recordings(samples):
    audio = voice()[:, :samples] + 0.01
    gated = SpectralGate()(audio, RATE)
    assert gated.shape == audio.shape
    assert gated.isfinite().all()


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigurationError, match="noise_end"):
        SpectralGate(noise_start=1.0)
    with pytest.raises(ConfigurationError, match="quietest"):
        SpectralGate(quietest=0.0)
    with pytest.raises(ConfigurationError, match="seconds"):
        TrimSilence(hangover=-1)
    with pytest.raises(RecordingError, match="after the recording's end"):
        SpectralGate(noise_start=8.0, noise_end=9.0)(voice(), RATE)


def test_settings_can_be_written_down_and_made_again():
    made = build(describe(SpectralGate(floor=-12.0, noise_start=0.5, noise_end=1.0)))
    assert (made.floor, made.stretch, made.strength) == (-12.0, (0.5, 1.0), 1.5)
