"""Audio streams within a file: built from byte ranges of the file and headers that state the true length."""

import bisect
import io
import itertools
import mmap
import os
import struct
from collections.abc import Sequence
from dataclasses import dataclass

Bytes = bytes | bytearray | mmap.mmap


@dataclass(frozen=True)
class Stream:
    """One stream, as a decoder is to read it.

    Args:
        pieces: in order: bytes that stand for a wrong header, or (begin, end) of the file.
    """

    pieces: tuple[bytes | tuple[int, int], ...]


@dataclass(frozen=True)
class Layout:
    """Layout of a file: what its headers state, compared with the data.

    Args:
        streams: one after another; none where a decoder reads the file right as it is.
        truncated: why sound must be missing at an end, or None.
        damage: what within the file is no sound but should be, or None.
        remark: what was found beside that, such as several recordings in one file, or None.
        exact: of each stream, the last sample that a decoder seeks exactly; none where it does so everywhere.
        lead: samples that must be decoded before one that is sought, for it to be right.
    """

    streams: tuple[Stream, ...] = ()
    truncated: str | None = None
    damage: str | None = None
    remark: str | None = None
    exact: tuple[int, ...] = ()
    lead: int = 0


class View(io.RawIOBase):
    """A stream as a file of its own, which begins and ends with it.

    Args:
        descriptor: of the open file; it is not closed.
        stream: of that file.
    """

    def __init__(self, descriptor: int, stream: Stream) -> None:
        self._descriptor = descriptor
        self._pieces = stream.pieces
        sizes = [len(piece) if isinstance(piece, bytes) else piece[1] - piece[0] for piece in stream.pieces]
        self._starts = [0, *itertools.accumulate(sizes)][:-1]
        self._size = sum(sizes)
        self._position = 0

    def readable(self) -> bool:
        """It can be read."""
        return True

    def seekable(self) -> bool:
        """It can be sought in."""
        return True

    def tell(self) -> int:
        """Bytes before the next reading."""
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """Move to bytes from the beginning, from here or from the end."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(0, base + offset)
        return self._position

    def readinto(self, buffer: object) -> int:
        """Fill a buffer as far as there are bytes."""
        target = memoryview(buffer).cast("B")  # type: ignore[arg-type]
        done = 0
        while done < len(target) and self._position < self._size:
            index = bisect.bisect_right(self._starts, self._position) - 1
            piece, skip = self._pieces[index], self._position - self._starts[index]
            wanted = len(target) - done
            if isinstance(piece, bytes):
                chunk = piece[skip : skip + wanted]
            else:
                chunk = os.pread(self._descriptor, min(wanted, piece[1] - piece[0] - skip), piece[0] + skip)
            if not chunk:  # the file has become shorter
                break
            target[done : done + len(chunk)] = chunk
            done += len(chunk)
            self._position += len(chunk)
        return done


def after_id3(data: Bytes, position: int = 0) -> int:
    """Where ID3v2 tags that begin at a position end; beyond the file's end if one is cut."""
    while data[position : position + 3] == b"ID3" and position + 10 <= len(data):
        a, b, c, d = data[position + 6 : position + 10]
        position += 10 + ((a & 127) << 21 | (b & 127) << 14 | (c & 127) << 7 | (d & 127))
    return position


def joined(streams: Sequence[Stream]) -> str | None:
    """A remark on several recordings in one file."""
    return f"it is {len(streams)} recordings, one after another" if len(streams) > 1 else None


def before_id3v1(data: Bytes) -> int:
    """Where the ID3v1 tag at the file's end begins; the file's end if there is none."""
    return len(data) - 128 if len(data) > 128 and data[len(data) - 128 : len(data) - 125] == b"TAG" else len(data)


def number(data: Bytes, layout: str, position: int) -> int:
    """One integer at a position, by the letters of :mod:`struct`."""
    return int(struct.unpack_from(layout, data, position)[0])
