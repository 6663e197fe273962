"""Write files durably, and exchange two folders atomically, where the file system can."""

import ctypes
import errno
import os
from pathlib import Path

AT_FDCWD = -100  # renameat2: paths are relative to the working directory
RENAME_EXCHANGE = 2
UNABLE = {errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EPERM}  # of a file system or kernel without the call
SYNC_UNKNOWN = {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EBADF, errno.EACCES}


def sync(path: Path) -> None:
    """Wait until a file's content, or a folder's list of names, is on the disk; does nothing where that is unsupported.

    Raises:
        OSError: if the disk fails, or is full.
    """
    try:
        handle = os.open(path, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in SYNC_UNKNOWN:  # Windows opens no folders; some network systems have no fsync of them
            raise


def sync_below(folder: Path) -> None:
    """:func:`sync` for all that is in a folder, and for the folder.

    Raises:
        OSError: if the disk fails, or is full.
    """
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            sync_below(path)
        elif path.is_file():
            sync(path)
    sync(folder)


def sync_file_system(folder: Path) -> None:
    """Wait until all that was written to the folder's file system is on the disk: one call for many small files."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        if (call := _call("syncfs")) is not None:
            call(handle)
        elif hasattr(os, "sync"):
            os.sync()
    finally:
        os.close(handle)


def exchange(one: Path, other: Path) -> bool:
    """Exchange two existing paths atomically; False where the system or the file system cannot.

    Raises:
        OSError: if it can, but not these two.
    """
    if (call := _call("renameat2")) is None:
        return False
    if call(AT_FDCWD, os.fsencode(one), AT_FDCWD, os.fsencode(other), RENAME_EXCHANGE) == 0:
        return True
    number = ctypes.get_errno()
    if number in UNABLE:
        return False
    raise OSError(number, os.strerror(number), str(other))


def _call(name: str) -> "ctypes._NamedFuncPointer | None":
    """A function of the C library; None where it has none of that name."""
    try:
        return getattr(ctypes.CDLL(None, use_errno=True), name, None)
    except (OSError, TypeError):  # Windows
        return None
