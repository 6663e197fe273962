"""A frame-wise computation, chunk by chunk, equal to that of the whole."""

import math
from collections.abc import Callable, Iterator, Mapping
from fractions import Fraction

import torch
from torch import Tensor

from lightning_voiceclone.core.streaming import Context, State

Frames = dict[str, Tensor]  # by name, batch first; the last axis is that of the frames, or of several values a frame
Compute = Callable[[Frames, State, int], tuple[Frames, State]]


class Stage:
    """Compute frames as they come in, each as soon as the frames after it that it depends on are there.

    The stage itself keeps nothing. What it holds between two chunks is in the state: ``NAME.first`` (B,), the first
    frame that is held, ``NAME.done`` (B,), how many were computed, ``NAME.held.FIELD``, and ``NAME.part.KEY`` of a part
    with a state of its own. All rows of a batch are at the same frame.

    Args:
        name: of the stage's tensors in the state.
        context: of the computation, in frames.
        per_frame: values to a frame on the last axis of a field, by the field's name; 1 where it is not named.
        stateful: whether the computation keeps a state, and so needs no frames before the chunk.
        most: each computation ends at a multiple of so many frames, rounded up to the grid; None for as many frames as
            there are. Memory then does not grow with the chunk.
    """

    def __init__(
        self,
        name: str,
        context: Context,
        *,
        per_frame: Mapping[str, int | Fraction] | None = None,
        stateful: bool = False,
        most: int | None = None,
    ) -> None:
        self.name, self.context, self.stateful = name, context, stateful
        sizes = {field: Fraction(size) for field, size in (per_frame or {}).items()}
        self._per_frame = {field: int(size) if size == int(size) else size for field, size in sizes.items()}
        self._most = None if most is None else math.ceil(most / context.grid) * context.grid

    @property
    def streams(self) -> bool:
        """Whether chunks can be computed before the whole is there."""
        return math.isfinite(self.context.right) and (self.stateful or math.isfinite(self.context.left))

    def init_state(self, batch: int, part: State | None = None) -> State:
        """State before the first chunk of ``batch`` rows; ``part`` is that of a part with a state."""
        start = {f"{self.name}.{key}": torch.zeros(batch, dtype=torch.int64) for key in ("first", "done")}
        return start | {f"{self.name}.part.{key}": value for key, value in (part or {}).items()}

    def push(self, new: Frames, state: State, compute: Compute, *, final: bool = False) -> tuple[Frames, State]:
        """Frames that can be computed now, and the next state; the given state is not changed.

        Args:
            new: the frames after those of the chunk before; empty for none.
            state: of :meth:`init_state`, or of the chunk before; what belongs to other stages is passed on.
            compute: given fields, the part's state, and how many frames at their end are context only. It returns
                fields of the same number of frames and the part's state; where the stage is ``stateful``, the
                fields without those frames at the end.
            final: whether these frames are the last.

        Returns:
            The fields that ``compute`` gives, empty if there are no frames yet; and the state.
        """
        mine = {key: value for key, value in state.items() if key.startswith(f"{self.name}.")}
        held = self._joined(new, mine)
        first, done = (int(mine[f"{self.name}.{key}"][0]) for key in ("first", "done"))
        part = below(mine, f"{self.name}.part.")
        total = first + self._count(held, final)
        pieces = []
        for end in self._ends(done, total, final):
            start, stop = self._around(done, end, total)
            last = final and stop == total
            made, part = compute(self._cut(held, start - first, None if last else stop - first), part, stop - end)
            if not self.stateful:
                made = self._cut(made, done - start, None if last and end == total else end - start)
            pieces.append(made)
            done, needed = end, self._around(end, end, end)[0]
            held, first = self._cut(held, needed - first, None), needed
        batch = len(mine[f"{self.name}.first"])
        after = {f"{self.name}.first": torch.full((batch,), first), f"{self.name}.done": torch.full((batch,), done)}
        if not final:
            after |= {f"{self.name}.held.{field}": value.clone() for field, value in held.items()}
            after |= {f"{self.name}.part.{key}": value for key, value in part.items()}
        return concatenated(pieces), {key: value for key, value in state.items() if key not in mine} | after

    def _joined(self, new: Frames, mine: State) -> Frames:
        held = below(mine, f"{self.name}.held.")
        if not held or not new:
            return held or new
        return {field: torch.cat([held[field], value], -1) for field, value in new.items()}

    def _count(self, fields: Frames, final: bool) -> int:
        """Whole frames that all fields have; at the end, of fields with one value a frame, which others may miss."""
        sizes = {name: self._per_frame.get(name, 1) for name in fields}
        if final and 1 in sizes.values():
            sizes = {name: size for name, size in sizes.items() if size == 1}
        return min((fields[name].shape[-1] // size for name, size in sizes.items()), default=0)

    def _ends(self, done: int, total: int, final: bool) -> Iterator[int]:
        """Where the computations end that can be done now."""
        last = total
        if not final:
            right = self.context.right
            last = 0 if math.isinf(right) else (total - math.ceil(right)) // self.context.grid * self.context.grid
        while done < last:
            done = last if self._most is None else min(last, (done // self._most + 1) * self._most)
            yield done

    def _around(self, begin: int, end: int, total: int) -> tuple[int, int]:
        start, stop = self.context.around(begin, end, total)
        return (begin if self.stateful else start), stop

    def _cut(self, fields: Frames, begin: int, end: int | None) -> Frames:
        sizes = {name: self._per_frame.get(name, 1) for name in fields}
        return {name: value[..., int(begin * sizes[name]) : None if end is None else int(end * sizes[name])]
                for name, value in fields.items()}  # fmt: skip


def concatenated(pieces: list[Frames]) -> Frames:
    """Fields of several chunks, one after the other; nothing of none."""
    if len(pieces) < 2:
        return pieces[0] if pieces else {}
    return {field: torch.cat([piece[field] for piece in pieces], -1) for field in pieces[0]}


def below(state: State, prefix: str) -> State:
    """The values whose names begin with the prefix, by the rest of their names."""
    return {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
