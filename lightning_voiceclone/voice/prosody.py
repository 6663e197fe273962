"""Register and speed: where a melody lies, and the frames of a condition laid out anew in time."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.errors import ConfigurationError

SPEEDS = (0.25, 4.0)
SHIFTS = (-24.0, 24.0)


def check_manner(pitch_shift: float, speed: float) -> None:
    """Refuse what would no longer be speech.

    Raises:
        ConfigurationError: names the setting and its range.
    """
    if not SPEEDS[0] <= speed <= SPEEDS[1]:
        raise ConfigurationError(f"speed is {speed:g}; it must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}, 1 is as said")
    if not SHIFTS[0] <= pitch_shift <= SHIFTS[1]:
        raise ConfigurationError(
            f"pitch_shift is {pitch_shift:g} semitones; it must be from {SHIFTS[0]:g} to {SHIFTS[1]:g}, 0 is as said"
        )


def change_speed(condition: Condition, speed: float) -> Condition:
    """The condition of one utterance, said ``speed`` times as fast: T frames become round(T / speed), at least 1.

    What is said, voicing and energy are drawn between frames. f0 is taken from the nearest frame, as there is nothing
    between a tone and no tone; so is noise, whose mean of two would be less than standard normal. 1 changes nothing.
    """
    if speed == 1:
        return condition
    frames = int(condition.lengths.max())
    wanted = max(round(frames / speed), 1)

    def resample(x: Tensor | None, **how: Any) -> Tensor | None:
        if x is None:
            return None
        wide = x if x.ndim == 3 else x[:, None]
        return F.interpolate(wide, wanted, **how).reshape(*x.shape[:-1], wanted)

    between: dict[str, Any] = {"mode": "linear", "align_corners": False}
    nearest: dict[str, Any] = {"mode": "nearest-exact"}
    of_utterance = condition.noise is not None and condition.noise.ndim == 2
    return replace(
        condition,
        lengths=torch.full_like(condition.lengths, wanted),
        content=resample(condition.content, **between),
        f0=resample(condition.f0, **nearest),
        voicing=resample(condition.voicing, **between),
        energy=resample(condition.energy, **between),
        noise=condition.noise if of_utterance else resample(condition.noise, **nearest),
    )


def median_f0(f0: Tensor) -> Tensor:
    """Median over voiced frames (B,) of f0 (B, T) in Hz; NaN where nothing is voiced."""
    return torch.where(f0 > 0, f0, torch.nan).nanmedian(dim=-1).values


def move_register(f0: Tensor | None, register: Tensor | None) -> Tensor | None:
    """f0 (B, T) with its median moved to ``register`` (B,) in Hz; None for either leaves it."""
    if f0 is None or register is None:
        return f0
    ratio = (register / median_f0(f0)).nan_to_num(nan=1.0)
    return f0 * ratio[:, None]
