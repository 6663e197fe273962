"""The live engine: capture -> worker -> playback, with a delay that is known and held."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.errors import LVCError, check_range
from lightning_voiceclone.inference.live.clock import Clock
from lightning_voiceclone.inference.live.converters import LiveConverter, Rehearsal
from lightning_voiceclone.inference.live.delay import Delay, Delays
from lightning_voiceclone.inference.live.gate import OPEN_DB, Gate
from lightning_voiceclone.inference.live.resampling import DriftControl, Resampler
from lightning_voiceclone.inference.live.rings import CaptureRing, PlaybackRing

Samples = NDArray[np.float32]
LEAST_CHUNK, MOST_CHUNK = 0.005, 1.0
FADE_SECONDS = 0.005
SLACK_SECONDS = 0.003  # for the worker to notice a chunk
RING_SECONDS = 2.0
MOST_BACKLOG = 0.2  # seconds of source waiting for the worker, beyond a chunk and what it needs; more is dropped
RAISE_SECONDS, MOST_RAISED = 0.01, 0.5  # of the target: at once, and in all
MOST_ERROR = 0.05  # seconds of the delay, which a change of the rate corrects; beyond, output is dropped or waits
GAIN = 10 ** (-3 / 20)  # of the output: a loop of microphone and loudspeaker then dies away
MOST_FAULTS = 10  # one after another, after which the engine gives up


@dataclass
class _Source:
    """An input device that is open; ``last`` is its newest sample: number, when it sounded, when it was given."""

    rate: int
    ring: CaptureRing
    last: tuple[int, float, float]

    def sounded(self, number: float) -> float:
        """When a sample sounded."""
        return self.last[1] - (self.last[0] - number) / self.rate


@dataclass
class _Sink:
    """An output device that is open; ``last`` is its last block: first number, when that sounds, when it was taken."""

    rate: int
    block: int
    ring: PlaybackRing
    last: tuple[int, float, float] | None = None


@dataclass
class Counts:
    """What went wrong, in seconds of sound or by number.

    ``dropped``: source that was not played because it would have come late. ``gaps``: how often the output fell silent
    for want of samples. ``faults``: exceptions of the converter. ``replaced``: samples that were not finite.
    """

    dropped: float = 0.0
    gaps: int = 0
    faults: int = 0
    replaced: int = 0
    fault: str = field(default="", compare=False)


class Live:
    """Convert a source while it is captured.

    The devices call what :meth:`open_input` and :meth:`open_output` return, in threads of their own; these callbacks
    copy samples and never wait. A worker calls :meth:`work` again and again.

    The delay is held at ``target`` by a small change of the output's rate. What would come later than that is dropped,
    with a fade; what fails is silence. Nothing of the source reaches the output but through the converter, 3 dB below
    its level.

    Args:
        converter: what converts.
        clock: for all times.
        chunk: seconds converted at once, 0.005 to 1.
        needs: of the converter, as :func:`~lightning_voiceclone.inference.live.converters.rehearse` measures them.
        gate: threshold as of :class:`~lightning_voiceclone.inference.live.gate.Gate`.

    Raises:
        ConfigurationError: if the chunk or the gate is out of range.
    """

    def __init__(
        self,
        converter: LiveConverter,
        clock: Clock,
        *,
        chunk: float = 0.02,
        needs: Rehearsal = Rehearsal(0.0, 0.0),  # noqa: B008 (frozen)
        gate: float | None = OPEN_DB,
    ) -> None:
        check_range("chunk", chunk, LEAST_CHUNK, MOST_CHUNK)
        self.converter, self.chunk, self.needs = converter, chunk, needs
        self.counts, self.delays, self.muted = Counts(), Delays(), False
        self.gate = Gate(converter.sample_rate, gate)
        self.drift = DriftControl()
        self._clock, self._timer = clock, time.perf_counter
        self._source: _Source | None = None
        self._sink: _Sink | None = None
        self._nominal = self._raised = 0.0
        self._faults = self._taken = self._wanted = 0
        self._gain = GAIN

    # The devices' side -----------------------------------------------------------------------------------------------

    def open_input(self, rate: int, block: int, latency: float) -> Callable[[Samples, float], None]:
        """Take samples of a device from now on.

        Args:
            rate: in Hz.
            block: samples that it gives at once.
            latency: seconds until it gives a sample.

        Returns:
            What its callback is to call, with samples (n,), which it may reuse, and when the last of them sounded.
        """
        ring = CaptureRing(round((RING_SECONDS + 2 * self.chunk + 2 * self.needs.compute) * rate))
        now = self._clock.now()
        source = _Source(rate, ring, (0, now - latency, now))
        self._source, self._capture_latency, self._taken = source, latency, 0
        self._chunk_size = max(round(self.chunk * rate), 1)
        self._block_slack = 0.0 if self._chunk_size % block == 0 else block / rate
        self._begin()

        def capture(samples: Samples, sounded: float) -> None:
            ring.write(samples)
            source.last = (ring.written, sounded, self._clock.now())

        return capture

    def close_input(self) -> None:
        """The input device is gone."""
        self._source = None

    def open_output(self, rate: int, block: int, latency: float) -> Callable[[Samples, float], None]:
        """Give samples to a device from now on; arguments as of :meth:`open_input`.

        Returns:
            What its callback is to call, with memory (n,) to fill, and when its first sample will sound.
        """
        fade = max(round(FADE_SECONDS * rate), 1)
        longest = RING_SECONDS + 2 * (self.chunk + self.needs.lookahead + self.needs.compute)
        ring = PlaybackRing(round(longest * rate) + 4 * block, fade)
        sink = _Sink(rate, block, ring)
        self._sink = sink
        self._output_slack = (block + fade) / rate + latency
        self._begin()

        def play(out: Samples, sounds: float) -> None:
            sink.last = (ring.played, sounds, self._clock.now())
            ring.play(out)

        return play

    def close_output(self) -> None:
        """The output device is gone."""
        self._sink = None

    @property
    def target(self) -> float:
        """Delay that is held, in seconds."""
        return self._nominal + self._raised

    @property
    def silent(self) -> bool:
        """Whether nothing is played, for want of a device or of samples."""
        return self._sink is None or self._sink.ring.silent

    # The worker ------------------------------------------------------------------------------------------------------

    def work(self) -> bool:
        """Convert a chunk, if there is one. Returns whether there was.

        Raises:
            LVCError: if the converter failed ten times, one after another.
        """
        source, sink = self._source, self._sink
        if source is None or sink is None:
            return False
        self._catch_up(source)
        if source.ring.written - self._taken < self._wanted:
            return False
        begin, timer = self._clock.now(), self._timer()
        block = source.ring.read(self._taken, self._wanted)
        self._taken += self._wanted
        self._wanted = self._chunk_size
        made = self._converted(block)
        self.delays.add_spent(self._timer() - timer)
        if made is not None:
            self._deliver(made, source, sink, begin)
        return True

    def _begin(self, waiting: int = 0) -> None:
        """Begin a run, which does not follow what was before, with the newest ``waiting`` samples.

        What was captured before that and not converted is dropped.
        """
        self.converter.restart()
        self._gains = np.zeros(0, np.float32)
        self._aligned = False
        source, sink, rate = self._source, self._sink, self.converter.sample_rate
        if source is None:
            return
        self._drop(max(source.ring.written - waiting - self._taken, 0) / source.rate)
        self._incoming = Resampler(source.rate, rate)
        # The first chunk begins with what the resampler looks ahead, so that it gives whole chunks, whose ends lie on
        # the model's frames, for those of the device, whose ends lie on its blocks.
        before = self._incoming.half + 1
        self._taken = self._first = source.ring.written - waiting - before
        self._wanted = self._chunk_size + before
        if sink is None:
            return
        self._outgoing = Resampler(rate, sink.rate)
        halves = self._incoming.half / source.rate + self._outgoing.half / rate
        slack = SLACK_SECONDS + self._block_slack + self._output_slack
        self._nominal = self._capture_latency + self.chunk + halves + self.needs.lookahead + self.needs.compute + slack

    def _catch_up(self, source: _Source) -> None:
        """Drop what waits, but for the newest chunk, if it waits for too long."""
        most = max(MOST_BACKLOG, 2 * self.needs.compute) * source.rate + self._chunk_size
        if source.ring.written - self._taken > most:
            self._begin(self._chunk_size)

    def _converted(self, block: Samples) -> Samples | None:
        """Samples at the model's rate; None if the converter failed."""
        finite = np.isfinite(block)
        if not finite.all():
            self.counts.replaced += int(len(block) - finite.sum())
            block = np.where(finite, block, np.float32(0))
        samples = np.clip(self._incoming.push(block), -1, 1)
        gains = self.gate.gains(samples)
        self._gains = np.concatenate([self._gains, gains])
        try:
            made = self.converter.push(samples * gains)
            if len(made) > len(self._gains):
                raise ValueError(f"{len(made)} samples for {len(self._gains)}")
            if not np.isfinite(made).all():
                raise ValueError("samples are NaN or infinite")
        except Exception as error:  # whatever a plugin raises: the output is silent, and the next chunk is tried
            self._failed(error)
            return None
        self._faults = 0
        given, self._gains = self._gains[: len(made)], self._gains[len(made) :]
        return np.clip(made, -1, 1) * given * self._fade_to(0.0 if self.muted else GAIN, len(made))

    def _fade_to(self, gain: float, count: int) -> Samples | np.float32:
        """Gains (n,) from the present one to another, which the next chunk begins with."""
        if gain == self._gain or not count:
            return np.float32(self._gain)
        gains = np.linspace(self._gain, gain, count + 1, dtype=np.float32)[1:]
        self._gain = gain
        return gains

    def _failed(self, error: Exception) -> None:
        self._faults += 1
        self.counts.faults += 1
        self.counts.fault = f"{type(error).__name__}: {' '.join(str(error).split())}"
        if self._faults >= MOST_FAULTS:
            raise LVCError(f"the model failed {MOST_FAULTS} times, one after another: {self.counts.fault}") from error
        self._drop(self.chunk)
        self._begin()

    def _deliver(self, made: Samples, source: _Source, sink: _Sink, begin: float) -> None:
        """Put output where it is to be played, and adjust the rate by how late that is."""
        end, position = self._clock.now(), self._outgoing.position
        samples = self._outgoing.push(made, self.drift.adjustment)
        if not len(samples):
            return
        if sink.last is None:  # the device has not begun
            self._drop(len(samples) / sink.rate)
            return
        number, sounds, taken = sink.last
        sounded = source.sounded(self._first + position * source.rate / self.converter.sample_rate)
        gap = self._aligned and sink.ring.silent
        if gap:
            self.counts.gaps += 1
            self._aligned = False
        wanted = number + round((sounded + self.target - sounds) * sink.rate)
        if self._aligned and abs(sink.ring.written - wanted) > MOST_ERROR * sink.rate:
            self._aligned = False  # a device lost samples
        if self._aligned:
            first, late = sink.ring.written, 0
            sink.ring.add(samples)
        else:
            first, late = wanted, self._align(samples, wanted, source, sink, gap)
        if self._aligned:
            at = sounds + (first + late - number) / sink.rate
            sounded += late / sink.rate
            self._measure(source, sounded, begin, end, at, sounds - taken)
            self.drift.update(at - sounded - self.target, self.chunk)

    def _align(self, samples: Samples, first: int, source: _Source, sink: _Sink, gap: bool) -> int:
        """Let output begin where it has the target's delay. Returns how many samples are too late for that, which are
        dropped.

        Where output comes too late though nothing waits, and at a gap that a slow chunk made, the target is raised.
        """
        ring = sink.ring
        late = max((ring.played + ring.fade if ring.silent else ring.written) - first, 0)
        self._drop(min(late, len(samples)) / sink.rate)
        waits = source.ring.written - self._taken >= self._chunk_size
        if late and ring.silent and (late < MOST_BACKLOG * sink.rate if gap else not waits):
            self._raised = min(self._raised + min(late / sink.rate, RAISE_SECONDS), MOST_RAISED)
        if late < len(samples):
            ring.start(first + late, samples[late:])
            self._aligned = True
            self.drift.restart()
        return late

    def _measure(self, source: _Source, sounded: float, begin: float, end: float, at: float, output: float) -> None:
        captured = source.sounded(self._taken)
        capture = source.last[2] - source.last[1]
        lookahead = captured - sounded - self.chunk
        queue = (begin - captured - capture) + (at - end - output)
        self.delays.add(Delay(capture, self.chunk, lookahead, end - begin, queue, output))

    def _drop(self, seconds: float) -> None:
        self.counts.dropped += seconds
