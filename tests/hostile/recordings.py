"""Recordings with faults, made from good ones: headers that lie, cut and joined files, bytes that are not audio."""

import io
import random
import struct
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import soundfile

from lightning_voiceclone.testing.signals import speech_like

GOOD = (("wav", "PCM_16"), ("wav", "PCM_24"), ("wav", "FLOAT"), ("flac", "PCM_16"), ("ogg", "VORBIS"), ("mp3", None))
EXTREMES = (0, 1, 2, 255, 1000, 65535, 2**31 - 1, 2**31, 2**32 - 1)


def encoded(suffix: str, subtype: str | None, seconds: float = 1.2, rate: int = 16000) -> bytes:
    """Synthetic speech in a container."""
    out = io.BytesIO()
    soundfile.write(out, speech_like(seconds, sample_rate=rate).audio, rate, subtype, format=suffix.upper())
    return out.getvalue()


def altered_recordings(folder: Path, seed: int) -> Iterator[tuple[str, Path]]:
    """Names and paths of altered recordings, written into ``folder``; some 130, other ones for another seed."""
    draw = random.Random(seed)
    for suffix, subtype in GOOD:
        good = encoded(suffix, subtype)
        for name, data in _altered(good, suffix, draw):
            path = folder / f"{name}-{subtype}.{suffix}".lower()
            path.write_bytes(data)
            yield path.name, path
    for name, suffix, data in _strange(draw):
        path = folder / f"{name}.{suffix}"
        path.write_bytes(data)
        yield path.name, path


def _altered(good: bytes, suffix: str, draw: random.Random) -> Iterator[tuple[str, bytes]]:
    for number in range(4):
        yield f"cut{number}", good[: draw.randrange(len(good))]
    for number in range(5):
        damaged = bytearray(good)
        for _ in range(draw.choice((1, 10, 200))):
            damaged[draw.randrange(len(damaged))] = draw.randrange(256)
        yield f"flips{number}", bytes(damaged)
    for number in range(4):  # what a header states
        damaged = bytearray(good)
        at = draw.randrange(min(64, len(good) - 4))
        damaged[at : at + 4] = struct.pack(draw.choice("<>") + "I", draw.choice(EXTREMES))
        yield f"header{number}", bytes(damaged)
    begin = draw.randrange(len(good) // 2)
    yield "hole", good[:begin] + bytes(len(good) // 4) + good[begin + len(good) // 4 :]
    yield "twice", good + good
    yield "rest", good + draw.randbytes(5000)
    if suffix == "wav":
        yield from _wav_headers(good)
    if suffix == "flac":
        yield from _flac_headers(good)


def _wav_headers(good: bytes) -> Iterator[tuple[str, bytes]]:
    at = good.index(b"fmt ") + 8
    for name, offset, kind, values in (
        ("channels", 2, "<H", (0, 1000, 65535)), ("rate", 4, "<I", (0, 1, 3999, 768001, 2**32 - 1)),
        ("align", 12, "<H", (0, 65535)), ("bits", 14, "<H", (0, 7, 64)), ("format", 0, "<H", (0, 6, 65535)),
    ):  # fmt: skip
        for value in values:
            damaged = bytearray(good)
            struct.pack_into(kind, damaged, at + offset, value)
            yield f"{name}{value}", bytes(damaged)
    data = good.index(b"data") + 4
    for value in (0, 1, 2**31, 2**32 - 1):
        damaged = bytearray(good)
        struct.pack_into("<I", damaged, data, value)
        yield f"length{value}", bytes(damaged)


def _flac_headers(good: bytes) -> Iterator[tuple[str, bytes]]:
    for samples in (0, 1, 2**36 - 1):  # 36 bits of STREAMINFO: 0 stands for an unknown length
        damaged = bytearray(good)
        damaged[21] = damaged[21] & 0xF0 | samples >> 32
        damaged[22:26] = struct.pack(">I", samples & 0xFFFFFFFF)
        yield f"samples{samples}", bytes(damaged)


def _strange(draw: random.Random) -> Iterator[tuple[str, str, bytes]]:
    for suffix in ("wav", "flac", "ogg", "mp3", "raw", ""):
        yield "empty", suffix, b""
        yield "noise", suffix, draw.randbytes(20000)
    yield "text", "wav", b"this is no recording\n" * 100
    yield "id3", "mp3", b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + encoded("mp3", None)
    yield "riff-alone", "wav", b"RIFF\xff\xff\xff\xffWAVE"
    yield "many-chunks", "wav", b"RIFF\xff\xff\xff\xffWAVE" + b"junk\x00\x00\x00\x00" * 50000
    for name, value in (("nan", np.nan), ("infinite", np.inf), ("huge", 1e38)):
        audio = speech_like(1.2).audio
        audio[5000:5100] = value
        out = io.BytesIO()
        soundfile.write(out, audio, 16000, "FLOAT", format="WAV")
        yield name, "wav", out.getvalue()
    out = io.BytesIO()
    soundfile.write(out, np.zeros((2000, 200), np.float32), 16000, "PCM_16", format="WAV")
    yield "channels200", "wav", out.getvalue()
