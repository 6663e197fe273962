"""A frame-wise computation, chunk by chunk, equal to that of the whole: ``core/chunks.py`` of the toolkit, in NumPy."""

import functools
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float32]
Frames = dict[str, Array]  # by name, batch first; the last axis is that of the frames, or of several values a frame
State = dict[str, np.ndarray]
Compute = Callable[
    ..., tuple[Frames, State]
]  # of fields, the part's state, frames ahead, and where a stage cuts, a range
FINEST = 1_000_000  # greatest denominator of a ratio of frame rates
NAMES = 256  # mappings whose names are remembered


@dataclass(frozen=True)
class Context:
    """Frames on which a chunk may depend beyond its own, and the grid on which chunks begin and end."""

    left: float = math.inf
    right: float = math.inf
    grid: int = 1

    @classmethod
    def read(cls, stored: Mapping[str, float | None]) -> "Context":
        """From the exported description, in which null is infinite."""
        left, right = (math.inf if stored[side] is None else stored[side] for side in ("left", "right"))
        return cls(left or 0, right or 0, int(stored["grid"] or 1))

    def then(self, later: "Context", rate_ratio: float = 1.0) -> "Context":
        """The context of this part followed by a later one, of which ``rate_ratio`` frames are one of this part's."""
        ratio = Fraction(rate_ratio).limit_denominator(FINEST)
        return Context(
            self.left + _rounded_up(_frames(later.left, ratio), self.grid),
            self.right + _rounded_up(_frames(later.right, ratio), self.grid),
            math.lcm(self.grid, (later.grid / ratio).numerator),
        )

    def beside(self, other: "Context") -> "Context":
        """The context of two parts with the same input, whose outputs are used together."""
        return Context(max(self.left, other.left), max(self.right, other.right), math.lcm(self.grid, other.grid))

    def around(self, begin: int, end: int, frames: int) -> tuple[int, int]:
        """Range of input frames (first, after the last) from which frames ``begin`` to ``end`` are computed."""
        start = 0 if math.isinf(self.left) else max(begin - int(_rounded_up(self.left, self.grid)), 0)
        return start, frames if math.isinf(self.right) else min(end + math.ceil(self.right), frames)


