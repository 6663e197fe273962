"""Conditions drawn at random, with every field that the widths promise."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.part import Dims

# A textbook's widths and a cloner's: what every generator must work with.
NOISE_ONLY = Dims(13, noise=10)
CLONING = Dims(20, content=12, speaker=16, pitch=True)
EVERYTHING = Dims(20, content=12, speaker=16, noise=4, pitch=True, energy=True)

PER_FRAME = ("content", "f0", "voicing", "energy", "noise")


def random_condition(dims: Dims, lengths: Sequence[int], *, seed: int = 0, noise_per_frame: bool = True) -> Condition:
    """A condition with what ``dims`` promise, padded to the longest of ``lengths``; the padding is random too."""
    random = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=random)

    rows, frames = len(lengths), max(lengths)
    voicing = torch.rand(rows, frames, generator=random)
    noise = normal(rows, dims.noise, frames) if noise_per_frame else normal(rows, dims.noise)
    return Condition(
        lengths=torch.tensor(lengths),
        content=normal(rows, dims.content, frames) if dims.content else None,
        f0=torch.where(voicing > 0.3, 80 + 200 * voicing, 0.0) if dims.pitch else None,
        voicing=voicing if dims.pitch else None,
        energy=normal(rows, frames) if dims.energy else None,
        speaker=normal(rows, dims.speaker) if dims.speaker else None,
        noise=noise if dims.noise else None,
        **_references(dims, rows, random),  # type: ignore[arg-type]
    )


def _references(dims: Dims, rows: int, random: torch.Generator) -> dict[str, Tensor]:
    """References of several lengths, the padding random too; where there is content to find in them."""
    if not dims.content:
        return {}
    lengths = 10 + torch.arange(rows) % 3
    frames = int(lengths.max())
    return {
        "reference_frames": torch.randn(rows, frames, dims.features, generator=random),
        "reference_content": torch.randn(rows, dims.content, frames, generator=random),
        "reference_lengths": lengths,
    }


def change(condition: Condition, **of_field: object) -> Condition:
    """The condition with some fields replaced."""
    return replace(condition, **of_field)  # type: ignore[arg-type]


def frame_fields(condition: Condition) -> dict[str, Tensor]:
    """The fields that have an axis of frames, their last."""
    present = {name: value for name, value in condition.tensors().items() if name in PER_FRAME}
    return {name: value for name, value in present.items() if name != "noise" or value.ndim == 3}


def move(
    condition: Condition, *, dtype: torch.dtype | None = None, device: torch.device | str | None = None
) -> Condition:
    """The condition with its floating-point fields of that dtype, all on that device."""
    return condition.map(lambda value: value.to(device=device, dtype=dtype if value.is_floating_point() else None))


def row(condition: Condition, index: int) -> Condition:
    """One row of the batch alone, without its padding."""
    length = int(condition.lengths[index])
    alone = condition.rows(slice(index, index + 1))
    cut = {name: value[..., :length] for name, value in frame_fields(alone).items()}
    return replace(alone, **cut)  # type: ignore[arg-type]


def cut(condition: Condition, begin: int, end: int) -> Condition:
    """Frames ``begin`` to ``end`` of every row, all of them real."""
    frames = {name: value[..., begin:end] for name, value in frame_fields(condition).items()}
    return replace(condition, lengths=torch.full_like(condition.lengths, end - begin), **frames)


def scramble_padding(condition: Condition, scale: float = 10.0) -> Condition:
    """The condition with other numbers in its padding."""
    scrambled = {}
    for name, value in frame_fields(condition).items():
        mask = condition.mask(value.shape[-1]).reshape(value.shape[0], *(1,) * (value.ndim - 2), -1)
        scrambled[name] = torch.where(mask > 0, value, scale * torch.rand_like(value))
    return replace(condition, **scrambled)
