"""How much generated features change with the speaker and with the noise, and how much real ones do."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.masking import masked_mean_and_deviation

OF_SPEAKERS = ("speaker", "reference_frames", "reference_content", "reference_lengths")


@torch.no_grad()
def spreads(generator: Generator, condition: Condition, real: Tensor, reference: Tensor | None) -> dict[str, Tensor]:
    """Mean squared differences, each a scalar in squared units of the features; a healthy pair is about equal.

    ``speakers``: of the means over time of the same scripts in the voices of two speakers. ``real_speakers``: the same
    of recordings of two speakers, less that of two recordings of one, which other words make. ``noise``: of two outputs
    for one condition with other noise. ``real_noise``: of two frames of real features, any. The model's weights,
    buffers, modes and random state are as before.

    Args:
        generator: that is measured.
        condition: of a batch; rows are of different speakers, as a rule.
        real: (B, F, T) features of the same rows.
        reference: (B, F, R) of another recording of each row's speaker; None for a model without references.
    """
    found: dict[str, Tensor] = {}
    rows, mask = len(real), condition.mask(real.shape[-1])
    with _evaluating(generator), torch.random.fork_rng(_devices(real)):
        output = generator(condition)
        named = {name: value.roll(-1, 0) for name, value in condition.tensors().items() if name in OF_SPEAKERS}
        if rows > 1 and named and reference is not None:
            changed: Any = named
            other = generator(replace(condition, **changed))
            means = [masked_mean_and_deviation(x, mask)[0] for x in (output, other, real)]
            theirs = reference.mean(-1)
            within = (means[2] - theirs).square().mean()
            found["speakers"] = (means[0] - means[1]).square().mean()
            found["real_speakers"] = (means[2] - means[2].roll(-1, 0)).square().mean() - within
        if condition.noise is not None:
            other = generator(replace(condition, noise=torch.randn_like(condition.noise)))
            kept = mask.sum().clamp(min=1) * real.shape[1]
            found["noise"] = ((output - other).square() * mask).sum() / kept
            frames = real.movedim(1, 2)[mask[:, 0] > 0]
            found["real_noise"] = 2 * frames.var(0, correction=0).mean()
    return found


@contextmanager
def _evaluating(module: nn.Module) -> Iterator[None]:
    """Without dropout and statistics of the batch; ``eval()`` would undo what a part has computed for inference."""
    modes = [(inner, inner.training) for inner in module.modules()]
    for inner, _ in modes:
        inner.training = False
    try:
        yield
    finally:
        for inner, mode in modes:
            inner.training = mode


def _devices(x: Tensor) -> list[torch.device]:
    return [x.device] if x.device.type == "cuda" else []
