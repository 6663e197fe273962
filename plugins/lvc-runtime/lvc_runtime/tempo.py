"""Frames resampled in time, of a recording or chunk by chunk: ``voice/tempo.py`` of the toolkit, in NumPy."""

import math

import numpy as np

from lvc_runtime.chunks import Array, Frames, State

# f0 has no value between voiced and unvoiced.
NEAREST = frozenset({"f0", "register", "own", "power"})
FIRST, DONE, HELD = "tempo.first", "tempo.done", "tempo.held."


def init_state() -> State:
    """State before the first chunk."""
    return {FIRST: np.zeros(1, np.int64), DONE: np.zeros(1, np.int64)}


def push(new: Frames, state: State, speed: float, *, final: bool = False) -> tuple[Frames, State]:
    """Frames ``speed`` times as fast that can be computed now, and the next state; the given one is not changed.

    T frames become round(T / speed), at least 1. A recording that is given whole ends where its input does.
    """
    if speed == 1:
        return new, state
    held = {key.removeprefix(HELD): value for key, value in state.items() if key.startswith(HELD)}
    rest = {key: value for key, value in state.items() if not key.startswith(HELD)}
    first, done = int(state[FIRST][0]), int(state[DONE][0])
    fields = {name: np.concatenate([held[name], value], -1) for name, value in new.items()} if held and new else (
        held or new)  # fmt: skip
    count = next((value.shape[-1] for value in fields.values()), 0)
    total = first + count
    if not count:
        return {}, state
    wanted = max(round(total / speed), 1)
    if final and not first and not done:
        return _between(fields, (0, wanted), first, total / wanted), rest
    end = wanted if final else max(math.floor((total - 1.5) / speed + 0.5), done)
    made = _between(fields, (done, end), first, speed)
    needed = min(max(math.floor((end + 0.5) * speed - 0.5), first), total)
    after = {FIRST: np.array([needed]), DONE: np.array([end])}
    after |= {HELD + name: value[..., needed - first :].copy() for name, value in fields.items()}
    return made, rest | after


def _between(fields: Frames, span: tuple[int, int], first: int, speed: float) -> Frames:
    """Frames of the output from one to another; none if there are none."""
    begin, end = span
    if begin >= end:
        return {}
    count = next(iter(fields.values())).shape[-1]
    centres = (np.arange(begin, end) + 0.5) * speed
    places = np.clip(centres - 0.5 - first, 0, count - 1)
    low = np.floor(places).astype(np.int64)
    high = np.minimum(low + 1, count - 1)
    next_to = np.clip(np.floor(centres).astype(np.int64) - first, 0, count - 1)
    share = (places - low).astype(np.float32)
    return {name: x[..., next_to] if name in NEAREST else _linear(x, low, high, share) for name, x in fields.items()}


def _linear(x: Array, low: np.ndarray, high: np.ndarray, share: Array) -> Array:
    return x[..., low] + share * (x[..., high] - x[..., low])
