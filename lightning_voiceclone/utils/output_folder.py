"""Output folders of preparations and evaluations: one process at a time writes to one, nothing is left half-written."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.utils.files import FULL, explain_os_error, made_folder

LOCK_NAME = ".lock"
MARK_NAME = ".lvc-output"


def is_output(folder: Path) -> bool:
    """Whether a preparation, an evaluation or a prediction wrote the folder: it is then not a speaker's folder."""
    return os.path.exists(folder / LOCK_NAME) or os.path.exists(folder / MARK_NAME)


def mark_output(folder: Path) -> None:
    """Mark a folder as output for :func:`is_output`.

    Raises:
        OSError: if it cannot be written to.
    """
    folder.mkdir(parents=True, exist_ok=True)
    (folder / MARK_NAME).touch()


@contextlib.contextmanager
def os_errors_in_one_line(output: Path) -> Iterator[None]:
    """Turn errors of writing into errors of one line.

    Raises:
        LVCError: if the disk is full, or ``output`` cannot be written to.
    """
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            raise LVCError(
                f"the disk of {output} is full; free some space and run the same command again:"
                " what is done so far is kept"
            ) from error
        raise LVCError(f"cannot write to {explain_os_error(error, output)}") from error


@contextlib.contextmanager
def locked(output: Path, wait_seconds: float) -> Iterator[None]:
    """Let no other process write to ``output`` until the block ends; a folder that stays empty is removed.

    Raises:
        ConfigurationError: if another one does, and has not ended after so many seconds.
    """
    import filelock

    # The system frees the lock when its process ends, however it ends; the file may stay.
    lock = filelock.FileLock(output / LOCK_NAME, timeout=wait_seconds)
    with made_folder(output):
        try:
            while not lock.is_locked:
                lock.acquire()
                if not (output / LOCK_NAME).exists():  # another process failed meanwhile, and took the folder back
                    lock.release()
                    output.mkdir(parents=True, exist_ok=True)
        except filelock.Timeout:
            raise ConfigurationError(
                f"another process is preparing {output}; wait until it has ended, or choose another output"
            ) from None
        try:
            yield
        except BaseException:
            if [path.name for path in output.iterdir()] == [LOCK_NAME]:
                (output / LOCK_NAME).unlink()
            raise
        finally:
            lock.release()
