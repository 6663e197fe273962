"""Open a recording: a file, a pipe or standard input, decoded as one row of samples whatever it is made of."""

import contextlib
import errno
import functools
import io
import itertools
import os
import shlex
import stat
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np
import soundfile

from lightning_voiceclone.audio.containers import is_known, layout_of
from lightning_voiceclone.audio.streams import Layout, View
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.utils import files
from lightning_voiceclone.utils.files import interruption_held

PathLike = str | os.PathLike[str]
STANDARD_INPUT = "-"
BLOCK = 1 << 20  # samples decoded at once, so that memory grows with what is there and not with what a header states
LEAST_RATE, MOST_RATE = 4000, 768_000
MOST_CHANNELS = 64
MOST_STREAMS = 1000
MOST_SPOOLED = 4 << 30  # bytes of a pipe
ENOUGH_TO_KNOW = 1 << 20  # bytes of a pipe after which it must have begun as audio does


@dataclass(frozen=True)
class FileKey:
    """A file as it is now: the cache's key for what was found out about it."""

    device: int
    inode: int
    size: int
    modified: int
    descriptor: int = field(compare=False)


def name_of(path: PathLike) -> str:
    """What errors and notes call a recording."""
    return "standard input" if path == STANDARD_INPUT else os.fspath(path)


