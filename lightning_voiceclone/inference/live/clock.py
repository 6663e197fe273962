"""Time, and what is to happen at a time: of the computer, or simulated, so that tests and files need no sound card."""

import heapq
import itertools
import math
import time
from collections.abc import Callable


class Clock:
    """The computer's time, in seconds, with callbacks at given times.

    The callbacks run in the thread that sleeps. They stand in for the threads of a sound card.
    """

    def __init__(self) -> None:
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def now(self) -> float:
        """Seconds since some moment."""
        return time.monotonic()

    def at(self, moment: float, run: Callable[[], None]) -> None:
        """Call ``run`` at a moment, or as soon after it as something sleeps."""
        heapq.heappush(self._events, (moment, next(self._numbers), run))

    def sleep(self, seconds: float) -> None:
        """Let time pass, and what is due happen."""
        end = self.now() + seconds
        while self._run_next(end):
            pass
        self._pass_until(end)

    def idle(self, seconds: float) -> None:
        """Let time pass until something has happened, at most ``seconds``."""
        end = self.now() + seconds
        if not self._run_next(end):
            self._pass_until(end)

    def _run_next(self, end: float) -> bool:
        """Run the first callback, if it is due before ``end``."""
        if not self._events or self._events[0][0] > end:
            return False
        moment, _, run = heapq.heappop(self._events)
        self._pass_until(moment)
        run()
        return True

    def _pass_until(self, moment: float) -> None:
        if (left := moment - self.now()) > 0:
            time.sleep(left)


class SimulatedClock(Clock):
    """Time that passes only when something sleeps, and then at once."""

    def __init__(self) -> None:
        super().__init__()
        self._now = 0.0

    def now(self) -> float:
        """Seconds since it was made."""
        return self._now

    def idle(self, seconds: float) -> None:
        """Let time pass until something has happened, however long that takes; ``seconds`` if nothing is to happen."""
        if not self._run_next(math.inf):
            self._pass_until(self._now + seconds)

    def _pass_until(self, moment: float) -> None:
        self._now = max(self._now, moment)
