"""Import modules of other packages: what that does beside is reported in one line, and undone where it can be."""

import contextlib
import importlib
import io
import logging
import os
import sys
import threading
import time
import warnings
from collections.abc import Iterator
from types import ModuleType
from typing import NoReturn

import torch

from lightning_voiceclone.utils import global_settings
from lightning_voiceclone.utils.terminal import printable

SLOW = 5.0  # seconds from which on an import is reported
MOST_PRINTED = 60  # characters
logger = logging.getLogger("lightning_voiceclone")


class _Printed(io.StringIO):
    """Standard output during an import; afterwards, for whatever has kept it, the real one."""

    importing = True

    def write(self, text: str, /) -> int:
        return super().write(text) if self.importing else sys.stdout.write(text)


def import_watched(name: str, owner: str) -> ModuleType:
    """Import a module, so that the process is as before.

    What it prints is kept from the standard output. Settings of torch and NumPy, torch's random state and general
    filters of warnings are put back. ``os._exit`` raises SystemExit. What happened, threads that were started and an
    import that takes long are logged.

    Args:
        name: of the module.
        owner: what the logged line is to begin with.
    """
    if name in sys.modules:
        return sys.modules[name]
    settings, random_state = global_settings.current(), torch.get_rng_state()
    threads, start, printed = set(threading.enumerate()), time.monotonic(), _Printed()
    found: list[str] = []
    try:
        with contextlib.redirect_stdout(printed), _filters_kept(found), _exit_raises():
            return importlib.import_module(name)
    finally:
        printed.importing = False
        if text := printed.getvalue().strip():
            found.append(f"prints {printable(text[:MOST_PRINTED])!r}")
        if (seconds := time.monotonic() - start) >= SLOW:
            found.append(f"takes {seconds:.1f} s")
        found += [f"starts the thread {printable(thread.name)!r}" for thread in set(threading.enumerate()) - threads]
        changed = global_settings.changes(settings)
        if not torch.equal(random_state, torch.get_rng_state()):
            changed["torch's random state"] = ""
            torch.set_rng_state(random_state)
        global_settings.restore(settings)
        found += [f"changes the setting {setting} {value}".rstrip() for setting, value in changed.items()]
        if found:
            undone = "; settings are put back" if changed else ""
            logger.warning(
                "%s, when it is imported, %s%s; do that when a part is made", owner, ", ".join(found), undone
            )


@contextlib.contextmanager
def _filters_kept(found: list[str]) -> Iterator[None]:
    """Put back the filters of warnings; those that concern the warnings of every module are noted in ``found``."""
    with warnings.catch_warnings():
        before = _general_filters()
        try:
            yield
        finally:
            if _general_filters() != before:
                found.append("changes the filters of warnings, which are put back")


def _general_filters() -> list[object]:
    return [(action, category) for action, message, category, module, _ in warnings.filters
            if message is None and module is None and category.__module__ == "builtins"]  # fmt: skip


@contextlib.contextmanager
def _exit_raises() -> Iterator[None]:
    """``os._exit`` raises SystemExit in this process, so that the end of an import can be reported."""
    own, end = os.getpid(), os._exit

    def end_or_raise(status: int) -> NoReturn:
        if os.getpid() != own:  # in a process that the module has started
            end(status)
        raise SystemExit(status)

    os._exit = end_or_raise
    try:
        yield
    finally:
        os._exit = end
