"""Context of frame-wise parts: how many frames an output frame depends on, and the state between chunks."""

import math
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from lightning_voiceclone.errors import ConfigurationError

State = dict[str, Tensor]  # a part's state between chunks, by name; the first axis is the batch
FINEST = 1_000_000  # greatest denominator of a ratio of frame rates


@dataclass(frozen=True)
class Context:
    """Frames on which the output of a chunk may depend beyond its own, and where chunks begin and end.

    The output of a chunk that begins and ends at multiples of ``grid``, or at the recording's ends, computed with the
    frames that :meth:`around` adds, is equal to that of the whole recording. The default context is all of it.

    Args:
        left: frames before; a whole number, or infinite.
        right: frames after; likewise. This and up to a grid less one frame is the part's algorithmic latency.
        grid: chunks may begin and end at multiples of so many frames.

    Raises:
        ConfigurationError: if a side is below 0, or the grid below 1.
    """

    left: float = math.inf
    right: float = math.inf
    grid: int = 1

    def __post_init__(self) -> None:
        """Check the values."""
        if not (self.left >= 0 and self.right >= 0 and self.grid >= 1):
            raise ConfigurationError(
                f"Context: left is {self.left}, right {self.right} and grid {self.grid}; the sides must be at least 0,"
                " the grid at least 1"
            )

    def then(self, later: "Context", rate_ratio: float = 1.0) -> "Context":
        """The context of this part followed by a later one, in frames of this part.

        A chunk begins and ends where it may for both. Sides add up, the later part's rounded up to this part's grid:
        the frames of this part that it takes are those of whole chunks. Of several parts, join the last ones first;
        the other way round, each side is rounded for itself.

        Args:
            later: in its own frames.
            rate_ratio: frames of ``later`` to one frame of this part.
        """
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
        """Range of input frames (first, after the last) from which frames ``begin`` to ``end`` are computed.

        The left side is rounded up to whole grids, so that the range begins at a multiple of ``grid`` too.

        Args:
            begin: first frame of the chunk; a multiple of ``grid``.
            end: the frame after the chunk's last; a multiple of ``grid``, or the end.
            frames: of the whole.
        """
        start = 0 if math.isinf(self.left) else max(begin - int(_rounded_up(self.left, self.grid)), 0)
        return start, frames if math.isinf(self.right) else min(end + math.ceil(self.right), frames)

    def seen_by(self, frame: int, frames: int) -> range:
        """Input frames on which the output frame of that number may depend: those of the shortest chunk with it."""
        begin = frame // self.grid * self.grid
        return range(*self.around(begin, begin + self.grid, frames))


ALONE = Context(0, 0)  # each frame is computed from that frame of the input


def _frames(side: float, ratio: Fraction) -> float:
    """Convert a side to frames of another rate, ``1 / ratio`` of which make one."""
    return side if math.isinf(side) else math.ceil(Fraction(side) / ratio)


def _rounded_up(side: float, grid: int) -> float:
    """Frames of the whole grids that hold a side."""
    return side if math.isinf(side) else math.ceil(side / grid) * grid
