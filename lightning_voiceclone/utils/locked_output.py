"""Output files that one process at a time may write, and the hidden files beside them."""

import contextlib
import hashlib
import os
from collections.abc import Iterator
from pathlib import Path

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.files import made_folder

LONGEST_NAME = 255 - len(".") - len(".lvc-unfinished")  # bytes


@contextlib.contextmanager
def locked_output(path: Path) -> Iterator[None]:
    """Let no other process write this output after this lock, until the block ends.

    Raises:
        ConfigurationError: if another one does.
    """
    import filelock

    place = beside(path, "lock")
    lock = filelock.FileLock(place, timeout=0)
    with made_folder(path.parent):
        try:
            while not lock.is_locked:
                lock.acquire()
                if not place.exists():  # the process that held it removed it meanwhile
                    lock.release()
        except filelock.Timeout:
            raise ConfigurationError(
                f"{path}: another process is writing it; wait until that has ended, or name another output"
            ) from None
        try:
            yield
        finally:
            place.unlink(missing_ok=True)
            lock.release()


def beside(path: Path, what: str) -> Path:
    """The hidden file for that purpose beside an output."""
    name = os.fsencode(path.name)
    short = path.name if len(name) <= LONGEST_NAME else hashlib.sha256(name).hexdigest()
    return path.with_name(f".{short}.lvc-{what}")
