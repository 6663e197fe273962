"""Import modules of other packages: what that does besides defining classes is logged, and undone where it can be."""

import contextlib
import importlib
import io
import logging
import os
import random
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any, NoReturn

import numpy as np
import torch

from lightning_voiceclone.utils import global_settings
from lightning_voiceclone.utils.terminal import printable

SLOW = 5.0  # seconds from which on an import is reported
MOST_PRINTED = 60  # characters
logger = logging.getLogger("lightning_voiceclone")


def _numpy_state() -> Any:
    """NumPy's random state, so that two can be compared."""
    state = np.random.get_state()
    return state if isinstance(state, dict) else (state[0], state[1].tolist(), *state[2:])


RANDOM_STATES: dict[str, tuple[Callable[[], Any], Callable[[Any], None]]] = {
    "torch": (lambda: torch.get_rng_state().tolist(),
              lambda state: torch.set_rng_state(torch.tensor(state, dtype=torch.uint8, device="cpu"))),
    "NumPy": (_numpy_state, np.random.set_state),
    "Python": (random.getstate, random.setstate),
}  # fmt: skip


class _Printed(io.StringIO):
    """Standard output during an import; afterwards, for whatever has kept it, the real one."""

    importing = True

    def write(self, text: str, /) -> int:
        return super().write(text) if self.importing else sys.stdout.write(text)


def import_watched(name: str, owner: str) -> ModuleType:
    """Import a module, so that the process is as before.

    What it prints is kept from the standard output. Settings of torch and NumPy, the random states of torch, NumPy and
    Python, and filters for the warnings of every module are put back; filters that it adds for a module, a message or
    a class of warnings of its own stay. ``os._exit`` raises SystemExit. What happened, threads that were started and
    an import that takes long are logged.

    Args:
        name: of the module.
        owner: what the logged line is to begin with.
    """
    if name in sys.modules:
        return sys.modules[name]
    settings, states = global_settings.current(), {library: get() for library, (get, _) in RANDOM_STATES.items()}
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
        global_settings.restore(settings)
        for library, (get, put_back) in RANDOM_STATES.items():
            if get() != states[library]:
                changed[f"{library}'s random state"] = ""
                put_back(states[library])
        found += [f"changes the setting {setting} {value}".rstrip() for setting, value in changed.items()]
        if found:
            undone = "; settings are put back" if changed else ""
            logger.warning(
                "%s, when it is imported, %s%s; do that when a part is made", owner, ", ".join(found), undone
            )


@contextlib.contextmanager
def _filters_kept(found: list[str]) -> Iterator[None]:
    """Put back the filters for the warnings of every module, which is noted in ``found``; narrower new ones stay."""
    narrow: list[Any] = []
    try:
        with warnings.catch_warnings():
            before = list(warnings.filters)
            try:
                yield
            finally:
                if list(filter(_is_general, warnings.filters)) != list(filter(_is_general, before)):
                    found.append("changes the filters of warnings, which are put back")
                narrow += [one for one in warnings.filters if one not in before and not _is_general(one)]
    finally:
        for action, message, category, module, line in reversed(narrow):  # each goes before those that are there
            warnings.filterwarnings(action, _regex(message), category, _regex(module), line)


def _is_general(one: Any) -> bool:
    _, message, category, module, _ = one
    return message is None and module is None and category.__module__ == "builtins"


def _regex(pattern: Any) -> str:
    return pattern if isinstance(pattern, str) else pattern.pattern if pattern else ""


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
