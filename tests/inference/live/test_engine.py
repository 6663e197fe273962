"""Live conversion on simulated time and a fake sound card: delay, drift, stalls, faults, loops."""

import math
import time
import tracemalloc

import numpy as np
import pytest

from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.inference.live.clock import SimulatedClock
from lightning_voiceclone.inference.live.converters import Rehearsal
from lightning_voiceclone.inference.live.engine import GAIN, Live
from lightning_voiceclone.testing.live import PassThrough

CHIRP_SECONDS, CHIRP_AT = 0.1, 2.0


def chirp(times):
    """From 500 to 3000 Hz, at 2 s."""
    place = np.clip((times - CHIRP_AT) / CHIRP_SECONDS, 0, 1)
    phase = 2 * np.pi * CHIRP_SECONDS * (500 * place + 1250 * place**2)
    return 0.3 * np.sin(np.pi * place) * np.sin(phase)


def ramp(times):
    """A sound whose value is the time: 0.01 for each second."""
    return 0.01 * times


def chirp_delay(sink, rate=96000):
    """Seconds by which the chirp was played later than it sounded."""
    times, samples = sink.played()
    grid = np.arange(CHIRP_AT, times[-1], 1 / rate)
    pattern = chirp(np.arange(CHIRP_AT, CHIRP_AT + CHIRP_SECONDS, 1 / rate))
    spectrum = np.fft.rfft(np.interp(grid, times, samples), 2 * len(grid))
    return np.argmax(np.fft.irfft(spectrum * np.fft.rfft(pattern, 2 * len(grid)).conj())[: len(grid)]) / rate


def ages(sink, begin, end):
    """How old what was played between two moments was, of the sound ``ramp``; without silence and the fades beside."""
    times, samples = sink.played()
    faded = np.convolve(samples == 0, np.ones(2 * 100 + 1), "same") > 0.5
    chosen = (times >= begin) & (times < end) & ~faded
    return times[chosen] - samples[chosen] / GAIN / 0.01


class Slow(PassThrough):
    """Takes simulated time: ``seconds`` for the chunks of that number, else ``usual``."""

    def __init__(self, clock, seconds=(), usual=0.0, **settings):
        super().__init__(**settings)
        self.clock, self.seconds, self.usual, self.chunks = clock, dict(seconds), usual, 0

    def push(self, samples):
        self.clock.sleep(self.seconds.get(self.chunks, self.usual))
        self.chunks += 1
        return super().push(samples)


