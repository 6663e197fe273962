"""Is a recording's file cut short? Told from the container's own bookkeeping, which decoders forgive or ignore."""

import mmap
import struct
from pathlib import Path

UNKNOWN_SIZE = 0xFFFFFFFF  # what programs write that stream a WAV to a pipe and cannot go back to fill it in
LONGEST_OGG_PAGE = 65307
MP3_SAMPLE_RATES = {3: (44100, 48000, 32000), 2: (22050, 24000, 16000), 0: (11025, 12000, 8000)}
MP3_BITRATES_V1 = (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320)
MP3_BITRATES_V2 = (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)


def truncation(path: Path) -> str | None:
    """Why the file must be cut short, or None where nothing says so. The file must not be empty.

    WAV: sizes of RIFF chunks that go beyond the file's end. OGG: no page marked as the last, or one cut in two.
    MP3: fewer frames than the Xing header counts, or a last frame cut in two. FLAC needs decoding, and is not judged.
    """
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        magic = data[:4]
        if magic in {b"RIFF", b"RF64"} and data[8:12] == b"WAVE":
            return _wav(data)
        if magic == b"OggS":
            return _ogg(data)
        if magic[:3] == b"ID3" or (magic[:1] == b"\xff" and _mp3_frame(data, 0)):
            return _mp3(data)
    return None


def _wav(data: mmap.mmap) -> str | None:
    position, long_size = 12, None
    while position + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, position)
        if name == b"ds64" and position + 24 <= len(data):
            long_size = struct.unpack_from("<Q", data, position + 16)[0]
        if name == b"data":
            if size == UNKNOWN_SIZE:
                if long_size is None:
                    return None
                size = long_size
            present = len(data) - position - 8
            return None if size <= present else f"its header promises {size} bytes of sound, {present} are there"
        position += 8 + size + size % 2
    return "the file ends before its sound begins"


def _ogg(data: mmap.mmap) -> str | None:
    page = data.rfind(b"OggS", max(0, len(data) - 2 * LONGEST_OGG_PAGE))
    if page < 0 or page + 27 > len(data):
        return "its last page is cut"
    segments = data[page + 26]
    end = page + 27 + segments + sum(data[page + 27 : page + 27 + segments])
    if end > len(data):
        return "its last page is cut"
    return None if data[page + 5] & 4 else "no page is marked as the last"


def _mp3_frame(data: mmap.mmap, position: int) -> tuple[int, int] | None:
    """(bytes of the frame, bytes from its start to a Xing header), or None where no layer III frame begins."""
    if position + 4 > len(data):
        return None
    header = struct.unpack_from(">I", data, position)[0]
    version, layer = header >> 19 & 3, header >> 17 & 3
    bitrate, rate, padding, mono = header >> 12 & 15, header >> 10 & 3, header >> 9 & 1, header >> 6 & 3 == 3
    if header >> 21 != 0x7FF or version == 1 or layer != 1 or bitrate in {0, 15} or rate == 3:
        return None
    first = version == 3  # MPEG-1; 2 and 2.5 have frames of half the samples
    kilobits = (MP3_BITRATES_V1 if first else MP3_BITRATES_V2)[bitrate]
    size = (144 if first else 72) * kilobits * 1000 // MP3_SAMPLE_RATES[version][rate] + padding
    side_information = {(True, False): 32, (True, True): 17, (False, False): 17, (False, True): 9}[first, mono]
    return size, 4 + side_information


def _mp3(data: mmap.mmap) -> str | None:
    position = 0
    while data[position : position + 3] == b"ID3" and position + 10 <= len(data):
        a, b, c, d = data[position + 6 : position + 10]
        position += 10 + (a << 21 | b << 14 | c << 7 | d)
    frame = _mp3_frame(data, position)
    if frame is None:
        return None if position < len(data) else "the file ends before its sound begins"
    promised = _xing_frames(data, position + frame[1])
    frames = 0
    while frame := _mp3_frame(data, position):
        position += frame[0]
        frames += 1
    if position > len(data):
        return "its last frame is cut"
    at_end = position + 4 > len(data) or data[position : position + 3] in {b"TAG", b"APE", b"LYR", b"ID3"}
    # Encoders differ in whether they count the frame that carries the header itself.
    if promised is not None and at_end and frames < promised:
        return f"its header promises {promised} frames, {frames} are there"
    return None


def _xing_frames(data: mmap.mmap, position: int) -> int | None:
    if data[position : position + 4] not in {b"Xing", b"Info"} or position + 12 > len(data):
        return None
    flags, frames = struct.unpack_from(">II", data, position + 4)
    return frames if flags & 1 else None
