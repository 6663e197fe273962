"""Streams of an MP3 file: which frames are audio, whatever its Xing header states.

An MP3 has no length of its own. Decoders take it from a Xing header in the first frame, which may be missing, wrong, or
that of another file (two files joined), or guess it from the first frame's bitrate. Here frames are counted.
"""

import functools
import re
import struct
from dataclasses import dataclass, field

from lightning_voiceclone.audio.streams import Bytes, Layout, Stream, after_id3, joined, number

SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
BITRATES_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
BITRATES_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
SYNC = re.compile(rb"\xff[\xe2\xe3\xf2\xf3\xfa\xfb]")  # of layer III
FURTHEST_SYNC = 1 << 16  # bytes before the first frame that may be something else, such as zeros
ENOUGH_FRAMES = 3  # in a row, to be no accident
TAGS = (b"TAG", b"APE", b"LYR", b"ID3")  # what may follow the last frame
FRAMES_FIELD, BYTES_FIELD, ALL_FIELDS = 1, 2, 15  # flags of a Xing header
LAME_TRIM = 141  # bytes from a Xing header with all fields to LAME's delay and padding, 12 bits each
VBRI_OFFSET = 36  # of Fraunhofer's header, which few decoders know
# Samples of the frames before one that may hold bits of it (511 bytes of the smallest): the decoder goes back by less.
LEAD = 16384
LEAST_HEADER = 64  # bytes of a frame that can hold a Xing header with the number of frames


@dataclass(frozen=True)
class _Frame:
    size: int
    side: int  # bytes from the frame's start to a Xing header
    kind: tuple[int, int, bool]  # version, sampling rate, mono: what does not change within a stream


@dataclass
class _Found:
    """Frames of one stream, and what the header before them states."""

    first: int  # where the first frame begins, or that with the header
    frame: _Frame
    header: bool = False
    stated: int | None = None
    frames: int = 0
    ranges: list[tuple[int, int]] = field(default_factory=list)

    def add(self, position: int, size: int) -> None:
        self.frames += 1
        if self.ranges and self.ranges[-1][1] == position:
            self.ranges[-1] = (self.ranges[-1][0], position + size)
        else:
            self.ranges.append((position, position + size))

    @property
    def missing(self) -> str | None:
        # Encoders differ in whether they count the frame that carries the header itself.
        if self.stated is None or self.frames >= self.stated - 1:
            return None
        return f"its header promises {self.stated} frames, {self.frames} are there"


def mpeg_layout(data: Bytes) -> Layout | None:
    """What of the file is sound, and what is missing; None where no layer III frames begin."""
    begin = after_id3(data)
    if begin >= len(data):
        return Layout(truncated="the file ends before its sound begins")
    first = _sync(data, begin, min(begin + FURTHEST_SYNC, len(data)))
    if first is None:
        return None
    found, junk, cut = _streams(data, first)
    sounding = [one for one in found if one.frames]
    if not sounding:
        return Layout(truncated="the file ends before its sound begins")
    missing = next((one.missing for one in sounding if one.missing), "its last frame is cut" if cut else None)
    damage = f"{junk} bytes within it are no MP3" if junk else None
    one = sounding[0]
    if len(sounding) == 1 and one.header and one.stated == one.frames and len(one.ranges) == 1 and first == begin:
        return Layout((), missing, damage, lead=LEAD)
    streams = tuple(_stream(data, one) for one in sounding)
    return Layout(streams, missing, damage, joined(streams), lead=LEAD)


def _streams(data: Bytes, position: int) -> tuple[list[_Found], int, bool]:
    """Streams from a first frame on, bytes between frames that are neither frames nor tags, and whether one is cut."""
    found: list[_Found] = []
    junk, marks = 0, _header_marks(data)
    while position < len(data):
        frame = _frame(data, position)
        if frame is None:
            following = _after_tags(data, position)
            if following == position:
                sync = _sync(data, position, len(data))
                if sync is None:
                    # Tags and zeros follow the last frame of many files; less than a header is a frame's rest.
                    return found, junk, data[position:] == b"\xff" or bool(SYNC.match(data, position))
                junk += sync - position
                following = sync
            position = following
            continue
        if position + frame.size > len(data):
            return found, junk, True
        header, stated = _header_at(data, position, frame, marks) if marks else (False, None)
        if header or not found or found[-1].frame.kind != frame.kind:
            found.append(_Found(position, frame, header, stated))
        if not header:
            found[-1].add(position, frame.size)
        position += frame.size
    return found, junk, position > len(data)


