import math

import pytest
import torch

from lightning_voiceclone.audio.beamforming import BeamformMVDR
from lightning_voiceclone.errors import ConfigurationError

RATE = 16000


def speech(seconds=4.0):
    """(N,): syllables of harmonics with pauses between them."""
    time = torch.arange(round(seconds * RATE), dtype=torch.float64) / RATE
    phase = 2 * math.pi * torch.cumsum(130 + 20 * torch.sin(2 * math.pi * 0.7 * time), 0) / RATE
    return (
        0.25 * torch.sin(math.pi * 2.5 * time).clamp_min(0) * sum(torch.sin(k * phase) / k for k in range(1, 25))
    ).float()


def microphones(delays, noise=0.1, gains=None):
    """Clean and noisy (M, N): the source with a delay and a gain each, and noise that is independent."""
    source = speech()
    clean = torch.stack(
        [gain * source.roll(delay) for delay, gain in zip(delays, gains or [1.0] * len(delays), strict=True)]
    )
    return clean, clean + noise * torch.randn(clean.shape)


def ratio(clean, audio):
    """dB, of the best copy of the clean signal in the audio."""
    scale = (clean * audio).sum() / clean.square().sum()
    return 10 * math.log10((scale * clean).square().sum() / (audio - scale * clean).square().sum())


@pytest.mark.slow
@pytest.mark.parametrize(("delays", "gain"), [((0, 7), 2.0), ((0, 5, 11, 3), 4.0)])
def test_the_beam_is_better_than_the_best_microphone(delays, gain):
    torch.manual_seed(0)
    clean, noisy = microphones(delays)
    output = BeamformMVDR()(noisy, RATE)
    assert output.shape == (1, noisy.shape[1])
    best = max(ratio(c, n) for c, n in zip(clean, noisy, strict=True))
    assert max(ratio(c, output[0]) for c in clean) > best + gain


@pytest.mark.slow
def test_the_best_microphone_is_the_reference():
    torch.manual_seed(0)
    clean, noisy = microphones((0, 6, 12), gains=[0.2, 1.0, 0.2], noise=0.05)
    output = BeamformMVDR()(noisy, RATE)[0]
    assert max(range(3), key=lambda m: ratio(clean[m], output)) == 1
    # Distortionless: the speech comes out as loud as that microphone hears it.
    assert float((output * clean[1]).sum() / clean[1].square().sum()) == pytest.approx(1.0, abs=0.1)


def test_noise_from_one_place_is_weakened():
    torch.manual_seed(0)
    source = speech()
    noise = 0.1 * torch.randn(len(source))
    clean = torch.stack([source, source.roll(8)])
    noisy = clean + torch.stack([noise, noise.roll(-8)]) + 0.003 * torch.randn(clean.shape)
    output = BeamformMVDR()(noisy, RATE)[0]
    assert max(ratio(c, output) for c in clean) > ratio(clean[0], noisy[0]) + 4


def test_one_channel_passes_unchanged():
    audio = speech()[None]
    assert torch.equal(BeamformMVDR()(audio, RATE), audio)


@pytest.mark.slow
def test_copies_and_silent_channels_do_no_harm():
    torch.manual_seed(0)
    _, noisy = microphones((0,))
    copies = BeamformMVDR()(noisy.repeat(2, 1), RATE)
    assert ratio(noisy[0], copies[0]) > 30
    half = BeamformMVDR()(torch.cat([noisy, torch.zeros_like(noisy)]), RATE)
    assert ratio(noisy[0], half[0]) > 30


def test_impossible_settings_are_refused():
    with pytest.raises(ConfigurationError, match="window"):
        BeamformMVDR(window=0.0)
