"""Register, the median of f0: moving a script to another one."""

from dataclasses import replace

import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Script, SpeakerPrompt


def move_register(script: Script, register: Tensor | None) -> Script:
    """Scale f0 of the script to the median ``register`` in Hz, (B,) or (B, T) as the script's own.

    None, or NaN in a row, changes nothing.
    """
    if script.f0 is None or script.register is None or register is None:
        return script
    ratio = register / script.register
    return replace(
        script,
        f0=script.f0 * _by_frame(ratio.nan_to_num(nan=1.0)),
        register=torch.where(ratio.isnan(), script.register, register),
    )


def target_register(script: Script, prompt: SpeakerPrompt, pitch_shift: float) -> Tensor | None:
    """Target register in Hz: the prompt's, or the script's own where that has none, shifted by semitones.

    (B,) or (B, T), as the script's own.
    """
    if script.register is None:
        return None
    own = script.register
    wanted = own
    if prompt.register is not None:
        given = prompt.register if own.ndim == 1 else prompt.register[:, None]
        wanted = torch.where(given.isnan(), own, given)
    return wanted * 2 ** (pitch_shift / 12)


def _by_frame(values: Tensor) -> Tensor:
    return values if values.ndim == 2 else values[:, None]