def _frame(data: Bytes, position: int) -> _Frame | None:
    """The layer III frame that begins at a position."""
    if position + 4 > len(data) or data[position] != 0xFF:
        return None
    return _read_header(number(data, ">I", position))


@functools.lru_cache(maxsize=4096)
def _read_header(header: int) -> _Frame | None:
    version, layer, plain = header >> 19 & 3, header >> 17 & 3, header >> 16 & 1
    bitrate, rate, padding, mono = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1, header >> 6 & 3 == 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or bitrate in {0, 15} or rate == 3:
        return None
    first = version == 3  # MPEG-1; 2 and 2.5 have frames of half the samples
    kilobits = (BITRATES_V1 if first else BITRATES_V2)[bitrate]
    size = (144 if first else 72) * kilobits * 1000 // SAMPLE_RATES[version][rate] + padding
    side = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[first, mono]
    return _Frame(size, 4 + side + (0 if plain else 2), (version, rate, mono))


def _sync(data: Bytes, begin: int, end: int) -> int | None:
    """Where frames of one kind follow each other, so many that it is no accident, or up to the file's end."""
    for match in SYNC.finditer(data, begin, end):
        here, count, kind = match.start(), 0, None
        while count < ENOUGH_FRAMES and (frame := _frame(data, here)) and kind in {None, frame.kind}:
            here, count, kind = here + frame.size, count + 1, frame.kind
        if count and (count == ENOUGH_FRAMES or here >= len(data) or data[here : here + 3] in TAGS):
            return match.start()
    return None


def _after_tags(data: Bytes, position: int) -> int:
    """Where a tag that begins at a position ends: ID3v2, or ID3v1, after which another file may have been joined."""
    if data[position : position + 3] == b"TAG":
        return position + 128
    return after_id3(data, position)


def _header_marks(data: Bytes) -> set[int]:
    """Where the names of headers stand, by accident or not."""
    marks = set()
    for name in (b"Xing", b"Info", b"VBRI"):
        position = -1
        while (position := data.find(name, position + 1)) >= 0:
            marks.add(position)
    return marks


def _header_at(data: Bytes, position: int, frame: _Frame, marks: set[int]) -> tuple[bool, int | None]:
    """Whether a frame carries a header instead of sound, and how many frames that states."""
    if position + VBRI_OFFSET in marks and data[position + VBRI_OFFSET : position + VBRI_OFFSET + 4] == b"VBRI":
        return True, number(data, ">I", position + 50) if position + 54 <= len(data) else None
    for start in (position + frame.side, position + frame.side - 2):  # some encoders count the CRC in, some do not
        if start in marks and start + 12 <= len(data):
            flags, frames = struct.unpack_from(">II", data, start + 4)
            return True, frames if flags & FRAMES_FIELD else None
    return False, None


def _stream(data: Bytes, found: _Found) -> Stream:
    """A stream with a header that states the frames that are there."""
    return Stream((_header(data, found), *found.ranges))


def _header(data: Bytes, found: _Found) -> bytes:
    """The file's own Xing header with the true numbers, or a new one without LAME's delay and padding."""
    begin, frame = found.first, found.frame
    size = sum(end - start for start, end in found.ranges)
    if found.header and data[begin + VBRI_OFFSET : begin + VBRI_OFFSET + 4] != b"VBRI":
        made = bytearray(data[begin : begin + frame.size])
        start = max(made.find(b"Xing"), made.find(b"Info"))
        flags = number(made, ">I", start + 4)
        if flags & FRAMES_FIELD:
            struct.pack_into(">I", made, start + 8, found.frames)
            if flags & BYTES_FIELD and start + 16 <= len(made):
                struct.pack_into(">I", made, start + 12, size + len(made))
            if found.missing and flags == ALL_FIELDS and start + LAME_TRIM + 3 <= len(made):
                made[start + LAME_TRIM + 1] &= 0xF0  # nothing of the last frame that is there is padding
                made[start + LAME_TRIM + 2] = 0
            return bytes(made)
    first = bytearray(data[found.ranges[0][0] : found.ranges[0][0] + 4])
    first[1] |= 1  # no CRC
    while (frame_of := _frame(first, 0)) and frame_of.size < LEAST_HEADER:
        first[2] += 16  # the next bitrate
    assert frame_of is not None
    made = bytearray(frame_of.size)
    made[:4] = first
    struct.pack_into(">4sIII", made, frame_of.side, b"Xing", FRAMES_FIELD | BYTES_FIELD, found.frames,
                     size + len(made))  # fmt: skip
    return bytes(made)
