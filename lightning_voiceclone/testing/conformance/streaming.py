"""Checks that chunks give what the whole gives, for every kind of part that works frame by frame."""

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from lightning_voiceclone.core.part import Part
from lightning_voiceclone.core.streaming import Context
from lightning_voiceclone.testing.conformance.expect import expect
from lightning_voiceclone.testing.conformance.part import has_capability

Take = Callable[[int, int], Any]  # what the part is given of the frames from one to another
TOLERANCE = 1e-6  # of the greatest number, in double precision, where rounding is 1e-15: far frames have a faint part


def streamed_frames(part: Part) -> int:
    """How many frames :func:`check_chunks` needs; skips the check of a part that makes no claim."""
    claimed = has_capability(part, "streamable")
    if not claimed and part.init_state(1) is None:
        pytest.skip("does not claim to be streamable, and keeps no state")
    assert part.context is not None
    ends = _finite(part.context) or part.init_state(1) is not None
    expect(ends, "a declared context, or a state, of what can be streamed", "an infinite context")
    left, right = _sides(part.context)
    return left + 8 * part.context.grid + right + part.context.grid // 2 + 1


def check_chunks(part: Part, take: Take, per_frame: float = 1) -> None:
    """Chunks with their context, or with the state of those before, give what the whole gives.

    Args:
        part: out of training, in double precision.
        take: what the part is given of some frames, two rows, of :func:`streamed_frames`.
        per_frame: numbers of the output's last axis to a frame.
    """
    assert part.context is not None
    frames = streamed_frames(part)
    whole = part(take(0, frames))
    expect(float(whole.detach().abs().max()) > 0, "an output, of which a check can show something", "zeros")
    if _finite(part.context):
        _check_context(part, part.context, take, per_frame, whole)
    if part.init_state(2) is not None:
        _check_state(part, part.context, take, whole)


def _finite(context: Context) -> bool:
    return math.isfinite(context.left) and math.isfinite(context.right)


def _sides(context: Context) -> tuple[int, int]:
    """The left one in whole grids, and the right one; infinite ones are left out."""
    left = math.ceil(context.left / context.grid) * context.grid if math.isfinite(context.left) else 0
    return left, math.ceil(context.right) if math.isfinite(context.right) else 0


def _check_context(part: Part, context: Context, take: Take, per_frame: float, whole: Tensor) -> None:
    """Of the first chunk, of three in the middle, and of the last.

    Those in the middle begin, with their context, at odd multiples of the grid: one that is too fine shows. The whole
    has frames more on either side of them: a context that is too short shows.
    """
    grid, frames, (left, _) = context.grid, streamed_frames(part), _sides(context)
    begins = 0, left + grid, left + 3 * grid, left + 5 * grid
    for begin, end in [*((begin, begin + grid) for begin in begins), (left + 6 * grid, frames)]:
        start, stop = context.around(begin, end, frames)
        output = part(take(start, stop))
        first, skipped = _place(begin, per_frame), _place(begin - start, per_frame)
        last = whole.shape[-1] if end == frames else _place(end, per_frame)
        _assert_same(output[..., skipped : skipped + last - first], whole[..., first:last], f"frames {begin} to {end}")


def _check_state(part: Part, context: Context, take: Take, whole: Tensor) -> None:
    frames, outputs, state = streamed_frames(part), [], part.init_state(2)
    edges = [0, context.grid, 4 * context.grid, frames // 2 // context.grid * context.grid, frames]
    for begin, end in itertools.pairwise(edges):
        assert state is not None
        by_rows = all(value.shape[0] == 2 for value in state.values())
        expect(
            by_rows, "states whose first axis is the batch, of 2 rows", {n: tuple(v.shape) for n, v in state.items()}
        )
        kept = {name: value.clone() for name, value in state.items()}
        stop = min(end + math.ceil(context.right), frames)
        output, following = part.forward_chunk(take(begin, stop), state, ahead=stop - end)
        same = all(torch.equal(state[name], value) for name, value in kept.items())
        expect(same, "forward_chunk to leave the state that it is given", "forward_chunk changed its state")
        outputs.append(output)
        state = following
    _assert_same(torch.cat(outputs, -1), whole, "chunks with the state of those before")


def _place(frames: int, per_frame: float) -> int:
    """Where frame ``frames`` lies in the output."""
    place = frames * per_frame
    whole = math.isclose(place, round(place), abs_tol=1e-6)
    expect(
        whole,
        "a grid on which chunks begin at whole numbers of the output",
        f"a wrong grid: frame {frames} is {place:g}",
    )
    return round(place)


def _assert_same(actual: Tensor, expected: Tensor, which: str) -> None:
    what = f"{which} to be those of the whole"
    expect(actual.shape == expected.shape, what, f"{tuple(actual.shape)}, and of the whole {tuple(expected.shape)}")
    difference = float((actual - expected).detach().abs().max())
    bound = TOLERANCE * float(expected.detach().abs().max())
    expect(difference <= bound, what, f"numbers that differ by {difference:.3g}")
