"""Rings, resampling, drift, the gate and the clock, each by itself."""

import numpy as np
import pytest

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.live.clock import Clock, SimulatedClock
from lightning_voiceclone.inference.live.gate import Gate
from lightning_voiceclone.inference.live.resampling import MOST_ADJUSTMENT, DriftControl, Resampler
from lightning_voiceclone.inference.live.rings import CaptureRing, PlaybackRing

FADE = 8


def count_up(first, count):
    return np.arange(first, first + count, dtype=np.float32)


def play(ring, *counts):
    blocks = []
    for count in counts:
        blocks.append(np.full(count, np.nan, np.float32))
        ring.play(blocks[-1])
    return np.concatenate(blocks)


def test_what_is_captured_is_read_by_its_number_and_the_oldest_is_overwritten():
    ring = CaptureRing(50)
    for first in range(0, 130, 13):
        ring.write(count_up(first, 13))
    assert ring.written == 130
    assert np.array_equal(ring.read(85, 40), count_up(85, 40))
    ring.write(count_up(130, 200))  # more than there is room for: the newest of it
    assert np.array_equal(ring.read(280, 50), count_up(280, 50))


def test_a_block_of_no_samples_changes_nothing():
    capture, playback = CaptureRing(20), PlaybackRing(20, FADE)
    capture.write(np.zeros(0, np.float32))
    assert capture.written == 0
    assert len(play(playback, 0)) == 0
    assert playback.played == 0


def test_playback_is_silent_until_it_is_started_and_begins_at_the_number_given():
    ring = PlaybackRing(200, FADE)
    assert not play(ring, 10, 10).any()
    ring.start(25, np.ones(60, np.float32))
    made = play(ring, 10, 10, 10)
    assert not made[:5].any()
    assert (np.diff(made[5 : 5 + FADE]) > 0).all()
    assert (made[5 + FADE :] == 1).all()
    assert ring.played == 50


def test_out_of_samples_it_fades_out_drops_the_rest_and_stays_silent():
    ring = PlaybackRing(200, FADE)
    ring.start(0, np.ones(35, np.float32))
    made = play(ring, 10, 10, 10, 10)  # after the third block 5 are left, fewer than a fade
    assert (made[FADE:22] == 1).all()
    assert (np.diff(made[21:30]) < 0).all()
    assert made[29] < 0.05
    assert not made[30:].any()
    assert (ring.dropped, ring.ended, ring.silent) == (5, 2, True)
    ring.start(50, np.ones(60, np.float32))
    assert not ring.silent
    assert play(ring, 10, 10)[-1] == 1


def test_a_new_beginning_while_it_plays_fades_both():
    ring = PlaybackRing(300, FADE)
    ring.start(0, np.ones(60, np.float32))
    play(ring, 10)
    ring.start(90, np.ones(60, np.float32))
    made = play(ring, 50, 60)
    assert np.abs(np.diff(made)).max() < 0.25
    assert not made[50:80].any()
    assert made[89:110].min() == 1


def test_blocks_shorter_than_a_fade_make_no_jump():
    ring = PlaybackRing(100, FADE)
    ring.start(0, np.ones(30, np.float32))
    made = play(ring, *[4] * 10)
    assert np.abs(np.diff(made)).max() < 0.5
    assert ring.silent


