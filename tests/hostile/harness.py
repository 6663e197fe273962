"""Run a reader on an altered file in a process of its own, and see what it does to the machine.

The process is a fork of one that has imported everything, so that an attempt costs milliseconds, not an import. POSIX
only.
"""

import os
import re
import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import NoReturn

import torch

from lightning_voiceclone.cli.main import main
from lightning_voiceclone.errors import LVCError

SECONDS = 10.0
MEGABYTES = 1024.0
CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@dataclass(frozen=True)
class Attempt:
    """What one reading did.

    Args:
        name: of the altered file.
        status: the process's exit status; None if it had to be killed.
        seconds: of processors, which a busy machine does not change; of a clock if it had to be killed.
        megabytes: greatest resident memory beyond that of the process before.
        text: what it printed to both streams.
        ran: whether code of the file was run (it makes the file that ``mark`` names).
    """

    name: str
    status: int | None
    seconds: float
    megabytes: float
    text: str
    ran: bool

    @property
    def faults(self) -> list[str]:
        """What is wrong with it, in words; empty if nothing is."""
        faults = []
        if self.ran:
            faults.append("ran code of the file")
        if "Traceback (most recent call last)" in self.text:
            faults.append("traceback")
        if self.status is None:
            faults.append(f"killed after {self.seconds:.0f} s with {self.megabytes:.0f} MB")
        elif self.status not in (0, 1, 2):
            faults.append(f"exit status {self.status}")
        if self.seconds > SECONDS:
            faults.append(f"{self.seconds:.1f} s")
        if self.megabytes > MEGABYTES:
            faults.append(f"{self.megabytes:.0f} MB")
        if CONTROL.search(self.text):
            faults.append("control characters in what it printed")
        if self.status == 2 and not self.text.strip():
            faults.append("no message")
        return faults


def command(*words: str | os.PathLike[str]) -> Callable[[], int]:
    """``lvc`` with these words."""
    return lambda: main([os.fspath(word) for word in words])


def reader(read: Callable[[], object]) -> Callable[[], int]:
    """A function as a command: status 0, or 2 and one line for an error that a user can mend."""

    def run() -> int:
        try:
            read()
        except (LVCError, OSError) as error:
            print(f"lvc: error: {' '.join(str(error).split())}", file=sys.stderr)
            return 2
        return 0

    return run


def attempt(name: str, run: Callable[[], int], folder: Path, mark: Path) -> Attempt:
    """Run it in a fork, in an empty folder of its own, and stop it at three times the limits.

    Args:
        name: of the altered file.
        run: gives an exit status.
        folder: in which the empty one is made, and removed afterwards.
        mark: file that code of an altered file would make; removed before.
    """
    mark.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as own:
        printed = Path(own, "printed.txt")
        began = time.monotonic()
        if not (child := os.fork()):
            _in_child(run, Path(own), printed)
        status, megabytes, seconds = _watch(child, began)
        text = printed.read_bytes().decode("utf-8", "replace")
    return Attempt(name, status, seconds, megabytes, text, mark.exists())


def attempt_here(name: str, run: Callable[[], int], mark: Path, printed: Callable[[], str]) -> Attempt:
    """Run it in this process and folder, where a fork of a large process would take 0.1 s.

    It is stopped at three times the limit of time. Its memory is not judged: the process has more from before.

    Args:
        name: of the altered file.
        run: gives an exit status.
        mark: file that code of an altered file would make; removed before.
        printed: gives what was printed since it was called last.
    """
    mark.unlink(missing_ok=True)
    printed()
    status: int | None
    began, used = time.monotonic(), time.process_time()
    try:
        with _stopped_after(3 * SECONDS):
            status = run()
        seconds = time.process_time() - used
    except _TimeUp:
        status, seconds = None, time.monotonic() - began
    except SystemExit as ended:
        status, seconds = _status_of(ended), time.process_time() - used
    except Exception:
        traceback.print_exc()
        status, seconds = 70, time.process_time() - used
    return Attempt(name, status, seconds, 0.0, printed(), mark.exists())


class _TimeUp(BaseException):
    """No Exception, so that what is stopped does not catch it as one of its own errors."""


@contextmanager
def _stopped_after(seconds: float) -> Iterator[None]:
    """Raise _TimeUp in this thread, the main one, after so long; then pytest-timeout's own alarm goes on."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        raise _TimeUp

    before, began = signal.signal(signal.SIGALRM, stop), time.monotonic()
    left, _ = signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
        if left:
            signal.setitimer(signal.ITIMER_REAL, max(left - (time.monotonic() - began), 0.001))


def report(attempts: Iterable[Attempt]) -> str:
    """A line for each attempt with faults; empty if there are none."""
    return "\n".join(f"{one.name}: {', '.join(one.faults)}\n    {one.text[-4000:]!r}" for one in attempts if one.faults)


def table(by_format: Sequence[tuple[str, Sequence[Attempt]]]) -> str:
    """Counts by format, as a table to print."""
    rows = [
        ("format", "files", "refused", "ran code", "tracebacks", f"over {SECONDS:.0f} s", "over 1 GB", "with any fault")
    ]
    for name, of_one in by_format:
        faults_of = [one.faults for one in of_one]
        faults = [fault for found in faults_of for fault in found]
        slow = sum(one.seconds > SECONDS for one in of_one)
        large = sum(one.megabytes > MEGABYTES for one in of_one)
        refused, ran = (sum(values) for values in zip(*((one.status == 2, one.ran) for one in of_one), strict=True))
        counts = [len(of_one), refused, ran, faults.count("traceback"), slow, large, sum(map(bool, faults_of))]
        rows.append((name, *map(str, counts)))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)) for row in rows)


def _in_child(run: Callable[[], int], folder: Path, printed: Path) -> None:
    status = 70
    try:
        os.setpgid(0, 0)
        torch.set_num_threads(1)  # the threads of the process before are not in its fork
        out = os.open(printed, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        nothing = os.open(os.devnull, os.O_RDONLY)
        for source, target in ((nothing, 0), (out, 1), (out, 2)):
            os.dup2(source, target)
        sys.stdout = os.fdopen(1, "w", buffering=1, closefd=False, errors="backslashreplace")
        sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace")
        os.chdir(folder)
        status = run()
    except SystemExit as ended:
        status = _status_of(ended)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(status)


def _status_of(ended: SystemExit) -> int:
    return ended.code if isinstance(ended.code, int) else int(ended.code is not None)


def _watch(child: int, began: float) -> tuple[int | None, float, float]:
    """Exit status (None if it was killed), the greatest memory beyond that of the beginning in MB, and the seconds."""
    first = peak = _peak(child)  # a fork has its parent's anonymous memory, and maps files anew
    while True:
        found, ended, used = os.wait4(child, os.WNOHANG)
        if found:
            seconds = used.ru_utime + used.ru_stime
            return os.waitstatus_to_exitcode(ended), max(peak, used.ru_maxrss / 1024) - first, seconds
        peak = max(peak, _peak(child))
        if time.monotonic() - began > 3 * SECONDS or peak - first > 3 * MEGABYTES:
            os.killpg(child, signal.SIGKILL)
            os.wait4(child, 0)
            return None, peak - first, time.monotonic() - began
        time.sleep(0.02)


def _peak(process: int) -> float:
    """Greatest resident memory of a process so far, in MB; 0 where it has ended."""
    try:
        status = Path(f"/proc/{process}/status").read_text()
    except OSError:
        return 0.0
    found = re.search(r"VmHWM:\s+(\d+) kB", status)
    return int(found[1]) / 1024 if found else 0.0
