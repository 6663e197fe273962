"""The folder that a preparation writes to: one process at a time, and nothing half-written."""

import contextlib
import errno
import re
from collections.abc import Iterator
from pathlib import Path

from lightning_voiceclone.errors import ConfigurationError, LVCError

LOCK_NAME = ".lock"
UNFINISHED = re.compile(r"\..*-[0-9a-f]{10}-\w{8}\.(flac|npy)")  # as whole_file names what file_name named


@contextlib.contextmanager
def told_in_one_line(output: Path) -> Iterator[None]:
    """Errors of writing as one line.

    Raises:
        LVCError: if the disk is full, or ``output`` cannot be written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno in {errno.ENOSPC, errno.EDQUOT}:
            raise LVCError(
                f"the disk of {output} is full; free some space and run the same command again:"
                " what is done so far is kept"
            ) from error
        raise LVCError(f"cannot write to {error.filename or output}: {error.strerror or error}") from error


@contextlib.contextmanager
def locked(output: Path, wait_seconds: float) -> Iterator[None]:
    """Let no other process prepare ``output`` until the block ends.

    Raises:
        ConfigurationError: if another one does, and has not ended after so many seconds.
    """
    import filelock

    output.mkdir(parents=True, exist_ok=True)
    # The system frees the lock when its process ends, however it ends; the file may stay.
    lock = filelock.FileLock(output / LOCK_NAME, timeout=wait_seconds)
    try:
        lock.acquire()
    except filelock.Timeout:
        raise ConfigurationError(
            f"another process is preparing {output}; wait until it has ended, or choose another output"
        ) from None
    try:
        yield
    finally:
        lock.release()


def remove_unfinished(output: Path) -> None:
    """Temporary files of a process that was killed; the lock says that no other is writing."""
    for folder in ("audio", "features"):
        for path in (output / folder).rglob(".*"):
            if UNFINISHED.fullmatch(path.name):
                path.unlink()
