"""Audio devices: what the engine needs of one, and files in place of them."""

import contextlib
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.audio.io import Pieces, check_writable, to_16_bits, write_audio
from lightning_voiceclone.audio.opening import STANDARD_INPUT, opened
from lightning_voiceclone.inference.live.clock import Clock

Samples = NDArray[np.float32]
Callback = Callable[[Samples, float], None]
BLOCK_SECONDS = 0.01


class Device(Protocol):
    """An audio device, for input or output; closed until :meth:`open`.

    ``rate`` is its own, in Hz, ``block`` how many samples it gives or takes at once, ``latency`` its seconds; all three
    are known once it is open.
    """

    name: str
    rate: int
    block: int
    latency: float

    def open(self) -> None:
        """Reserve it; the callback is not called yet.

        Raises:
            LVCError: if that cannot be done.
        """

    def start(self, callback: Callback) -> None:
        """Call the callback with each block (n,) and the moment of its last sample, or for output of its first one."""

    @property
    def alive(self) -> bool:
        """Whether it still calls."""

    @property
    def finished(self) -> bool:
        """Whether it has given all that it has; never for a microphone."""

    def close(self) -> None:
        """Let go of it; nothing happens if it is closed."""


class FileInput:
    """A recording as an input device, in real time by the clock; then silence.

    Args:
        path: "-" for standard input; a pipe is copied to a temporary file first.
        clock: when to give blocks.
        note: called with what a user should know of the file.
    """

    latency = 0.0
    alive = True

    def __init__(self, path: str, clock: Clock, note: Callable[[str], None]) -> None:
        self.name, self._path, self._clock, self._note = path, path, clock, note
        self.rate = self.block = 0
        self.finished = False
        self._stack = contextlib.ExitStack()

    def open(self) -> None:
        """As of :class:`Device`; a second time it does nothing.

        Raises:
            RecordingError: if it cannot be decoded.
        """
        if self.rate:
            return
        file = self._stack.enter_context(opened(self._path))
        self.rate, self.block = file.rate, max(round(BLOCK_SECONDS * file.rate), 1)
        self._read = Pieces(file, file.rate)
        for note in self._read.notes:
            self._note(note)

    def start(self, callback: Callback) -> None:
        """As of :class:`Device`."""
        self._callback, self._begun, self._given, self._open = callback, self._clock.now(), 0, True
        self._wait()

    def _wait(self) -> None:
        self._clock.at(self._begun + (self._given + self.block) / self.rate, self._give)

    def _give(self) -> None:
        if not self._open:
            return
        samples = self._read(self._given, self._given + self.block)
        self._given += self.block
        self.finished = len(samples) < self.block
        samples = np.pad(samples, (0, self.block - len(samples)))
        self._callback(samples, self._begun + self._given / self.rate)
        self._wait()

    def close(self) -> None:
        """As of :class:`Device`."""
        self._open = False
        self._stack.close()


class FileOutput:
    """A file as an output device, in real time by the clock.

    Args:
        path: ends in .wav or .flac.
        clock: when to take blocks.
        rate: in Hz.

    Raises:
        ConfigurationError: if it cannot be written.
    """

    latency = 0.0
    alive = True
    finished = False

    def __init__(self, path: str, clock: Clock, rate: int = 16000) -> None:
        check_writable(path)
        self.name, self._path, self._clock = path, Path(path), clock
        self.rate, self.block = rate, 0
        self._taken: list[NDArray[np.int16]] = []
        self._open = False

    def open(self) -> None:
        """As of :class:`Device`."""
        self.block = max(round(BLOCK_SECONDS * self.rate), 1)

    def start(self, callback: Callback) -> None:
        """As of :class:`Device`."""
        self._callback, self._begun, self._open = callback, self._clock.now(), True
        self._memory = np.zeros(self.block, np.float32)
        self._wait()

    def _wait(self) -> None:
        self._clock.at(self._begun + len(self._taken) * self.block / self.rate, self._take)

    def _take(self) -> None:
        if not self._open:
            return
        self._callback(self._memory, self._begun + len(self._taken) * self.block / self.rate)
        self._taken.append(to_16_bits(self._memory))
        self._wait()

    def close(self) -> None:
        """As of :class:`Device`."""
        self._open = False

    @property
    def begun(self) -> bool:
        """Whether anything was played."""
        return bool(self._taken)

    def save(self) -> float:
        """Write the file, and return its seconds.

        Raises:
            OSError: if it cannot be written.
        """
        audio = np.concatenate([*self._taken, np.zeros(0, np.int16)]).astype(np.float32) / 32768
        write_audio(self._path, audio, self.rate)
        return len(audio) / self.rate


def is_file(name: str) -> bool:
    """Whether a name of a device is a path: it has a suffix of sound, begins as a path, is a file, or is "-"."""
    path = Path(name)
    return name == STANDARD_INPUT or path.suffix.lower() in SUFFIXES or name.startswith(("/", ".")) or (
        path.exists() and not path.is_dir())  # fmt: skip


SUFFIXES = {".wav", ".flac", ".ogg", ".mp3", ".opus", ".aiff", ".aif", ".au", ".caf", ".w64"}