class Stage:
    """Compute frames as they come in, each as soon as the frames after it that it depends on are there.

    Args:
        name: of the stage's arrays in the state.
        context: of the computation, in frames.
        per_frame: values to a frame on the last axis of a field, by the field's name; 1 where it is not named.
        stateful: whether the computation keeps a state, and so needs no frames before the chunk.
        most: each computation ends at a multiple of so many frames, rounded up to the grid.
        cuts: whether the computation gives no more than the frames that are wanted. It then gets their range as a
            fourth argument, whose end is None for the last frame that there is.
    """

    def __init__(
        self,
        name: str,
        context: Context,
        *,
        per_frame: Mapping[str, int | Fraction],
        stateful: bool = False,
        most: int | None = None,
        cuts: bool = False,
    ) -> None:
        self.name, self.context, self.stateful, self.cuts = name, context, stateful, cuts
        sizes = {field: Fraction(size) for field, size in (per_frame or {}).items()}
        self._per_frame = {field: int(size) if size == int(size) else size for field, size in sizes.items()}
        self._most = None if most is None else math.ceil(most / context.grid) * context.grid

    @property
    def streams(self) -> bool:
        """Whether chunks can be computed before the whole is there."""
        return math.isfinite(self.context.right) and (self.stateful or math.isfinite(self.context.left))

    def init_state(self, part: State | None = None) -> State:
        """State before the first chunk; ``part`` is that of a part with a state."""
        start: State = {f"{self.name}.{key}": np.zeros(1, np.int64) for key in ("first", "done")}
        return start | above(part or {}, f"{self.name}.part.")

    def push(self, new: Frames, state: State, compute: Compute, *, final: bool = False) -> tuple[Frames, State]:
        """Frames that can be computed now, and the next state; the given state is not changed.

        Args:
            new: the frames after those of the chunk before; empty for none.
            state: of :meth:`init_state`, or of the chunk before; what belongs to other stages is passed on.
            compute: given fields, the part's state, and how many frames at their end are context only.
            final: whether these frames are the last.
        """
        held, part = below(state, f"{self.name}.held."), below(state, f"{self.name}.part.")
        if held and new:
            held = {field: np.concatenate([held[field], value], -1) for field, value in new.items()}
        held = held or new
        first, done = (int(state[f"{self.name}.{key}"][0]) for key in ("first", "done"))
        total = first + self._count(held, final)
        pieces = []
        for end in self._ends(done, total, final):
            start, stop = self._around(done, end, total)
            last = final and stop == total
            wanted = done - start, None if last and end == total else end - start
            given = self._cut(held, start - first, None if last else stop - first)
            made, part = compute(given, part, stop - end, *([wanted] if self.cuts else []))
            pieces.append(made if self.stateful or self.cuts else self._cut(made, *wanted))
            done, needed = end, self._around(end, end, end)[0]
            held, first = self._cut(held, needed - first, None), needed
        after = {f"{self.name}.first": np.array([first]), f"{self.name}.done": np.array([done])}
        if not final:
            if any(value.shape[-1] for value in held.values()):
                after |= above({field: value.copy() for field, value in held.items()}, f"{self.name}.held.")
            after |= above(part, f"{self.name}.part.")
        return concatenated(pieces), besides(state, f"{self.name}.") | after

    def _count(self, fields: Frames, final: bool) -> int:
        sizes = {name: self._per_frame.get(name, 1) for name in fields}
        if final and 1 in sizes.values():
            sizes = {name: size for name, size in sizes.items() if size == 1}
        return min((fields[name].shape[-1] // size for name, size in sizes.items()), default=0)

    def _ends(self, done: int, total: int, final: bool) -> Iterator[int]:
        last = total
        if not final:
            right = self.context.right
            last = 0 if math.isinf(right) else (total - math.ceil(right)) // self.context.grid * self.context.grid
        while done < last:
            done = last if self._most is None else min(last, (done // self._most + 1) * self._most)
            if self.stateful and final and total - done < self.context.right:
                done = last  # a graph with a state is exported for all of its context at the end, and for none
            yield done

    def _around(self, begin: int, end: int, total: int) -> tuple[int, int]:
        start, stop = self.context.around(begin, end, total)
        return (begin if self.stateful else start), stop

    def _cut(self, fields: Frames, begin: int, end: int | None) -> Frames:
        if not begin and end is None:
            return fields
        sizes = {name: self._per_frame.get(name, 1) for name in fields}
        return {name: value[..., int(begin * sizes[name]) : None if end is None else int(end * sizes[name])]
                for name, value in fields.items()}  # fmt: skip


def concatenated(pieces: list[Frames]) -> Frames:
    """Fields of several chunks, one after the other; nothing of none."""
    if len(pieces) < 2:
        return pieces[0] if pieces else {}
    return {field: np.concatenate([piece[field] for piece in pieces], -1) for field in pieces[0]}


def below(state: State, prefix: str) -> State:
    """The values whose names begin with the prefix, by the rest of their names."""
    return {rest: state[key] for key, rest in _below(tuple(state), prefix)}


def above(part: Mapping[str, Any], prefix: str) -> dict[str, Any]:
    """The values with the prefix before their names: what :func:`below` takes away."""
    return dict(zip(_above(tuple(part), prefix), part.values(), strict=True))


def besides(state: State, prefix: str) -> State:
    """The values whose names do not begin with the prefix."""
    return {key: state[key] for key in _besides(tuple(state), prefix)}


# A stream has the same names in every chunk, some hundreds of them, so the work on them is remembered.


@functools.lru_cache(NAMES)
def _below(keys: tuple[str, ...], prefix: str) -> tuple[tuple[str, str], ...]:
    return tuple((key, key.removeprefix(prefix)) for key in keys if key.startswith(prefix))


@functools.lru_cache(NAMES)
def _above(keys: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    return tuple(prefix + key for key in keys)


@functools.lru_cache(NAMES)
def _besides(keys: tuple[str, ...], prefix: str) -> tuple[str, ...]:
    return tuple(key for key in keys if not key.startswith(prefix))


def _frames(side: float, ratio: Fraction) -> float:
    return side if math.isinf(side) else math.ceil(Fraction(side) / ratio)


def _rounded_up(side: float, grid: int) -> float:
    return side if math.isinf(side) else math.ceil(side / grid) * grid
