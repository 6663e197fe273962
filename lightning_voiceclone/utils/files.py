"""Files that appear whole or not at all, and Ctrl-C that waits for a piece of work to be whole."""

import contextlib
import errno
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import FrameType

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.durable import exchange, sync, sync_below
from lightning_voiceclone.utils.leftovers import NAME, claimed, set_aside

PathLike = str | os.PathLike[str]
FULL = {errno.ENOSPC, errno.EDQUOT}
UNNAMED = {*FULL, errno.EFBIG, errno.EIO}  # what writing to an open file may raise, which does not name it
ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
REMEDIES = {  # for errors whose own words name none
    errno.EACCES: "permission denied; change that with chmod, or name another path",
    errno.EPERM: "permission denied; name another path",
    errno.EROFS: "the disk is read-only; name another path",
    errno.EISDIR: "it is a folder; name a file",
    errno.ENOTDIR: "a file is there, where a folder is needed; name another path",
    errno.EEXIST: "a file is there, where a folder is needed; name another path",
    errno.ENOENT: "there is no such file or folder; name one that exists",
}
TRIES = 20  # at replacing a folder that other processes replace too


def unwritable_above(path: Path) -> Path | None:
    """The nearest existing path above ``path`` if it prevents writing; None if it is a folder that is writable."""
    above = next(parent for parent in path.absolute().parents if parent.exists())
    return None if above.is_dir() and os.access(above, os.W_OK) else above


def explain_os_error(error: OSError, place: str | os.PathLike[str] | None = None) -> str:
    """What failed, on which path and what to do, in one line; ``place`` where the error does not name any."""
    path = error.filename if error.filename is not None else place
    if error.errno in UNNAMED and error.filename2 is not None:  # of a copy, the file that could not be written
        path = error.filename2
    at = "" if path is None else f"{os.fsdecode(path)}: "
    return at + reason_of(error)


def reason_of(error: OSError) -> str:
    """What failed and what to do, without the path."""
    if error.errno in FULL:
        return "the disk is full; free some space and run it again"
    if error.errno == errno.EFBIG:
        return "it would be larger than a file may be here; raise the limit (ulimit -f) and run it again"
    return REMEDIES.get(error.errno or 0) or error.strerror or " ".join(str(error).split())


def check_no_input(output: PathLike, inputs: Iterable[PathLike], option: str = "--output") -> None:
    """Reject an output that would replace an input, under any name, or a folder that one of them is in.

    Args:
        output: file or folder that will be replaced.
        inputs: files and folders that are read; "-" is standard input. Those that are missing are left out.
        option: that names the output.

    Raises:
        ConfigurationError: names both.
    """
    replaced = _found(output)
    if replaced is None:
        return
    place = os.path.realpath(output)
    for given in inputs:
        found = _found(given)
        if found is None:
            continue
        if os.path.samestat(found, replaced):
            raise ConfigurationError(f"{option} {output} is the same file as the input {given}; name another place")
        if given != "-" and os.path.realpath(given).startswith(place + os.sep):
            raise ConfigurationError(
                f"{option} {output} holds the input {given} and would replace it; name another place"
            )


def _found(path: PathLike) -> os.stat_result | None:
    try:
        return os.fstat(0) if path == "-" else os.stat(path)
    except (OSError, ValueError):
        return None


@contextlib.contextmanager
def named(path: Path) -> Iterator[None]:
    """Let errors of writing name ``path``, where they name none, or a temporary name beside it.

    Raises:
        OSError: with the path.
    """
    try:
        yield
    except OSError as error:
        temporary = error.filename is not None and NAME.fullmatch(Path(os.fsdecode(error.filename)).name)
        if temporary or (error.filename is None and error.errno in UNNAMED):
            raise OSError(error.errno, os.strerror(error.errno or 0), str(path)) from error
        raise


@contextlib.contextmanager
def made_folder(folder: Path) -> Iterator[None]:
    """Make a folder and those above it; where the block fails, take back those that were made and are empty.

    Raises:
        OSError: if it cannot be made.
    """
    missing = [] if folder.is_dir() else [place for place in (folder, *folder.parents) if not place.exists()]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for place in missing:
            with contextlib.suppress(OSError):  # it holds something
                place.rmdir()
        raise


@contextlib.contextmanager
def atomic_file(path: str | os.PathLike[str], *, durable: bool = True) -> Iterator[Path]:
    """Give a temporary path beside ``path``, and move it into place if the block ends without an error.

    The temporary name keeps the suffix, by which libraries choose a format. Parent folders are created. What a killed
    process left there by such a name is removed (see :mod:`~lightning_voiceclone.utils.leftovers`).

    Args:
        path: of the file.
        durable: whether to wait until it is on the disk (some milliseconds): without that, a file that was replaced
            may be empty after a loss of power. Not for many small files, which one call can put on the disk together.

    Raises:
        OSError: as the block raises it (for example a full disk), with the path; nothing is left behind then.
    """
    path = Path(path)
    with named(path), made_folder(path.parent), claimed(path) as temporary:
        yield temporary
        if durable:
            sync(temporary)
        os.replace(temporary, path)
        if durable:
            sync(path.parent)


@contextlib.contextmanager
def atomic_folder(path: str | os.PathLike[str]) -> Iterator[Path]:
    """As :func:`atomic_file` for a folder; an existing folder at ``path`` is replaced, at once where the system can.

    Raises:
        OSError: as the block raises it; ``path`` is then as it was.
    """
    path = Path(path)
    if path.is_symlink():  # what it points to is replaced, not the link
        path = path.resolve()
    with named(path), made_folder(path.parent), claimed(path, folder=True) as temporary:
        yield temporary
        sync_below(temporary)
        _put(temporary, path)
        sync(path.parent)


def _put(folder: Path, path: Path) -> None:
    """Rename a folder to a path; what was there has the folder's name afterwards, or is gone."""
    for last in (*[False] * (TRIES - 1), True):
        try:
            if not os.path.lexists(path):
                folder.rename(path)
            elif not exchange(folder, path):
                with set_aside(path):
                    folder.rename(path)
            return
        except OSError as error:  # another process has put one there, or is about to
            if last or error.errno not in {errno.ENOTEMPTY, errno.EEXIST, errno.ENOENT}:
                raise


@contextlib.contextmanager
def interruption_held() -> Iterator[None]:
    """Let Ctrl-C, SIGTERM and SIGHUP within the block take effect at its end; a second one does at once.

    For calls into libraries that call back into Python: an exception raised in such a callback, or while an object is
    deleted, is printed and lost.
    """
    found = {number: signal.getsignal(number) for number in ENDING}
    handlers = {int(number): handler for number, handler in found.items() if callable(handler)}
    if threading.current_thread() is not threading.main_thread():
        handlers = {}
    came: list[tuple[int, FrameType | None]] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if came:
            handlers[number](number, frame)
        came.append((number, frame))

    for number in handlers:
        signal.signal(number, hold)
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        if came:
            handlers[came[0][0]](*came[0])
