"""Register and speed: the median of f0, and the frames of a condition resampled in time."""

from dataclasses import replace
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Condition, Script, SpeakerPrompt


def change_speed(condition: Condition, speed: float) -> Condition:
    """Resample the condition of one utterance in time, ``speed`` times as fast: T frames become round(T / speed), >= 1.

    Content, voicing and energy are interpolated linearly. f0 is taken from the nearest frame, as there is no value
    between voiced and unvoiced; so is noise, as the mean of two values would have less than unit variance. A speed of
    1 changes nothing.
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
    """Median over voiced frames (B,) of f0 (B, T) in Hz, the lower of the two in the middle; NaN if none is voiced.

    Computed by sorting, which is deterministic on a GPU too; ``torch.nanmedian`` is not.
    """
    ordered = torch.where(f0 > 0, f0, torch.nan).sort(dim=-1).values  # NaN comes last
    middle = ((f0 > 0).sum(-1, keepdim=True) - 1).clamp_min(0) // 2
    return ordered.gather(-1, middle)[..., 0]


def move_register(script: Script, register: Tensor | None) -> Script:
    """Scale f0 of the script to the median ``register`` (B,) in Hz; None, or NaN in a row, changes nothing."""
    if script.f0 is None or script.register is None or register is None:
        return script
    ratio = register / script.register
    return replace(
        script,
        f0=script.f0 * ratio.nan_to_num(nan=1.0)[:, None],
        register=torch.where(ratio.isnan(), script.register, register),
    )


def target_register(script: Script, prompt: SpeakerPrompt, pitch_shift: float) -> Tensor | None:
    """Target register (B,) in Hz: the prompt's, or the script's own where that has none, shifted by semitones."""
    if script.register is None:
        return None
    own = script.register
    wanted = own if prompt.register is None else torch.where(prompt.register.isnan(), own, prompt.register)
    return wanted * 2 ** (pitch_shift / 12)
