"""How the process of a command ends: without taking torch apart, which takes 0.4 s on a processor that imports it in 1.

Python's end frees every object, and unloads libraries of gigabytes, whose memory the system takes back anyway.
"""

import atexit
import os
import sys


def end_at_once() -> list[int]:
    """Let the process end as soon as all other clean-up is done, with a status that is still to come.

    Threads are waited for, and what was registered with ``atexit`` since (multiprocessing, temporary folders, a sound
    card) is called before, since Python calls it from the last to the first.

    Returns:
        An empty list for the exit status. While it is empty, or torch was not imported, the process ends as ever.
    """
    status: list[int] = []
    atexit.register(_end, status)
    return status


def _end(status: list[int]) -> None:
    if not status or "torch" not in sys.modules:
        return
    try:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
    except (OSError, ValueError, AttributeError):  # closed, or none at all: Python says so in its own way
        return
    os._exit(status[0])
