"""The archive that ``torch.save`` writes: where its entries are, and their bytes once their checksums are right."""

import io
import pickle
import struct
import zipfile
import zlib
from dataclasses import dataclass
from typing import BinaryIO

import torch
from torch import Tensor

MOST_ENTRIES = 30_000  # of an archive; a training of two thousand weights has eight thousand
LIST_BYTES = 100  # of the archive's list of entries, for each of them
LIST_END, LONG_LIST_END = struct.Struct("<4s8xIIH"), struct.Struct("<4s36xQ8x")  # of which the second holds long sizes
LOCAL_HEADER = struct.Struct("<4s22xHH")  # of a zip entry: signature, lengths of its name and of its extra field


class ForeignError(pickle.UnpicklingError):
    """The file holds something else than weights and plain values."""


class RefusedError(ValueError):
    """A file that contradicts itself, or its own size."""


@dataclass(frozen=True)
class Entry:
    """Where an entry's bytes are: from ``start``, ``size`` of them, with that checksum."""

    name: str
    start: int
    size: int
    checksum: int


def entries(stream: BinaryIO) -> dict[str, Entry]:
    """Entries by their names within the archive's one folder.

    Only what torch writes is accepted: nothing compressed, no two entries of one name, no overlap.
    """
    length = stream.seek(0, io.SEEK_END)
    stream.seek(0)
    if length == 0:
        raise RefusedError("it is empty (0 bytes); name a .ckpt of lvc fit")
    begins = stream.read(4)
    if begins[:1] == pickle.PROTO:
        raise ForeignError("it is not the archive that torch.save writes since version 1.6, but a pickle")
    if begins != b"PK\x03\x04":
        raise RefusedError("it is not the archive that torch.save writes since version 1.6; name a .ckpt of lvc fit")
    if (listing := _listing_bytes(stream, length)) > MOST_ENTRIES * LIST_BYTES:
        raise RefusedError(f"its list of entries has {listing} bytes, and at most {MOST_ENTRIES * LIST_BYTES} are read")
    try:
        with zipfile.ZipFile(stream) as archive:
            listed, end = archive.infolist(), archive.start_dir
    except zipfile.BadZipFile as error:
        raise RefusedError(str(error)) from error
    if sum(info.file_size for info in listed) > length:
        raise RefusedError("the sizes of its entries add up to more than the file")
    folder = listed[0].filename.partition("/")[0] if listed else ""
    found: dict[str, Entry] = {}
    before = 0
    for info in sorted(listed, key=lambda info: info.header_offset):
        entry = _entry(stream, info, folder)
        if info.header_offset < before or entry.start + entry.size > end:
            raise RefusedError(f"its entry {info.filename!r} lies over another")
        if entry.name in found:
            raise RefusedError(f"it has two entries {info.filename!r}")
        before = entry.start + entry.size
        found[entry.name] = entry
    return found


def _listing_bytes(stream: BinaryIO, length: int) -> int:
    """Stated length of the list of entries at the file's end, checked before it is read."""
    tail_length = min(length, LIST_END.size + 20 + LONG_LIST_END.size)
    stream.seek(length - tail_length)
    tail = stream.read(tail_length)
    signature, size, _, comment = LIST_END.unpack(tail[-LIST_END.size :])
    if signature != b"PK\x05\x06" or comment:
        raise RefusedError("it has no list of entries at its end")
    if len(tail) == LIST_END.size + 20 + LONG_LIST_END.size and tail.startswith(b"PK\x06\x06"):
        size = max(size % 0xFFFFFFFF, LONG_LIST_END.unpack(tail[: LONG_LIST_END.size])[1])
    stream.seek(0)
    return int(size)


def _entry(stream: BinaryIO, info: zipfile.ZipInfo, folder: str) -> Entry:
    outer, _, name = info.filename.partition("/")
    if outer != folder or not name or ".." in name.split("/") or info.orig_filename != info.filename:
        raise RefusedError(f"its entry {info.filename!r} has another name than torch gives")
    if info.compress_type != zipfile.ZIP_STORED or info.compress_size != info.file_size:
        raise RefusedError(f"its entry {info.filename!r} is compressed, which torch never does")
    if info.flag_bits & 1:
        raise RefusedError(f"its entry {info.filename!r} is encrypted")
    stream.seek(info.header_offset)
    header = stream.read(LOCAL_HEADER.size)
    signature, name_length, extra_length = LOCAL_HEADER.unpack(header)
    if signature != b"PK\x03\x04":
        raise RefusedError(f"its entry {info.filename!r} is not at its place in the list of entries")
    return Entry(name, info.header_offset + LOCAL_HEADER.size + name_length + extra_length, info.file_size, info.CRC)


def entry_tensor(stream: BinaryIO, entry: Entry) -> Tensor:
    """The bytes of an entry, after its checksum is verified."""
    made = torch.empty(entry.size, dtype=torch.uint8)
    view = made.numpy().data
    stream.seek(entry.start)
    if stream.readinto(view) != entry.size:  # type: ignore[attr-defined]
        raise RefusedError(f"its entry {entry.name!r} is cut short")
    if zlib.crc32(view) != entry.checksum:
        raise RefusedError(f"the bytes of its entry {entry.name!r} do not have their checksum; copy the file anew")
    return made
