"""End a distributed training soon after one of its processes dies, with one line that names that process."""

import os
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

import torch

from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.utils.lightning_internals import watch_children_with

# In the messages of gloo, NCCL and the rendezvous store about a process that is gone.
GONE = re.compile(r"gloo|nccl|tcpstore|connection (?:closed|reset) by peer|broken pipe", re.IGNORECASE)
POLL_SECONDS = 0.5
GRACE_SECONDS = 5.0  # for a waiting process to notice the loss and report it by itself
ORDERLY = (0, 128 + signal.SIGINT, 128 + signal.SIGTERM)  # exit statuses of a process that ended as it should
ENDED = 2  # exit status

_started: list[subprocess.Popen[bytes]] = []  # by this process, in the order of their ranks from 1
_reported = threading.Event()


class LostProcessError(LVCError):
    """Another process of the training is gone; names it, and how to resume."""


def watch() -> None:
    """End this process soon after another one of its training has died, instead of waiting for it forever."""
    watch_children_with(_watch_started)
    if "LOCAL_RANK" in os.environ:  # started by the first process, or by torchrun
        _in_background(_end_with, os.getppid())


def lost_process(error: BaseException) -> LostProcessError | None:
    """The error to show where ``error`` means that a process of the training is gone; None where it does not."""
    kinds = tuple(kind for name in ("DistBackendError", "DistNetworkError", "DistStoreError")
                  if (kind := getattr(torch.distributed, name, None)) is not None)  # fmt: skip
    if not isinstance(error, kinds) and not (isinstance(error, RuntimeError) and GONE.search(str(error))):
        return None
    _reported.set()
    deadline = time.monotonic() + 4 * POLL_SECONDS  # the connection may break before the process has ended
    while (which := _dead(_started)) is None and _started and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS / 10)
    return LostProcessError(_line(which or "another process of this training"))


def _line(which: str) -> str:
    rank = os.environ.get("RANK") or os.environ.get("LOCAL_RANK", "0")
    return (
        f"{which} died or cannot be reached, so that process {rank} ends too; look above for its reason (lack of memory"
        " has none), and go on from the newest checkpoint with the same command and --ckpt_path last"
    )


def _dead(processes: Sequence[subprocess.Popen[bytes]]) -> str | None:
    """The first of the processes that did not end as it should."""
    for rank, process in enumerate(processes, start=1):
        if (status := process.poll()) is not None and status not in ORDERLY:
            how = f"signal {-status}" if status < 0 else f"status {status}"
            return f"process {rank} of this training (PID {process.pid}, ended by {how})"
    return None


def _watch_started(processes: list[subprocess.Popen[bytes]]) -> None:
    """Lightning calls this with the processes that it has started."""
    _started[:] = processes
    _in_background(_end_after, processes)


def _end_after(processes: list[subprocess.Popen[bytes]]) -> None:
    while (which := _dead(processes)) is None:
        time.sleep(POLL_SECONDS)
    time.sleep(GRACE_SECONDS)
    for process in processes:
        if process.poll() is None:
            process.kill()
    _end(which)


def _end_with(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(POLL_SECONDS)
    time.sleep(GRACE_SECONDS)
    _end("the first process of this training")


def _end(which: str) -> NoReturn:
    if not _reported.is_set():
        print(f"lvc: error: {_line(which)}", file=sys.stderr, flush=True)
    os._exit(ENDED)


def _in_background(work: Callable[[Any], None], argument: Any) -> None:
    threading.Thread(target=work, args=(argument,), daemon=True, name=work.__name__).start()
