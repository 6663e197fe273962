"""Find the audio in a file by its container's headers, which decoders trust or ignore."""

import itertools
import mmap
import struct
from dataclasses import dataclass, field

from lightning_voiceclone.audio.flac import flac_layout
from lightning_voiceclone.audio.mpeg import mpeg_layout
from lightning_voiceclone.audio.streams import Bytes, Layout, Stream, joined, number

UNKNOWN_SIZE = 0xFFFFFFFF  # what programs write that stream a WAV to a pipe and cannot go back to fill it in
# Other kinds that decoders know by their first bytes, so that they are no MP3 after some junk.
OTHER_KINDS = {b"FORM", b".snd", b"caff", b"riff", b"RIFX", b"RIFF", b"RF64"}
PAGE_HEADER = 27  # bytes of an OGG page before its table of segments
MOST_JUNK = 4096  # bytes after a WAV file's chunks that are taken for no sound: an eighth of a second of 16 bits
NO_GRANULE = (1 << 64) - 1  # of a page on which no packet ends
FIRST_PAGE, LAST_PAGE = 2, 4  # flags of a page


def layout_of(descriptor: int) -> Layout:
    """Compare what an open file's headers state with what is there. The file must not be empty.

    WAV: sizes of chunks beyond the file's end, or less than the sound that follows. OGG: streams one after another, a
    last page that is not marked or cut. MP3: frames, counted. FLAC: the last frame's number. Others are not checked.
    """
    with mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ) as data:
        return _layout(data) or Layout()


def is_known(head: bytes) -> bool:
    """Whether a file that begins so may be audio."""
    return head[:4] in OTHER_KINDS or _layout(head) is not None


def _layout(data: Bytes) -> Layout | None:
    magic = bytes(data[:4])
    if magic in {b"RIFF", b"RF64"} and data[8:12] == b"WAVE":
        return _wav(data)
    if magic == b"OggS":
        return _ogg(data)
    if magic in OTHER_KINDS:
        return None
    return flac_layout(data) or mpeg_layout(data)


def _wav(data: Bytes) -> Layout:
    streams: list[Stream] = []
    begin, truncated, plain = 0, None, True
    while True:
        stream, end, reason, right = _one_wav(data, begin)
        truncated = truncated or reason
        if stream is not None:
            streams.append(stream)
        plain = plain and right
        if end is None:
            break
        begin, plain = end, False
    if plain:
        return Layout((), truncated)
    remark = joined(streams) or "its header promises less sound than is there: all of it is read"
    return Layout(tuple(streams), truncated, remark=remark)


def _one_wav(data: Bytes, begin: int) -> tuple[Stream | None, int | None, str | None, bool]:
    """Stream of the WAV file at ``begin``; start of a joined one; what is missing; whether decoders read it right."""
    position, long_size = begin + 12, None
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        if name == b"ds64" and position + 24 <= len(data):
            long_size = number(data, "<Q", position + 16)
        if name != b"data":
            position += 8 + size + size % 2
            continue
        sound = position + 8
        present = len(data) - sound
        if size == UNKNOWN_SIZE:
            if long_size is None:
                return Stream(((begin, len(data)),)), None, None, True
            size = long_size
        if size > present:
            return (Stream(((begin, len(data)),)), None,
                    f"its header promises {size} bytes of sound, {present} are there", True)  # fmt: skip
        end, following = _after_sound(data, sound + size + size % 2)
        if end is None:  # what follows is no chunks: the header was written before the sound ended
            head = bytes(data[begin : position + 4]) + struct.pack("<I", UNKNOWN_SIZE)
            return Stream((head, (sound, len(data)))), None, None, False
        return Stream(((begin, end),)), following, None, True
    return None, None, "the file ends before its sound begins", True


def _after_sound(data: Bytes, position: int) -> tuple[int | None, int | None]:
    """Where a WAV file's chunks end, and where another file joined to it begins; (None, …) if these are no chunks."""
    least = 8  # bytes of a chunk's header; less is no sound either
    while position + least <= len(data):
        if data[position : position + 4] == b"RIFF" and data[position + 8 : position + 12] == b"WAVE":
            return position, position
        name, size = struct.unpack_from("<4sI", data, position)
        if not all(32 <= byte < 127 for byte in name) or position + least + size > len(data):
            rest = data[position : position + MOST_JUNK + 1]
            return (len(data), None) if len(rest) <= MOST_JUNK or not any(rest) else (None, None)
        position += least + size + size % 2
    return len(data), None


@dataclass
class _Chain:
    """Streams of an OGG file, as its pages are walked through."""

    starts: list[int] = field(default_factory=lambda: [0])
    exact: list[int] = field(default_factory=list)
    truncated: str | None = None
    before_last = 0  # samples up to the end of the page before this one
    last = 0
    began = False  # whether a page of this stream has come that is not its first
    ended = False

    def add(self, position: int, flags: int, granule: int) -> None:
        first = bool(flags & FIRST_PAGE)
        if first and self.began:
            self.close()
            self.starts.append(position)
        self.began, self.ended = not first, bool(flags & LAST_PAGE)
        if granule != NO_GRANULE:
            self.before_last, self.last = self.last, granule

    def close(self) -> None:
        if not self.ended and self.truncated is None:
            self.truncated = "no page is marked as the last"
        # libsndfile counts back from a page's end: on the last one, which is cut to the length, it lands beside.
        self.exact.append(max(0, self.before_last - 1))
        self.before_last = self.last = 0


def _ogg(data: Bytes) -> Layout:
    chain, position, lost = _Chain(), 0, 0
    while position < len(data):
        if data[position : position + 4] != b"OggS":
            following = data.find(b"OggS", position)
            if following < 0:  # for example a tag
                break
            lost += following - position
            position = following
            continue
        segments = data[position + 26] if position + PAGE_HEADER <= len(data) else 0
        end = position + PAGE_HEADER + segments
        end += sum(data[position + PAGE_HEADER : end])
        if end > len(data):
            chain.truncated = "its last page is cut"
            break
        chain.add(position, data[position + 5], number(data, "<Q", position + 6))
        position = end
    chain.close()
    damage = f"{lost} bytes within it are no OGG pages" if lost else None
    streams = tuple(Stream((bounds,)) for bounds in itertools.pairwise([*chain.starts, len(data)]))
    if len(streams) == 1:
        return Layout((), chain.truncated, damage, exact=tuple(chain.exact))
    return Layout(streams, chain.truncated, damage, joined(streams), tuple(chain.exact))