SETTINGS = {
    "alike": ({}, {}),
    "look-ahead": ({}, {"lookahead": 1280}),
    "other rates": ({"rate": 48000}, {"rate": 44100, "block": 0.0116}),
    "drift, jitter": (
        {"rate": 44100, "off": 1e-4, "jitter": 0.002},
        {"rate": 48000, "off": -1e-4, "jitter": 0.002, "block": 0.005},
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", SETTINGS)
def test_the_sum_of_the_readout_is_the_delay_of_a_chirp(begun, name):
    microphone, rest = SETTINGS[name]
    lookahead = rest.pop("lookahead", 0) if name == "look-ahead" else 0
    live = begun(chirp, microphone, rest, lambda clock: Slow(clock, usual=0.006, lookahead=lookahead), gate=None,
                 needs=Rehearsal(lookahead / 16000, 0.007))  # fmt: skip
    live.run(3.0)
    delay = live.live.delays.mean()
    assert delay.total == pytest.approx(chirp_delay(live.sink), abs=1e-3)
    assert delay.total == pytest.approx(live.live.target, abs=1e-3)
    assert delay.compute == pytest.approx(0.006, abs=2e-3)
    assert delay.lookahead == pytest.approx(lookahead / 16000, abs=0.004)
    assert delay.chunk == pytest.approx(0.02)
    assert (live.live.counts.gaps, live.live.counts.dropped) == (0, 0)


@pytest.mark.slow
def test_eight_hours_of_clocks_200_ppm_apart_at_unequal_rates(begun):
    """Rates are low, and chunks long, so that this takes seconds; the control is the same."""
    nothing, errors = np.zeros(200), []
    live = begun(lambda times: nothing[: len(times)], {"rate": 200, "off": 1e-4, "block": 0.5, "jitter": 0.002},
                 {"rate": 220, "off": -1e-4, "block": 0.5, "jitter": 0.002, "keep": False},
                 lambda clock: PassThrough(200), chunk=1.0, gate=None)  # fmt: skip
    live.live.delays.add = lambda delay: errors.append(delay.total - live.live.target)
    live.run(8 * 3600)
    assert len(errors) > 8 * 3600 - 10
    assert np.abs(errors).max() < 0.005
    assert np.abs(errors[100:]).max() < 0.001
    assert (live.live.counts.gaps, live.live.counts.dropped) == (0, 0)
    assert live.live.drift.adjustment == pytest.approx(2e-4, abs=1e-6)


@pytest.mark.slow
def test_after_a_stall_of_5_s_what_is_played_is_new_within_1_s(begun):
    live = begun(ramp, converter=lambda clock: Slow(clock, {200: 5.0}), gate=None)
    live.run(12.0)
    target, counts = live.live.target, live.live.counts
    before, after = ages(live.sink, 1.0, 3.9), ages(live.sink, 10.0, 12.0)
    assert np.abs(before - target).max() < 0.005
    assert np.abs(after - target).max() < 0.02
    resumed = ages(live.sink, 4.2, 12.0)
    assert resumed.max() < target + 0.02  # nothing old is ever played
    times, samples = live.sink.played()
    silent = times[(times > 3) & (samples == 0)]
    assert 8.9 < silent[-1] < 10.0
    assert silent[-1] - silent[0] == pytest.approx(counts.dropped, abs=0.15)
    assert counts.dropped == pytest.approx(5.0, abs=0.15)
    assert counts.gaps == 1
    assert np.abs(np.diff(samples * np.ones(1)))[(times[1:] > 3.5) & (times[1:] < 4.2)].max() < 0.08


@pytest.mark.slow
def test_a_slow_chunk_now_and_then_raises_the_delay_until_there_are_no_gaps(begun):
    spikes = dict.fromkeys(range(50, 3000, 50), 0.045)
    live = begun(ramp, converter=lambda clock: Slow(clock, spikes, 0.002), gate=None, needs=Rehearsal(0.0, 0.003))
    live.run(25.0)
    gaps = live.live.counts.gaps
    assert 1 <= gaps <= 5
    assert np.abs(ages(live.sink, 20, 25) - live.live.target).max() < 0.01
    assert (live.sink.played()[1][-80000:] != 0).all()


@pytest.mark.slow
def test_a_worker_that_is_always_too_slow_drops_and_never_falls_behind(begun):
    live = begun(ramp, converter=lambda clock: Slow(clock, usual=0.03), gate=None)
    live.run(6.0)
    played = ages(live.sink, 2.0, 6.0)
    assert played.max(initial=0) < live.live.target + 0.02
    assert live.live.counts.dropped > 1.0


class Broken(PassThrough):
    """Fails for some chunks, each in a way of its own."""

    def __init__(self, failures):
        super().__init__()
        self.failures, self.chunks = failures, 0

    def push(self, samples):
        self.chunks += 1
        failure = self.failures.get(self.chunks - 1)
        if isinstance(failure, Exception):
            raise failure
        return super().push(samples) if failure is None else failure


@pytest.mark.parametrize("failure", [RuntimeError("out of\nmemory"), np.full(320, np.nan), np.ones(5000)])
def test_a_chunk_that_fails_is_silence_with_fades_and_the_next_ones_go_on(begun, failure):
    tone = lambda times: 0.3 * np.sin(2 * np.pi * 200 * times)  # noqa: E731
    live = begun(tone, converter=lambda clock: Broken({100: failure}), gate=None)
    live.run(4.0)
    times, samples = live.sink.played()
    assert live.live.counts.faults == 1
    assert live.live.counts.fault.startswith(type(failure).__name__ if isinstance(failure, Exception) else "ValueError")
    assert "\n" not in live.live.counts.fault
    gap = (times > 1.9) & (times < 2.3)
    assert 0.01 < (samples[gap] == 0).mean() * 0.4 < 0.1
    assert np.abs(np.diff(samples[times > 0.5])).max() < 1.3 * 0.3 * GAIN * 2 * np.pi * 200 / 16000
    assert np.abs(samples[times > 2.5]).max() == pytest.approx(0.3 * GAIN, abs=0.01)


def test_a_model_that_keeps_failing_is_silent_and_ends_with_one_line(begun):
    failures = {number: ValueError("no") for number in range(1000)}
    live = begun(lambda times: 0.3 * np.sin(1000 * times), converter=lambda clock: Broken(failures), gate=None)
    with pytest.raises(LVCError, match="the model failed 10 times, one after another: ValueError: no"):
        live.run(5.0)
    assert not live.sink.played()[1].any()


class Loud(PassThrough):
    """Babbles whatever it is given."""

    def push(self, samples):
        return np.random.default_rng(0).uniform(-1, 1, len(samples)).astype(np.float32)


@pytest.mark.parametrize("level", [0.0, 10 ** (-50 / 20)])
def test_silence_and_a_fan_give_silence_even_if_the_model_babbles(begun, level):
    random = np.random.default_rng(0)
    live = begun(lambda times: level * random.standard_normal(len(times)), converter=lambda clock: Loud())
    live.run(3.0)
    assert np.sqrt(np.mean(live.sink.played()[1] ** 2)) <= 10 ** (-60 / 20)
    assert len(live.live.delays) > 100


@pytest.mark.slow
@pytest.mark.parametrize("side", ["source", "sink"])
def test_a_device_that_is_unplugged_and_comes_back_goes_on_within_2_s(begun, side):
    live = begun(ramp, gate=None)
    device = getattr(live, side)
    live.clock.at(3.0, lambda: setattr(device, "plugged", False))
    live.clock.at(6.0, lambda: setattr(device, "plugged", True))
    live.run(10.0)
    times, samples = live.sink.played()
    assert not samples[(times > 3.2) & (times < 6.0)].any()
    assert samples[(times > 7.5) & (times < 8.0)].all()
    assert ages(live.sink, 6.0, 10.0).max() < live.live.target + 0.02
    name = "input" if side == "source" else "output"
    assert live.notes == [f"the {name} device fake is gone; silent until it is back",
                          f"the {name} device fake is back"]  # fmt: skip


@pytest.mark.slow
def test_a_device_that_comes_back_at_another_rate_goes_on(begun):
    live = begun(lambda times: 0.3 * np.sin(2 * np.pi * 440 * times), gate=None)
    live.clock.at(2.0, lambda: setattr(live.source, "plugged", False))

    def back():
        live.source.plugged, live.source.rate, live.source.block = True, 48000, 480
        live.source.true_rate = 48000

    live.clock.at(3.0, back)
    live.run(6.0)
    times, samples = live.sink.played()
    late = samples[times > 5.0]
    assert np.argmax(np.abs(np.fft.rfft(late))) * 16000 / len(late) == pytest.approx(440, abs=2)


@pytest.mark.slow
@pytest.mark.parametrize("seconds", [0.2, -0.2])
def test_after_a_device_lost_samples_the_delay_is_the_target_again(begun, seconds):
    """0.2 s of the source, or of the output, vanish in the driver; nothing says so but the moments of the blocks."""
    live = begun(ramp, gate=None)
    device = live.source if seconds > 0 else live.sink
    live.clock.at(2.0, lambda: setattr(device, "begun", device.begun + abs(seconds)))
    live.run(4.0)
    assert np.abs(ages(live.sink, 2.6, 4.0) - live.live.target).max() < 0.005
    assert np.abs(ages(live.sink, 1.0, 1.9) - live.live.target).max() < 0.005


def test_callbacks_allocate_no_samples_and_are_quick(begun):
    """Of 10 ms: while playing, when the output falls silent, and while it is."""
    live = Live(PassThrough(), SimulatedClock(), gate=None)
    capture, play = live.open_input(48000, 480, 0.0), live.open_output(48000, 480, 0.0)
    block, out = np.zeros(480, np.float32), np.zeros(480, np.float32)
    peaks, times = [], []
    tracemalloc.start()
    try:
        for number in range(60):
            tracemalloc.reset_peak()
            before, begin = tracemalloc.get_traced_memory()[0], time.thread_time()
            play(out, number * 0.01)
            capture(block, (number + 1) * 0.01)
            times.append(time.thread_time() - begin)
            peaks.append(tracemalloc.get_traced_memory()[1] - before)
            live._clock.sleep(0.01)
            if number < 40:
                live.work()
    finally:
        tracemalloc.stop()
    assert live.silent
    assert len(live.delays) > 10
    assert np.percentile(peaks[5:], 90) < 1000  # other threads allocate too
    assert np.median(times) < 0.002


@pytest.mark.slow
def test_a_loop_of_0_db_does_not_build_up(begun):
    """A burst of 0.5 s goes round and dies away; with a source that stays on, the level has a limit."""
    random, path = np.random.default_rng(0), 0.01

    def looped(stays):
        def sound(times):
            own = 0.1 * random.standard_normal(len(times)) * ((times > 1.0) & ((times < 1.5) | stays))
            return own + live.sink.heard(times - path)

        live = begun(sound, converter=lambda clock: PassThrough(lookahead=800))
        live.run(8.0)
        times, samples = live.sink.played()
        return [np.sqrt(np.mean(samples[(times > begin) & (times < begin + 1)] ** 2)) for begin in range(1, 7)]

    levels = looped(stays=False)
    assert levels[0] < 0.1
    assert levels[1] < 0.2 * levels[0]
    assert max(levels[2:]) == 0
    assert max(looped(stays=True)) < 0.1 * GAIN / math.sqrt(1 - GAIN**2) * 1.1


def test_samples_that_are_not_finite_become_zeros_and_are_counted(begun):
    def sound(times):
        return np.where((times > 1.0) & (times < 1.05), np.nan, 0.3 * np.sin(2 * np.pi * 200 * times))

    live = begun(sound, gate=None)
    live.run(3.0)
    _, samples = live.sink.played()
    assert np.isfinite(samples).all()
    assert live.live.counts.replaced == pytest.approx(800, abs=2)
    assert (live.live.counts.faults, live.live.counts.gaps) == (0, 0)


def test_muted_it_fades_to_silence_and_back(begun):
    live = begun(lambda times: 0.3 * np.sin(2 * np.pi * 100 * times), gate=None)
    live.clock.at(1.0, lambda: setattr(live.live, "muted", True))
    live.clock.at(2.0, lambda: setattr(live.live, "muted", False))
    live.run(3.0)
    times, samples = live.sink.played()
    assert not samples[(times > 1.1) & (times < 2.0)].any()
    assert np.abs(samples[times > 2.5]).max() > 0.2
    assert np.abs(np.diff(samples[times > 0.5])).max() < 0.02


def test_a_chunk_out_of_range_is_refused(begun):
    with pytest.raises(ConfigurationError, match=r"chunk is 2; it must be from 0.005 to 1"):
        Live(PassThrough(), None, chunk=2.0)
