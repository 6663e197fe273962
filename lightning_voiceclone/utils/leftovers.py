"""Names of files that are being written, held by a lock, and what becomes of those whose process was killed.

A name holds the package's mark, the machine and the file's name: ``.c.lvc-part-3f2a1c-9b0d8e7f6a5c.wav``.
The process that writes holds an advisory lock (flock) on it, which the system frees when the process ends, however it
ends. So the next writer in that folder can detect which of them nobody writes any more, and removes only those.
Where there are no locks (some network file systems, Windows) nothing is removed.
"""

import contextlib
import hashlib
import os
import platform
import re
import secrets
import shutil
import stat
import time
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]

HOST = hashlib.sha256(platform.node().encode()).hexdigest()[:6]
NAME = re.compile(r"\.(?P<name>.+)\.lvc-(?P<kind>part|old)-(?P<host>[0-9a-f]{6})-[0-9a-f]{12}(\.[^.]*)?", re.DOTALL)
LONGEST = 255  # bytes of a name
DAY = 86400.0  # locks of another machine may not be seen: what it writes is left alone for so many seconds
WAIT_SECONDS = 2.0  # for another process that is between the two renames of a replacement
_swept: set[tuple[int, str]] = set()  # process and folder


def _name(path: Path, kind: str, suffix: str = "") -> Path:
    mark = f".lvc-{kind}-{HOST}-{secrets.token_hex(6)}{suffix}"
    stem = path.name.removesuffix(suffix) if suffix else path.name
    available = LONGEST - 1 - len(os.fsencode(mark))
    if kind == "part":  # the name is for people; of a replaced folder it is how that is found again
        stem = os.fsencode(stem)[:available].decode(errors="ignore")
    return path.with_name(f".{stem}{mark}")


@contextlib.contextmanager
def claimed(path: Path, *, folder: bool = False) -> Iterator[Path]:
    """A new file or folder beside ``path``, with its suffix, that no other process removes; gone after the block.

    What killed processes left in that folder is removed before, once in each process.

    Raises:
        OSError: if nothing can be written there.
    """
    _sweep_once(path.parent)
    temporary, handle = _claim(path, folder)
    try:
        yield temporary
    finally:
        if temporary.is_dir() and not temporary.is_symlink():
            shutil.rmtree(temporary, ignore_errors=True)
        else:
            temporary.unlink(missing_ok=True)
        if handle is not None:
            os.close(handle)


def _claim(path: Path, folder: bool) -> tuple[Path, int | None]:
    while True:
        temporary = _name(path, "part", "" if folder else path.suffix)
        if folder:
            temporary.mkdir()
        else:
            os.close(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o666))
        if fcntl is None:
            return temporary, None
        with contextlib.suppress(FileNotFoundError):  # a sweep took it before it was held: make another
            handle = _opened(temporary, folder)
            if _held(handle) is not False and _is(temporary, handle):
                return temporary, handle
            os.close(handle)


def _opened(path: Path, folder: bool) -> int:
    return os.open(path, os.O_RDONLY if folder else os.O_RDWR)  # some file systems lock only what may be written


def _held(handle: int, *, wait: bool = False) -> bool | None:
    """Take the lock: True if it is ours now, False if another process has it, None where there are none."""
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _is(path: Path, handle: int) -> bool:
    """Whether the path is still that of the open file."""
    try:
        return os.path.samestat(path.lstat(), os.fstat(handle))
    except FileNotFoundError:
        return False


def _sweep_once(folder: Path) -> None:
    key = (os.getpid(), os.path.abspath(folder))
    if key not in _swept:
        _swept.add(key)
        sweep(folder)


def sweep(folder: Path, *, below: bool = False) -> None:
    """Remove what killed processes left half-written in a folder, or at any depth ``below`` it.

    A folder that was being replaced goes back to its place, if nothing else is there.
    """
    with contextlib.suppress(OSError), os.scandir(folder) as entries:
        for entry in entries:
            if match := NAME.fullmatch(entry.name):
                with contextlib.suppress(OSError):
                    _remove(Path(entry.path), match)
            elif below and entry.is_dir(follow_symlinks=False):
                sweep(Path(entry.path), below=True)


def _remove(path: Path, match: re.Match[str]) -> None:
    found = path.lstat()
    folder = stat.S_ISDIR(found.st_mode)
    if fcntl is None or not (folder or stat.S_ISREG(found.st_mode)):
        return
    if match["host"] != HOST and time.time() - found.st_mtime < DAY:
        return
    handle = _opened(path, folder)
    try:
        if not (_held(handle) and _is(path, handle)):
            return
        if match["kind"] == "old" and not os.path.lexists(place := path.with_name(match["name"])):
            path.rename(place)
        elif folder:
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink()
    finally:
        os.close(handle)


@contextlib.contextmanager
def set_aside(path: Path) -> Iterator[None]:
    """Rename a folder, so that another can take its place in the block; put it back if none did, else remove it.

    For systems that cannot exchange two folders at once. A process killed in the block leaves the folder beside its
    place, where :func:`find_again` finds it.

    Raises:
        FileNotFoundError: if another process has just set it aside.
    """
    old = _name(path, "old")
    handle = None if fcntl is None else _opened(path, folder=True)
    try:
        if handle is not None:
            _held(handle, wait=True)
        path.rename(old)
        try:
            yield
        finally:
            if not os.path.lexists(path):
                old.rename(path)
            shutil.rmtree(old, ignore_errors=True)
    finally:
        if handle is not None:
            os.close(handle)


def find_again(path: Path) -> Path:
    """The path; where nothing is there, but a process ended while it replaced a folder there, that folder again."""
    deadline = time.monotonic() + WAIT_SECONDS
    while not os.path.lexists(path):
        left = _set_aside_of(path)
        if not left:
            break
        sweep(path.parent)
        if time.monotonic() > deadline:  # it may not be renamed here: as it is
            return left[-1]
        time.sleep(0.01)
    return path


def _set_aside_of(path: Path) -> list[Path]:
    """Folders that were at the path, the one of the last replacement last."""
    found = []
    with contextlib.suppress(OSError):
        for other in path.absolute().parent.iterdir():
            match = NAME.fullmatch(other.name)
            if match and match["kind"] == "old" and match["name"] == path.name:
                found.append(other)
    return sorted(found, key=lambda other: other.lstat().st_mtime)
