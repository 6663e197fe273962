"""Bytes of recordings whose headers are wrong, made from those of right ones, for tests of reading."""

import io
import struct

import numpy as np
import soundfile


def encoded(audio: np.ndarray, rate: int, container: str, **options: object) -> bytes:
    """A file's bytes.

    Args:
        audio: (N,) or (N, channels) in [-1, 1].
        rate: in Hz.
        container: WAV, FLAC, OGG or MP3; "VBR" for an MP3 of variable bitrate.
        options: of ``soundfile.write``.
    """
    stream = io.BytesIO()
    if container == "VBR":
        options = {"bitrate_mode": "VARIABLE", "compression_level": 0.5, **options}
        container = "MP3"
    soundfile.write(stream, audio, rate, format=container, **options)
    return stream.getvalue()


def wav_stating(data: bytes, *, size: int | None = None, rate: int | None = None, channels: int | None = None) -> bytes:
    """A WAV whose header states other bytes of sound, samples a second or channels than there are."""
    made = bytearray(data)
    form = made.index(b"fmt ")
    if size is not None:
        struct.pack_into("<I", made, made.index(b"data") + 4, size)
    if rate is not None:
        struct.pack_into("<I", made, form + 12, rate)
    if channels is not None:
        struct.pack_into("<H", made, form + 10, channels)
    return bytes(made)


def flac_stating(data: bytes, samples: int) -> bytes:
    """A FLAC whose header states this many samples; 0 for a length that is not known, as of one from a pipe."""
    made = bytearray(data)
    struct.pack_into(">Q", made, 18, struct.unpack_from(">Q", made, 18)[0] >> 36 << 36 | samples)
    return bytes(made)


def mp3_stating(data: bytes, frames: int) -> bytes:
    """An MP3 whose Xing header states this many frames."""
    made = bytearray(data)
    struct.pack_into(">I", made, _xing(data) + 8, frames)
    return bytes(made)


def mp3_frames(data: bytes) -> int:
    """What the Xing header of an MP3 states."""
    return int(struct.unpack_from(">I", data, _xing(data) + 8)[0])


def mp3_without_header(data: bytes) -> bytes:
    """An MP3 without the frame that has the Xing header, as of an encoder that wrote to a pipe."""
    sync = data.index(b"\xff", 0)
    following = data.index(data[sync : sync + 2], _xing(data))
    return data[following:]


def _xing(data: bytes) -> int:
    return max(data.find(b"Xing", 0, 300), data.find(b"Info", 0, 300))
