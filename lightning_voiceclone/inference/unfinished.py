"""An output that is written as it is made, beside its place, with a journal from which another process goes on.

Beside ``c.wav`` lie, until it is whole: ``.c.wav.lvc-unfinished`` (samples), ``.c.wav.lvc-journal`` (what it is made
of, how far it is, and the state from which the next block goes on) and ``.c.wav.lvc-lock`` (held by the process that
writes). A block is written and put on the disk before the journal names it, so that nothing is lost or doubled however
the process ends.
"""

import contextlib
import json
import os
import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import soundfile
from safetensors import SafetensorError
from torch import Tensor

from lightning_voiceclone.audio.io import to_16_bits
from lightning_voiceclone.checkpoints.external_weights import weights_sha256
from lightning_voiceclone.core.streaming import State
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.utils.durable import sync
from lightning_voiceclone.utils.files import atomic_file, named
from lightning_voiceclone.utils.locked_output import beside
from lightning_voiceclone.utils.reading import parse_json

MOST_32_BITS = (1 << 32) - (1 << 20)  # bytes that a WAV header can state, less what an estimate may be short of
GREATEST_JOURNAL = 1 << 28  # bytes; that of the model that ships has 2 MB
WIDTH = 2  # bytes a sample
BLOCK = 1 << 20  # samples encoded at once


class Unfinished:
    """Samples that were written so far; made by :func:`unfinished`.

    Args:
        path: of the output.
        identity: what the output is made of.
        header: bytes before the samples.
    """

    def __init__(self, path: Path, identity: Mapping[str, object], header: int) -> None:
        self.path, self._identity, self._header = path, dict(identity), header
        self._partial, self._journal = beside(path, "unfinished"), beside(path, "journal")
        self.samples, self.done = 0, 0
        self.state: State | None = None

    def take_up(self, note: Callable[[str], None]) -> None:
        """Go on where the journal ends, or begin anew, with a note if something else was unfinished."""
        found = self._read_journal()
        if found is None:
            return
        header, state = found
        if header["identity"] != self._identity:
            changed = [name for name, value in self._identity.items() if header["identity"].get(name) != value]
            note(f"{self.path}: an unfinished output of another {changed[0] if changed else 'command'} is dropped, and"
                 " it begins anew")  # fmt: skip
            return
        self.samples, self.done, self.state = int(header["samples"]), int(header["done"]), state

    def _read_journal(self) -> tuple[dict[str, Any], State] | None:
        try:
            if self._journal.stat().st_size > GREATEST_JOURNAL:
                return None
            with safetensors.safe_open(self._journal, "pt") as file:
                header = parse_json((file.metadata() or {})["journal"])
                state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (no mapping)
            written = (self._partial.stat().st_size - self._header) // WIDTH
            whole = header["sha256"] == weights_sha256(state) and isinstance(header["identity"], dict)
            return (header, state) if whole and 0 < int(header["samples"]) <= written else None
        except (OSError, SafetensorError, ValueError, TypeError, KeyError):
            return None

    def append(self, samples: np.ndarray, done: int, state: Mapping[str, Tensor], silence: int = 0) -> None:
        """Write samples (n,) in [-1, 1], and the journal: ``done`` blocks, and the state after them.

        Before the samples come ``silence`` samples of 0, which take no memory.

        Raises:
            OSError: if they cannot be written; what was written before is kept.
        """
        with self._partial.open("r+b" if self._partial.exists() else "wb") as file:
            file.truncate(self._header + WIDTH * self.samples)
            file.truncate(self._header + WIDTH * (self.samples + silence))  # longer: filled with 0
            file.seek(0, os.SEEK_END)
            file.write(to_16_bits(samples).astype("<i2").tobytes())
            file.flush()
            os.fsync(file.fileno())
        written = self.samples + silence + len(samples)
        tensors = {name: value.detach().cpu().contiguous().clone() for name, value in state.items()}
        header = {"identity": self._identity, "samples": written, "done": done, "sha256": weights_sha256(tensors)}
        with atomic_file(self._journal) as temporary:
            temporary.write_bytes(safetensors.torch.save(tensors, {"journal": json.dumps(header)}))
        self.samples, self.done = written, done

    def finish(self, sample_rate: int) -> None:
        """Put the whole output in its place.

        Raises:
            OSError: if it cannot be written.
        """
        if self.path.suffix.lower() == ".flac":
            self._encode(sample_rate)
            self._partial.unlink(missing_ok=True)
        else:
            with self._partial.open("r+b") as file:
                file.write(wav_header(self.samples, sample_rate, self._header))
                file.truncate(self._header + WIDTH * self.samples)
            sync(self._partial)
            os.replace(self._partial, self.path)
            sync(self.path.parent)
        self._journal.unlink(missing_ok=True)

    def interrupted(self, note: Callable[[str], None]) -> None:
        """Keep what the journal names, with a note, or remove what no journal names.

        The journal on the disk decides, not ``samples``: Ctrl-C may come between the two.
        """
        found = self._read_journal()
        if found is not None and found[0]["identity"] == self._identity:
            note(f"{self.path}: {int(found[0]['done'])} blocks are kept; the same command goes on from there")
        else:
            self.drop()

    def drop(self) -> None:
        """Remove what was written."""
        self._partial.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)

    def _encode(self, sample_rate: int) -> None:
        with atomic_file(self.path) as temporary, self._partial.open("rb") as partial:
            partial.seek(self._header)
            try:
                with soundfile.SoundFile(temporary, "w", sample_rate, 1, "PCM_16", format="FLAC") as file:
                    left = self.samples
                    while left:
                        block = np.frombuffer(partial.read(WIDTH * min(BLOCK, left)), "<i2")
                        file.write(block)
                        left -= len(block)
            except soundfile.SoundFileError as error:
                raise LVCError(
                    f"{self.path}: cannot be encoded ({error}), perhaps because the disk is full; free some space and"
                    " run the same command again: what is done so far is kept"
                ) from error


@contextlib.contextmanager
def unfinished(
    path: Path, identity: Mapping[str, object], expected: int, note: Callable[[str], None]
) -> Iterator[Unfinished]:
    """The output as far as it was written before, within :func:`locked_output`.

    Args:
        path: of the output.
        identity: what it is made of, by names for notes; another one begins anew.
        expected: samples, about, of the whole.
        note: called with a line if something else was unfinished.

    Raises:
        OSError: if it cannot be written; it names the output.
    """
    header = 0 if path.suffix.lower() == ".flac" else 44 if expected * WIDTH < MOST_32_BITS else 80
    made = Unfinished(path, identity, header)
    with named(path):
        made.take_up(note)
        try:
            yield made
        except BaseException:
            made.interrupted(note)
            raise


def wav_header(samples: int, sample_rate: int, size: int) -> bytes:
    """Header of a mono 16-bit WAV of ``size`` bytes: 44, or 80 for RF64 (EBU Tech 3306), which states 64 bits."""
    data = WIDTH * samples
    form = struct.pack("<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, WIDTH * sample_rate, WIDTH, 8 * WIDTH)
    if size == 44:
        return struct.pack("<4sI4s", b"RIFF", data + 36, b"WAVE") + form + struct.pack("<4sI", b"data", data)
    long = struct.pack("<4sIQQQI", b"ds64", 28, data + 72, data, samples, 0)
    unknown = 0xFFFFFFFF
    return struct.pack("<4sI4s", b"RF64", unknown, b"WAVE") + long + form + struct.pack("<4sI", b"data", unknown)
