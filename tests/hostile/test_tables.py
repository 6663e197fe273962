"""Altered files of others: one line each, within bounds of time and memory, and nothing else."""

import contextlib
import resource
import sys
import time
from pathlib import Path

import pytest
from forks import forked
from hostile.tables import WAS_HERE, altered_tables

from lightning_voiceclone.errors import LVCError

LEAST, SECONDS, BYTES = 120, 10.0, 1 << 30


@contextlib.contextmanager
def limited_memory(room):
    """Let the process take no more than ``room`` beyond what it has, where the system can say what that is."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with contextlib.suppress(OSError):
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        resource.setrlimit(resource.RLIMIT_AS, (pages * resource.getpagesize() + room, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)


def peak():
    """Most bytes that the process has ever had in memory."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit


@pytest.mark.slow
@forked
def test_altered_files_are_refused_in_one_line(tmp_path):
    faults, names = [], set()
    for altered in altered_tables(tmp_path, seed=0):
        assert altered.name not in names or altered.name.startswith("features: cut")
        names.add(altered.name)
        begun, before = time.monotonic(), peak()
        try:
            with limited_memory(4 * BYTES):
                altered.read()
            if not altered.tolerated:
                faults.append(f"{altered.name}: read without a word")
        except LVCError as error:
            line = str(error)
            if "\n" in line or not line.isprintable() or len(line) > 1500:
                faults.append(f"{altered.name}: not one line: {line[:300]!r}")
            if altered.path.name not in line and str(altered.path.parent) not in line:
                faults.append(f"{altered.name}: the line does not name the file: {line[:300]}")
        except Exception as error:
            faults.append(f"{altered.name}: {type(error).__name__}: {str(error)[:200]}")
        if time.monotonic() - begun > SECONDS:
            faults.append(f"{altered.name}: took {time.monotonic() - begun:.1f} s")
        if peak() - before > BYTES:
            faults.append(f"{altered.name}: took {(peak() - before) / 1e6:.0f} MB")
    assert not faults, "\n".join(faults)
    assert len(names) >= LEAST
    assert not WAS_HERE.exists()
