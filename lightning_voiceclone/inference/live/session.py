"""A live conversion from its start to its end: opens the devices, works, and opens again those that went away."""

from collections.abc import Callable

from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.inference.live.clock import Clock
from lightning_voiceclone.inference.live.devices import Device
from lightning_voiceclone.inference.live.engine import Live

POLL_SECONDS = 0.001
LOOK_SECONDS = 0.2  # between two looks at the devices
RETRY_SECONDS = 0.5  # between two attempts to open one that is gone
TAIL_SECONDS = 0.1  # of silence, beyond the delay, after the end of a file


class Session:
    """Run the engine between two devices.

    Args:
        live: the engine.
        source: input device.
        sink: output device.
        clock: for all times; the one of the engine and of devices that are files.
        note: called with a line when a device goes or comes back.
        on_look: called a few times a second, in the worker's thread.
    """

    def __init__(
        self,
        live: Live,
        source: Device,
        sink: Device,
        clock: Clock,
        *,
        note: Callable[[str], None] = print,
        on_look: Callable[[], None] = lambda: None,
    ) -> None:
        self.live, self.stopped = live, False
        self._devices = {"input": source, "output": sink}
        self._clock, self._note, self._on_look = clock, note, on_look
        self._gone: dict[str, float] = {}  # when each was last tried
        self._last_look = clock.now()
        self._finished: float | None = None

    def stop(self) -> None:
        """Let :meth:`run` end; may be called from another thread."""
        self.stopped = True

    def run(self, seconds: float | None = None) -> None:
        """Convert until the input has ended, :meth:`stop`, or so many seconds have passed; then close the devices.

        Raises:
            LVCError: if a device cannot be opened at the start, or the model keeps failing.
        """
        end = None if seconds is None else self._clock.now() + seconds
        try:
            for side in ("output", "input"):
                self._open(side)
            while not self.stopped and not self._over(end):
                if not self.live.work():
                    self._clock.idle(POLL_SECONDS)
                if self._clock.now() - self._last_look >= LOOK_SECONDS:
                    self._look()
        finally:
            self._devices["input"].close()
            self._devices["output"].close()

    def _over(self, end: float | None) -> bool:
        if end is not None and self._clock.now() >= end:
            return True
        if self._finished is None and self._devices["input"].finished:
            self._finished = self._clock.now()
        return self._finished is not None and (
            self._clock.now() - self._finished >= self.live.target + TAIL_SECONDS
        )  # fmt: skip

    def _open(self, side: str) -> None:
        device = self._devices[side]
        device.open()
        opening = self.live.open_input if side == "input" else self.live.open_output
        device.start(opening(device.rate, device.block, device.latency))

    def _look(self) -> None:
        """Close what is gone, and try to open it again."""
        self._last_look = now = self._clock.now()
        for side, device in self._devices.items():
            if side not in self._gone and not device.alive:
                (self.live.close_input if side == "input" else self.live.close_output)()
                device.close()
                self._gone[side] = now
                self._note(f"the {side} device {device.name} is gone; silent until it is back")
            elif side in self._gone and now - self._gone[side] >= RETRY_SECONDS:
                self._gone[side] = now
                try:
                    self._open(side)
                except LVCError:
                    continue
                del self._gone[side]
                self._note(f"the {side} device {device.name} is back")
        self._on_look()
