"""Move the pitch of what is rendered by stated semitones, which generators follow only in part."""

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.features.prosody import median_f0

RENDERINGS = 4  # at most, beside that of the script as it is
ENOUGH = 0.1  # semitones
MOST_MORE = 4.0  # semitones beyond the wanted ones that f0 of the script is moved by
LEAST_VOICED = 5  # frames by which a shift can be measured


def shifted(script: Script, semitones: Tensor, f0_of: Callable[[Script], Tensor]) -> tuple[Script, float]:
    """The script, its f0 changed so that its rendering's is ``semitones`` above that of the script as it is.

    By how much is found by rendering: a generator that attends to a reference follows three quarters of a change, and
    none beyond the range of its voice.

    Args:
        script: one row, with f0.
        semitones: (T,) wanted; frames in a row with the same value are measured together.
        f0_of: renders a script, and measures f0 (T,) in Hz, 0 where unvoiced.

    Returns:
        The best script that was found, and the semitones that are missing where it is farthest from what is wanted.
    """
    assert script.f0 is not None
    before, given = f0_of(script), semitones
    best, left = script, float("inf")
    for _ in range(RENDERINGS):
        made = replace(script, f0=script.f0 * 2 ** (given / 12))
        missing = _missing(before, f0_of(made), semitones)
        farthest = float(missing[missing.abs().argmax()])
        if abs(farthest) < abs(left):
            best, left = made, farthest
        if abs(left) < ENOUGH:
            break
        given = (given + missing).clamp(semitones - MOST_MORE, semitones + MOST_MORE)
    return best, left


def _missing(before: Tensor, after: Tensor, wanted: Tensor) -> Tensor:
    """Semitones (T,) by which f0 was moved too little, the median of each run; 0 where that cannot be measured."""
    ratio = torch.where((before > 0) & (after > 0), after / before.clamp_min(1e-3), 0.0)
    missing = torch.zeros_like(wanted)
    for begin, end in _runs(wanted):
        reached = ratio[begin:end]
        if wanted[begin] and (reached > 0).sum() >= LEAST_VOICED:
            missing[begin:end] = wanted[begin] - 12 * median_f0(reached[None])[0].log2()
    return missing


def _runs(values: Tensor) -> Iterator[tuple[int, int]]:
    """Begin and end of each run of equal values."""
    changes = (values.diff() != 0).nonzero()[:, 0].add(1).tolist()
    yield from zip([0, *changes], [*changes, len(values)], strict=True)
