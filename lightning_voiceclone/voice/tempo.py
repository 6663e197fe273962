"""Frames resampled in time, of a recording or chunk by chunk."""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.chunks import Frames
from lightning_voiceclone.core.streaming import State

# f0 has no value between voiced and unvoiced; the mean of two noises would have less than unit variance.
NEAREST = frozenset({"f0", "noise", "register", "own", "power"})
FIRST, DONE, HELD = "tempo.first", "tempo.done", "tempo.held."


def resampled(x: Tensor, frames: int, *, nearest: bool) -> Tensor:
    """x (B, T) or (B, C, T) with that many frames: those next to them, or interpolated linearly between centres."""
    how: dict[str, Any] = {"mode": "nearest-exact"} if nearest else {"mode": "linear", "align_corners": False}
    wide = x if x.ndim == 3 else x[:, None]
    return F.interpolate(wide, frames, **how).reshape(*x.shape[:-1], frames)


class Tempo:
    """Resample frames, chunk by chunk, ``speed`` times as fast: T frames become round(T / speed), at least 1.

    Frame i of the output lies at (i + 1/2) * speed - 1/2 of the input. A recording that is given whole is resampled
    to its rounded length exactly, so that its last frame ends where the input's does.
    """

    def init_state(self, batch: int) -> State:
        """State before the first chunk."""
        return {FIRST: torch.zeros(batch, dtype=torch.int64), DONE: torch.zeros(batch, dtype=torch.int64)}

    def push(self, new: Frames, state: State, speed: float, *, final: bool = False) -> tuple[Frames, State]:
        """Frames that can be computed now, and the next state; the given state is not changed."""
        if speed == 1:
            return new, state
        held = {key.removeprefix(HELD): value for key, value in state.items() if key.startswith(HELD)}
        rest = {key: value for key, value in state.items() if not key.startswith(HELD)}
        first, done = int(state[FIRST][0]), int(state[DONE][0])
        fields = {name: torch.cat([held[name], value], -1) for name, value in new.items()} if held and new else (
            held or new)  # fmt: skip
        count = next((value.shape[-1] for value in fields.values()), 0)
        total = first + count
        if not count:
            return {}, state
        if final and not first and not done:
            wanted = max(round(total / speed), 1)
            return {name: resampled(x, wanted, nearest=name in NEAREST) for name, x in fields.items()}, rest
        end = max(round(total / speed), 1) if final else max(math.floor((total - 1.5) / speed + 0.5), done)
        made = self._between(fields, done, end, first, speed)
        needed = min(max(math.floor((end + 0.5) * speed - 0.5), first), total)
        batch = len(state[FIRST])
        after = {FIRST: torch.full((batch,), needed), DONE: torch.full((batch,), end)}
        after |= {HELD + name: value[..., needed - first :].clone() for name, value in fields.items()}
        return made, rest | after

    @staticmethod
    def _between(fields: Frames, begin: int, end: int, first: int, speed: float) -> Frames:
        """Frames ``begin`` to ``end`` of the output; none if there are none."""
        if begin >= end:
            return {}
        count = next(iter(fields.values())).shape[-1]
        centres = (torch.arange(begin, end, dtype=torch.float64) + 0.5) * speed
        places = (centres - 0.5 - first).clamp(0, count - 1)
        low = places.floor().long()
        high, next_to = (low + 1).clamp_max(count - 1), (centres.floor().long() - first).clamp(0, count - 1)
        made = {}
        for name, x in fields.items():
            share = (places - low).to(x)
            at = {index: x[..., value.to(x.device)] for index, value in (("low", low), ("high", high))}
            made[name] = x[..., next_to.to(x.device)] if name in NEAREST else (
                at["low"] + share * (at["high"] - at["low"]))  # fmt: skip
        return made