class Decoder:
    """Samples of an open recording, from any place.

    Args:
        name: for errors.
        descriptor: of a file that can seek; it is not closed.
        layout: of that file.
        key: of what is kept of that file; None for a pipe.

    Raises:
        RecordingError: if it cannot be decoded, or its rate or channels are none that recordings have.
    """

    def __init__(self, name: str, descriptor: int, layout: Layout, key: FileKey | None = None) -> None:
        self.name = name
        self.layout = layout
        self.key = key
        self._descriptor = descriptor
        self._current: tuple[int, soundfile.SoundFile] | None = None
        self._position = 0  # of that one
        count = max(1, len(layout.streams))
        if count > MOST_STREAMS:
            raise RecordingError(f"{name}: it is {count} recordings joined, most {MOST_STREAMS}; {self._mending}")
        lengths, kinds = [], []
        for index in range(count):
            file = self._file(index)
            lengths.append(file.frames)
            kinds.append((file.samplerate, file.channels))
        self.rate, self.channels = kinds[0]
        self.subtype = file.subtype
        self._ends = list(itertools.accumulate(lengths))
        self._check(set(kinds))

    @property
    def frames(self) -> int:
        """Length that the headers state, those that were found wrong corrected; what decodes may be less."""
        return int(self._ends[-1])

    @property
    def _mending(self) -> str:
        return f"mend it with ffmpeg -i {shlex.quote(self.name)} mended.flac"

    def _check(self, kinds: set[tuple[int, int]]) -> None:
        if len(kinds) > 1:
            formats = " and ".join(f"{rate} Hz with {channels} channel(s)" for rate, channels in sorted(kinds)[:2])
            raise RecordingError(f"{self.name}: joined from recordings that differ: {formats}; {self._mending}")
        if not LEAST_RATE <= self.rate <= MOST_RATE:
            raise RecordingError(
                f"{self.name}: its header states {self.rate} Hz, expected {LEAST_RATE} to {MOST_RATE}; if it is wrong,"
                f" give the true one: ffmpeg -i {shlex.quote(self.name)} -af asetrate=16000 mended.flac"
            )
        if self.channels > MOST_CHANNELS:
            raise RecordingError(
                f"{self.name}: its header states {self.channels} channels, expected 1 to {MOST_CHANNELS}; mix it down:"
                f" ffmpeg -i {shlex.quote(self.name)} -ac 1 mixed.flac"
            )

    def blocks(self, first: int, last: int | None = None) -> Iterator[np.ndarray]:
        """Samples (n, channels) from ``first`` to ``last`` or the end; they end earlier where nothing more decodes."""
        last = self.frames if last is None else min(last, self.frames)
        size = max(1, BLOCK // self.channels)
        for index, end in enumerate(self._ends):
            begin = self._ends[index - 1] if index else 0
            position, stop = max(first, begin), min(end, last)
            while position < stop and len(block := self._read(index, position - begin, min(size, stop - position))):
                position += len(block)
                yield block

    def _read(self, index: int, start: int, frames: int) -> np.ndarray:
        """(n, channels) of one stream; n is less than ``frames`` where nothing more decodes."""
        layout, size = self.layout, max(1, BLOCK // self.channels)
        file = self._file(index)
        # soundfile seeks after each reading, so what leads to the samples must be read together with them.
        begin = min(start, layout.exact[index]) if layout.exact else start
        begin = max(0, begin - layout.lead)
        try:
            with interruption_held() if layout.streams else contextlib.nullcontext():
                if begin != self._position:
                    file.seek(begin)
                self._position = -1  # until it is known again
                while start - begin > size:
                    if not (skipped := len(file.read(size, dtype="float32", always_2d=True))):
                        return np.zeros((0, self.channels), np.float32)
                    begin += skipped
                read = file.read(start - begin + frames, dtype="float32", always_2d=True)
                self._position = begin + len(read)
                return read[start - begin :]
        except (soundfile.SoundFileError, ValueError, TypeError, OverflowError) as error:
            raise RecordingError(f"{self.name}: truncated or damaged: {reason_of(error)}; {self._mending}") from error

    def _file(self, index: int) -> soundfile.SoundFile:
        """The decoder of one stream; one at a time is open."""
        if self._current is not None and self._current[0] == index:
            return self._current[1]
        self.close()
        try:
            if self.layout.streams:
                with interruption_held():
                    view = io.BufferedReader(View(self._descriptor, self.layout.streams[index]), 1 << 16)
                    file = soundfile.SoundFile(view)
            else:
                os.lseek(self._descriptor, 0, os.SEEK_SET)
                file = soundfile.SoundFile(self._descriptor, closefd=False)
        except (soundfile.SoundFileError, ValueError, TypeError, OverflowError) as error:
            raise RecordingError(
                f"{self.name}: not audio that can be decoded: {reason_of(error)}; if it is sound,"
                f" {self._mending.replace('mend', 'convert', 1).replace('mended', 'converted')}"
            ) from error
        self._current, self._position = (index, file), 0
        return file

    def close(self) -> None:
        """Let go of the decoder; the file stays open."""
        if self._current is not None:
            self._current[1].close()
            self._current = None


@contextlib.contextmanager
def opened(path: PathLike) -> Iterator[Decoder]:
    """Open a recording; ``"-"`` is standard input. What cannot seek is copied to a temporary file without a name.

    Raises:
        RecordingError: in one line, if it is missing, empty, a folder or a device, or not audio that can be decoded.
    """
    with opened_file(path) as (file, key), decoder_of(file, key, name_of(path)) as decoder:
        yield decoder


@contextlib.contextmanager
def decoder_of(file: BinaryIO, key: FileKey | None, name: str) -> Iterator[Decoder]:
    """The decoder of what :func:`opened_file` gives."""
    decoder = Decoder(name, file.fileno(), _layout(key) if key else layout_of(file.fileno()), key)
    try:
        yield decoder
    finally:
        decoder.close()


@contextlib.contextmanager
def opened_file(path: PathLike) -> Iterator[tuple[BinaryIO, FileKey | None]]:
    """The bytes of a recording as a file that can seek, and the key of its cache; a pipe has none."""
    with contextlib.ExitStack() as stack:
        try:
            file, key = _seekable(path, stack)
        except IsADirectoryError as error:
            name = name_of(path)
            raise RecordingError(f"{name} is a folder; name a recording in it, such as {name}/a.wav") from error
        except (OSError, ValueError) as error:  # ValueError: a name with a NUL
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                raise
            raise RecordingError(f"{name_of(path)}: {reason_of(error)}") from error
        yield file, key


def _seekable(path: PathLike, stack: contextlib.ExitStack) -> tuple[BinaryIO, FileKey | None]:
    name = name_of(path)
    file: BinaryIO = stack.enter_context(_open(path))
    found = os.fstat(file.fileno())
    regular = stat.S_ISREG(found.st_mode)
    if not regular:
        if not (stat.S_ISFIFO(found.st_mode) or stat.S_ISSOCK(found.st_mode)):
            raise RecordingError(f"{name}: is a terminal or device, not a recording; name a file, or pipe one")
        file = stack.enter_context(_spooled(file, name))
    size = os.fstat(file.fileno()).st_size
    if not size:
        raise RecordingError(f"{name}: empty {'file' if regular else 'pipe'} (0 bytes)")
    key = FileKey(found.st_dev, found.st_ino, size, found.st_mtime_ns, file.fileno()) if regular else None
    return file, key


def _open(path: PathLike) -> BinaryIO:
    if path == STANDARD_INPUT:
        return open(os.dup(sys.__stdin__.fileno() if sys.__stdin__ else 0), "rb", buffering=0)
    return open(path, "rb", buffering=0)


def _spooled(pipe: BinaryIO, name: str) -> BinaryIO:
    """All that a pipe gives, unless it is endless, or does not begin as audio does."""
    spool = tempfile.TemporaryFile()  # noqa: SIM115 - by the caller
    head = b""
    size = 0
    while chunk := pipe.read(1 << 20):
        spool.write(chunk)
        size += len(chunk)
        if len(head) < ENOUGH_TO_KNOW:
            head += chunk
            if len(head) >= ENOUGH_TO_KNOW and not is_known(head):
                break
        if size > MOST_SPOOLED:
            raise RecordingError(f"{name}: more than {MOST_SPOOLED >> 30} GiB from a pipe; write it to a file first")
    spool.flush()
    return spool


@functools.lru_cache(maxsize=1 << 16)
def _layout(file: FileKey) -> Layout:
    return layout_of(file.descriptor)


def reason_of(error: Exception) -> str:
    """Why a file could not be opened or decoded, in one line."""
    if isinstance(error, FileNotFoundError):
        return "there is no such file"
    if isinstance(error, OSError):
        return files.reason_of(error)
    message = " ".join(str(getattr(error, "error_string", error)).split())
    return message.removeprefix("Error : ").rstrip(".")
