"""Streams of a FLAC file: how many samples there are, from its last frame, whatever its header states.

A header states no length (0) if the encoder wrote to a pipe. The last frame has its own number, and checksums that
distinguish it from other bytes that look like a frame, so that nothing needs decoding.
"""

import struct
from dataclasses import dataclass

from lightning_voiceclone.audio.streams import Bytes, Layout, Stream, after_id3, before_id3v1, joined, number

STREAMINFO = b"\0\0\0\x22"  # header of the first metadata block, of 34 bytes, where others follow
LAST_STREAMINFO = b"\x80\0\0\x22"
AUDIO_OFFSET = 42  # bytes of marker and STREAMINFO
LARGEST_HEADER = 16
TOTAL_BITS = 36
MOST_CANDIDATES, ACCIDENTS = 32, 3  # frames looked at from the end, and how many of those in a row may be none


@dataclass(frozen=True)
class _Frame:
    position: int
    start: int  # of its samples
    samples: int


def _tables() -> tuple[list[int], list[int]]:
    crc8, crc16 = [], []
    for byte in range(256):
        low, high = byte, byte << 8
        for _ in range(8):
            low = (low << 1 ^ (0x07 if low & 0x80 else 0)) & 0xFF
            high = (high << 1 ^ (0x8005 if high & 0x8000 else 0)) & 0xFFFF
        crc8.append(low)
        crc16.append(high)
    return crc8, crc16


CRC8, CRC16 = _tables()


def flac_layout(data: Bytes) -> Layout | None:
    """Audio streams of the file, and what is missing; None where no FLAC stream begins."""
    begin = after_id3(data)
    if data[begin : begin + 4] != b"fLaC":
        return None
    starts = [begin]
    while (following := _next_stream(data, starts[-1])) is not None:
        starts.append(following)
    ends = [*starts[1:], before_id3v1(data)]
    streams, reasons, plain = [], [], True
    for start, end in zip(starts, ends, strict=True):
        stream, reason = _one(data, start, end)
        if stream is None:
            stream = Stream(((start, end),))
        else:
            plain = False
        streams.append(stream)
        reasons += [reason] if reason else []
    truncated = reasons[0] if reasons else None
    if plain and len(streams) == 1:
        return Layout((), truncated)
    return Layout(tuple(streams), truncated, remark=joined(streams))


def _next_stream(data: Bytes, start: int) -> int | None:
    """Where another file has been joined to the one that begins at ``start``."""
    position = start
    while (position := data.find(b"fLaC", position + 4)) >= 0:
        if data[position + 4 : position + 8] in {STREAMINFO, LAST_STREAMINFO} and _metadata_end(data, position):
            return position if (_metadata_end(data, start) or position) <= position else None
    return None


def _metadata_end(data: Bytes, start: int) -> int | None:
    """Where the first frame begins, or None if the file ends before."""
    position = start + 4
    while position + 4 <= len(data):
        header = number(data, ">I", position)
        position += 4 + (header & 0xFFFFFF)
        if header >> 31:
            return position if position <= len(data) else None
    return None


def _one(data: Bytes, start: int, end: int) -> tuple[Stream | None, str | None]:
    """A stream with its true length, or None if its header is right; and why it is truncated, or None."""
    audio = _metadata_end(data, start)
    if audio is None or data[start + 4] & 127 or audio >= end:
        return None, "the file ends before its sound begins"
    stated = number(data, ">Q", start + 18) & ((1 << TOTAL_BITS) - 1)
    block = number(data, ">H", start + 10)
    last = _last_frame(data, audio, end, block)
    if last is not None and last.start + last.samples == stated:
        return None, None
    total, whole = _samples(data, audio, end, block)
    if not total:
        return None, "it has no whole frame"
    if total == stated:
        return None, None if whole else f"its last frame is cut, after {total} samples"
    reason = None
    if not whole or 0 < total < stated:
        promised = f"its header promises {stated} samples" if stated else "its last frame is cut"
        reason = f"{promised}, {total} are there"
    header = bytearray(data[start : start + AUDIO_OFFSET])
    fields = number(header, ">Q", 18) >> TOTAL_BITS << TOTAL_BITS
    struct.pack_into(">Q", header, 18, fields | total)
    return Stream((bytes(header), (start + AUDIO_OFFSET, end))), reason


def _samples(data: Bytes, audio: int, end: int, block: int) -> tuple[int, bool]:
    """Samples up to the end of the last whole frame, or 0 if none is found, and whether nothing follows it."""
    bounds = [end]  # where the last whole frame may end; that a header's checksum is right can be an accident
    while len(bounds) <= MOST_CANDIDATES and (frame := _last_frame(data, audio, bounds[-1], block)) is not None:
        for bound in bounds[-ACCIDENTS:]:
            if _crc16(bytes(data[frame.position : bound])) == 0:
                return frame.start + frame.samples, bound == end
        bounds.append(frame.position)
    return 0, False


def _last_frame(data: Bytes, audio: int, end: int, block: int) -> _Frame | None:
    """The last place before ``end`` where a frame's header has the right checksum."""
    position = end
    while (position := data.rfind(data[audio : audio + 2], audio, position)) >= 0:
        if frame := _frame(data, position, end, block):
            return frame
    return None


def _frame(data: Bytes, position: int, end: int, block: int) -> _Frame | None:
    head = bytes(data[position : min(position + LARGEST_HEADER, end)])
    if len(head) < 6 or head[1] not in {0xF8, 0xF9} or head[3] & 1 or head[2] >> 4 == 0 or head[2] & 15 == 15:
        return None
    coded = 8 - (head[4] ^ 0xFF).bit_length()  # as UTF-8 is: leading ones are the number of bytes
    size = max(coded, 1)
    code, rate = head[2] >> 4, head[2] & 15
    length = 4 + size + {6: 1, 7: 2}.get(code, 0) + {12: 1, 13: 2, 14: 2}.get(rate, 0)
    if coded in {1, 8} or length >= len(head) or _crc8(head[:length]) != head[length]:
        return None
    value = head[4] & (0x7F >> coded)
    for byte in head[5 : 4 + size]:
        value = value << 6 | (byte & 0x3F)
    if code == 1:
        samples = 192
    elif code <= 5:
        samples = 576 << (code - 2)
    elif code <= 7:
        samples = int.from_bytes(head[4 + size : 4 + size + code - 5], "big") + 1
    else:
        samples = 256 << (code - 8)
    return _Frame(position, value if head[1] & 1 else value * block, samples)


def _crc8(data: bytes) -> int:
    value = 0
    for byte in data:
        value = CRC8[value ^ byte]
    return value


def _crc16(data: bytes) -> int:
    """Checksum, which is 0 of a whole frame with its own."""
    value = 0
    for byte in data:
        value = (value << 8 & 0xFF00) ^ CRC16[value >> 8 ^ byte]
    return value
