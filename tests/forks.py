"""Run a command, or a test, in a fork of the test process, as ``subprocess`` would in a new one.

The fork has imported everything, which takes a new process seconds. POSIX only.
"""

import functools
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import signal
import sys
import threading
import time
import traceback
import warnings
from collections.abc import Callable, Mapping, Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

# A process counts its devices in its first backward pass. After an export by torch there seems to be a GPU among them,
# which gets a thread, and no fork could compute gradients any more.
torch.zeros(1, requires_grad=True).backward()

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGALRM)


class Fork:
    """A running fork, used as ``subprocess.Popen`` is; what it prints is text.

    Args:
        run: gives the exit status, or None for 0.
        folder: to run in.
        environment: variables to set.
    """

    def __init__(self, run: Callable[[], int | None], folder: Path, **environment: str) -> None:
        pipes = [os.pipe(), os.pipe()]
        self.stdout, self.stderr = (os.fdopen(reading, errors="backslashreplace") for reading, _ in pipes)
        writing = [end for _, end in pipes]
        work = (run, folder, environment, writing)
        self._process = multiprocessing.get_context("fork").Process(target=_in_child, args=work)
        self._process.start()
        for end in writing:
            os.close(end)

    def __enter__(self) -> "Fork":
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.join()
        self.stdout.close()
        self.stderr.close()

    @property
    def returncode(self) -> int | None:
        """Exit status, negative for a signal; None while it runs."""
        return self._process.exitcode

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def send_signal(self, number: int) -> None:
        """Send a signal to it."""
        os.kill(self.pid, number)

    def wait(self, timeout: float | None = None) -> int | None:
        """Exit status, once it has ended."""
        self._process.join(timeout)
        return self.returncode

    def communicate(self, timeout: float = 600.0) -> tuple[str, str]:
        """Both outputs, once it has ended and nothing holds them open."""
        texts = ["", ""]

        def read(place: int) -> None:
            texts[place] = (self.stdout, self.stderr)[place].read()

        readers = [threading.Thread(target=read, args=(place,), daemon=True) for place in range(2)]
        limit = time.monotonic() + timeout
        for reader in readers:
            reader.start()
        for waited in (*readers, self._process):
            waited.join(max(0.0, limit - time.monotonic()))
            assert not waited.is_alive(), f"still running after {timeout:g} s"
        return texts[0], texts[1]


def completed(run: Callable[[], int | None], folder: Path, **environment: str) -> SimpleNamespace:
    """What it printed and its exit status, as ``subprocess.run`` gives them."""
    with Fork(run, folder, **environment) as fork:
        out, err = fork.communicate()
        return SimpleNamespace(returncode=fork.returncode, stdout=out, stderr=err)


def forked(test: Callable[..., None]) -> Callable[..., None]:
    """Run a test's body in a fork, which takes the memory that it needs along when it ends."""

    @functools.wraps(test)
    def run(*args: object, **keywords: object) -> None:
        if not hasattr(os, "fork"):
            return test(*args, **keywords)
        receiving, sending = multiprocessing.Pipe(duplex=False)
        process = multiprocessing.get_context("fork").Process(target=_attempt, args=(test, args, keywords, sending))
        process.start()
        sending.close()
        try:
            skipped, failure = receiving.recv()
        except EOFError:
            skipped, failure = "", "the fork ended without an answer"
        process.join()
        if skipped:
            pytest.skip(skipped)
        if failure:
            pytest.fail(f"{failure}\nexit status {process.exitcode}", pytrace=False)
        return None

    return run


def _attempt(
    test: Callable[..., None], args: Sequence[object], keywords: Mapping[str, object], sending: Connection
) -> None:
    _leave_the_others()
    try:
        test(*args, **keywords)
    except pytest.skip.Exception as skipped:
        sending.send((str(skipped), ""))
    except BaseException:
        sending.send(("", traceback.format_exc()))
    else:
        sending.send(("", ""))


def _leave_the_others() -> None:
    torch.set_num_threads(1)  # the threads of the process before are not in its fork
    multiprocessing.forkserver._forkserver.__init__()  # nor is what it started a child of the fork's


def _in_child(run: Callable[[], int | None], folder: Path, environment: dict[str, str], writing: list[int]) -> None:
    _leave_the_others()
    for number in SIGNALS:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    _print_to(*writing)
    os.chdir(folder)
    os.environ.update(environment)
    sys.exit(run())


def _print_to(out: int, err: int) -> None:
    """Let prints, warnings and log messages go where those of a new process would."""
    os.dup2(out, 1)
    os.dup2(err, 2)
    os.close(out)
    os.close(err)
    sys.stdout = os.fdopen(1, "w", closefd=False)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False, errors="backslashreplace")
    warnings.showwarning = warnings._showwarning_orig
    warnings.resetwarnings()
    for category in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
        warnings.simplefilter("ignore", category)
    logging.getLogger().handlers.clear()  # pytest's
    for logger in logging.root.manager.loggerDict.values():
        for handler in getattr(logger, "handlers", []):
            if isinstance(handler, logging.StreamHandler) and not isinstance(handler, logging.FileHandler):
                handler.stream = sys.stderr  # setStream flushes the one before, which may be closed
