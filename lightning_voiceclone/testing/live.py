"""A fake sound card on simulated time, and a converter without a model: for tests of live conversion."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.live.clock import SimulatedClock
from lightning_voiceclone.inference.live.devices import Callback

Samples = NDArray[np.float32]


class PassThrough:
    """Gives back what it is given, ``lookahead`` samples later; a converter whose output is easy to check.

    Args:
        sample_rate: in Hz.
        lookahead: samples.
    """

    def __init__(self, sample_rate: int = 16000, lookahead: int = 0) -> None:
        self.sample_rate, self.lookahead, self.restarts = sample_rate, lookahead, 0
        self._held = np.zeros(0, np.float32)

    def push(self, samples: Samples) -> Samples:
        """As of ``LiveConverter``."""
        held = np.concatenate([self._held, samples])
        count = max(len(held) - self.lookahead, 0)
        self._held = held[count:]
        return held[:count]

    def restart(self, *, forget: bool = False) -> None:
        """As of ``LiveConverter``."""
        self._held = np.zeros(0, np.float32)
        self.restarts += 1


class FakeDevice:
    """A device that calls on simulated time, by a clock of its own that runs fast or slow.

    Args:
        clock: simulated time.
        rate: in Hz, that it claims.
        off: by which share its true rate differs, such as 100e-6.
        block: seconds.
        latency: seconds.
        jitter: greatest lateness of a call, in seconds, uniformly distributed.
    """

    name = "fake"
    finished = False

    def __init__(
        self,
        clock: SimulatedClock,
        *,
        rate: int = 16000,
        off: float = 0.0,
        block: float = 0.01,
        latency: float = 0.004,
        jitter: float = 0.0,
    ) -> None:
        self.clock, self.rate, self.latency, self.jitter = clock, rate, latency, jitter
        self.block, self.true_rate = round(block * rate), rate * (1 + off)
        self.plugged, self.count = True, 0
        self._random, self._opened = np.random.default_rng(0), 0

    def open(self) -> None:
        """As of ``Device``."""
        if not self.plugged:
            raise ConfigurationError(f"{self.name} is not there")

    def start(self, callback: Callback) -> None:
        """As of ``Device``."""
        self._opened += 1
        self.begun, self.count, self._callback = self.clock.now(), 0, callback
        self._wait(self._opened)

    @property
    def alive(self) -> bool:
        """As of ``Device``."""
        return self.plugged

    def close(self) -> None:
        """As of ``Device``."""
        self._opened += 1

    def sounds(self, number: int) -> float:
        """The true moment of a sample."""
        return self.begun + number / self.true_rate

    def _wait(self, opening: int) -> None:
        late = self.jitter * self._random.random() if self.jitter else 0.0
        self.clock.at(self._due() + late, lambda: self._call(opening))

    def _call(self, opening: int) -> None:
        if opening == self._opened and self.plugged:
            self._exchange()
            self.count += self.block
            self._wait(opening)

    def _due(self) -> float:
        raise NotImplementedError

    def _exchange(self) -> None:
        raise NotImplementedError


class FakeMicrophone(FakeDevice):
    """Captures ``sound(times)``: samples (n,) of the sound at moments (n,) in seconds."""

    def __init__(self, clock: SimulatedClock, sound: Callable[[NDArray[np.float64]], Samples], **settings: float):
        super().__init__(clock, **settings)  # type: ignore[arg-type]
        self.sound = sound

    def _due(self) -> float:
        return self.sounds(self.count + self.block) + self.latency

    def _exchange(self) -> None:
        times = self.begun + np.arange(self.count, self.count + self.block) / self.true_rate
        self._callback(self.sound(times).astype(np.float32), self.sounds(self.count + self.block))


class FakeLoudspeaker(FakeDevice):
    """Keeps what it played, and when; ``keep`` is False for hours."""

    def __init__(self, clock: SimulatedClock, *, keep: bool = True, **settings: float):
        super().__init__(clock, **settings)  # type: ignore[arg-type]
        self.keep = keep
        self.blocks: list[tuple[float, Samples]] = []
        self._memory = np.zeros(self.block, np.float32)

    def _due(self) -> float:
        return self.sounds(self.count) - self.latency + self.block / self.true_rate

    def _exchange(self) -> None:
        when = self.sounds(self.count) + self.block / self.true_rate
        self._callback(self._memory, when)
        if self.keep:
            self.blocks.append((when, self._memory.copy()))

    def played(self) -> tuple[NDArray[np.float64], Samples]:
        """Moments (n,) and samples (n,) of all that it played."""
        steps = np.arange(self.block) / self.true_rate
        return (np.concatenate([when + steps for when, _ in self.blocks]),
                np.concatenate([samples for _, samples in self.blocks]))  # fmt: skip

    def heard(self, times: NDArray[np.float64]) -> Samples:
        """What sounds at moments (n,), as far as it was played by now: for a loop to a microphone."""
        recent = self.blocks[-50:]
        if not recent:
            return np.zeros(len(times), np.float32)
        steps = np.arange(self.block) / self.true_rate
        moments = np.concatenate([when + steps for when, _ in recent])
        samples = np.concatenate([samples for _, samples in recent])
        return np.interp(times, moments, samples, left=0, right=0).astype(np.float32)
