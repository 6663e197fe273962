"""Work in parallel processes that start clean, leave Ctrl-C to their parent and end with it."""

import concurrent.futures
import multiprocessing
import multiprocessing.connection
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures.process import BrokenProcessPool
from typing import Any, TypeVar

from lightning_voiceclone.errors import LVCError

Piece = TypeVar("Piece")
Result = TypeVar("Result")


def processors() -> int:
    """How many this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def side_by_side(
    work: Callable[[Piece], Result],
    pieces: Sequence[Piece],
    workers: int,
    *,
    begin: Callable[[Any], None] | None = None,
    settings: Any = None,
    caller: str,
    preload: Sequence[str] = (),
) -> Iterator[tuple[Piece, Result]]:
    """Run pieces of work in parallel processes; yields each piece with its result, as they finish.

    Args:
        work: a function of a module, which a worker process can import.
        pieces: of work.
        workers: processes, each of which computes with one thread.
        begin: called with the settings once in each worker, before any piece; None for nothing to set up.
        settings: for all pieces.
        caller: name of the function that a script calls for this; an error names it.
        preload: modules that workers have from the start, where processes can be forked from one that has them.

    Raises:
        LVCError: if a worker dies, or does not start.
        Exception: as ``work`` raises it.
    """
    # Forking a process that has used torch's threads may hang; a server that has not is forked instead, or nothing.
    method = "forkserver" if "forkserver" in multiprocessing.get_all_start_methods() else "spawn"
    context = multiprocessing.get_context(method)
    if method == "forkserver" and preload:
        context.set_forkserver_preload(list(preload))
    pool = concurrent.futures.ProcessPoolExecutor(
        workers, mp_context=context, initializer=_begin, initargs=(begin, settings)
    )
    try:
        waiting = {pool.submit(work, piece): piece for piece in pieces}
        for future in concurrent.futures.as_completed(waiting):
            yield waiting.pop(future), future.result()
            del future  # what is done is the caller's to keep
    except BrokenProcessPool as error:
        raise LVCError(
            "a worker process did not start or died, perhaps for lack of memory; try fewer workers, or, from a script"
            f' of your own, call {caller} below `if __name__ == "__main__":`; what is done is kept'
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _begin(begin: Callable[[Any], None] | None, settings: Any) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the parent, which ends the workers in order
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if "torch" in sys.modules:
        import torch

        torch.set_num_threads(1)
    if begin is not None:
        begin(settings)


def _end_with_parent() -> None:
    """A parent that is killed outright cannot end its workers, which would wait for ever."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        multiprocessing.connection.wait([parent.sentinel])
        os._exit(1)