@pytest.mark.parametrize(("rate_in", "rate_out"), [(48000, 16000), (16000, 44100), (44100, 48000), (16000, 16000)])
def test_resampled_pieces_are_the_sine_at_their_positions(rate_in, rate_out):
    resampler, random = Resampler(rate_in, rate_out), np.random.default_rng(0)
    sine = np.sin(2 * np.pi * 700 * np.arange(rate_in // 2) / rate_in).astype(np.float32)
    made, positions, begin = [], [], 0
    while begin < len(sine):
        size = int(random.integers(0, 900))
        position = resampler.position
        made.append(resampler.push(sine[begin : begin + size], adjustment=1e-3))
        positions.append(position + rate_in / rate_out * 1.001 * np.arange(len(made[-1])))
        begin += size
    made, positions = np.concatenate(made), np.concatenate(positions)
    inner = positions > 200
    assert len(made) == pytest.approx((len(sine) - resampler.half) * rate_out / rate_in / 1.001, abs=2)
    assert np.abs(made - np.sin(2 * np.pi * 700 * positions / rate_in))[inner].max() < 2e-4


def test_positions_that_fall_on_the_end_by_rounding_are_left_for_the_next_piece():
    resampler, count = Resampler(16000, 16000), 0
    for number in range(3000):
        count += len(resampler.push(np.ones(320, np.float32), adjustment=-5e-3 * np.sin(number / 7)))
    assert count == pytest.approx(3000 * 320, rel=1e-4)


def test_at_equal_rates_samples_stay_what_they_are():
    resampler, noise = Resampler(16000, 16000), np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    made = np.concatenate([resampler.push(piece) for piece in np.split(noise, 50)])
    assert np.array_equal(made, noise[: len(noise) - resampler.half])


def test_frequencies_beyond_the_lower_rate_do_not_alias():
    sine = np.sin(2 * np.pi * 10000 * np.arange(48000) / 48000).astype(np.float32)
    assert np.abs(Resampler(48000, 16000).push(sine)[100:]).max() < 1e-3


@pytest.mark.parametrize("drift", [200e-6, -200e-6, 400e-6])
def test_drift_is_held_within_5_ms_and_learnt(drift):
    control, error, errors = DriftControl(), 0.0, []
    for _ in range(20000):
        error += (drift - control.adjustment) * 0.02
        errors.append(error)
        control.update(error, 0.02)
    assert np.abs(errors).max() < 5e-3
    assert abs(errors[-1]) < 1e-5
    assert control.adjustment == pytest.approx(drift, abs=1e-6)


def test_the_adjustment_stays_inaudible():
    control = DriftControl()
    assert max(control.update(1.0, 0.02) for _ in range(1000)) == MOST_ADJUSTMENT
    control.restart()
    assert control.adjustment <= MOST_ADJUSTMENT


def noise(decibels, seconds, low=False, seed=0):
    samples = np.random.default_rng(seed).standard_normal(round(seconds * 16000))
    if low:  # a fan: mostly below 200 Hz
        samples = np.convolve(samples, np.hanning(160), "same")
    return (samples / samples.std() * 10 ** (decibels / 20)).astype(np.float32)


def gains(gate, samples, size=320):
    return np.concatenate([gate.gains(samples[begin : begin + size]) for begin in range(0, len(samples), size)])


@pytest.mark.parametrize("low", [False, True])
def test_the_gate_stays_closed_for_noise_at_minus_50_and_opens_for_speech(low):
    gate = Gate(16000)
    assert not gains(gate, noise(-50, 20, low)).any()
    opened = gains(gate, noise(-30, 0.5))
    assert np.argmax(opened == 1) < 0.02 * 16000
    assert opened[-1] == 1
    closing = gains(gate, noise(-50, 3, low, seed=1))
    assert not closing[-32000:].any()
    assert np.abs(np.diff(closing)).max() < 0.02


def test_the_gate_has_hysteresis_and_ignores_an_offset():
    gate = Gate(16000)
    gains(gate, noise(-30, 0.3))
    assert gains(gate, noise(-43, 2)).min() == 1  # below the threshold, but not 6 dB
    closed = Gate(16000)
    assert not gains(closed, noise(-43, 2)).any()
    assert not gains(closed, np.full(16000, 0.2, np.float32)).any()
    assert gains(Gate(16000, None), noise(-90, 0.1)).min() == 1
    with pytest.raises(ConfigurationError, match=r"gate is 0; it must be from -90 to -10, or null for no gate"):
        Gate(16000, 0.0)


@pytest.mark.parametrize("clock", [Clock(), SimulatedClock()])
def test_what_is_due_happens_while_something_sleeps(clock):
    begin, seen = clock.now(), []
    for delay in (0.02, 0.01, 0.5):
        clock.at(begin + delay, lambda delay=delay: seen.append((delay, clock.now() - begin)))
    clock.sleep(0.03)
    assert [delay for delay, _ in seen] == [0.01, 0.02]
    assert all(0 <= late - delay < 0.02 for delay, late in seen)
    assert clock.now() - begin >= 0.03
    clock.idle(0.001)
    assert len(seen) == (3 if isinstance(clock, SimulatedClock) else 2)
