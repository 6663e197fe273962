"""How many frames an output frame depends on, and what a part keeps from one chunk to the next."""

import math
from dataclasses import dataclass
from fractions import Fraction

from torch import Tensor

from lightning_voiceclone.errors import ConfigurationError

State = dict[str, Tensor]  # what a part keeps between chunks, by name; the first axis is the batch
FINEST = 1_000_000  # greatest denominator of a ratio of frame rates


@dataclass(frozen=True)
class Context:
    """Frames on which one output frame may depend, and where chunks may begin.

    A chunk that begins at a multiple of ``grid``, with the frames that :meth:`around` adds, gives what the whole gives.
    The default is the whole recording.

    Args:
        left: frames before; a whole number, or infinite.
        right: frames after; likewise. A part must wait for them: its algorithmic latency.
        grid: chunks may begin at multiples of so many frames.

    Raises:
        ConfigurationError: if a side is below 0, or the grid below 1.
    """

    left: float = math.inf
    right: float = math.inf
    grid: int = 1

    def __post_init__(self) -> None:
        """Refuse what no part can have."""
        if not (self.left >= 0 and self.right >= 0 and self.grid >= 1):
            raise ConfigurationError(
                f"Context: left is {self.left}, right {self.right} and grid {self.grid}; the sides must be at least 0,"
                " the grid at least 1"
            )

    def then(self, later: "Context", rate_ratio: float = 1.0) -> "Context":
        """The context of this part followed by a later one, in frames of this part.

        Sides add up; a chunk begins where it may for both.

        Args:
            later: in its own frames.
            rate_ratio: frames of ``later`` to one frame of this part.
        """
        ratio = Fraction(rate_ratio).limit_denominator(FINEST)
        return Context(
            self.left + _frames(later.left, ratio),
            self.right + _frames(later.right, ratio),
            math.lcm(self.grid, (later.grid / ratio).numerator),
        )

    def beside(self, other: "Context") -> "Context":
        """The context of two parts that are given the same frames, and whose outputs are used together."""
        return Context(max(self.left, other.left), max(self.right, other.right), math.lcm(self.grid, other.grid))

    def around(self, begin: int, end: int, frames: int) -> tuple[int, int]:
        """First frame, and the one after the last, that frames ``begin`` to ``end`` of ``frames`` are computed from.

        The left side is rounded up to whole grids, so that what is given begins at a multiple of ``grid`` too.

        Args:
            begin: first frame of the chunk; a multiple of ``grid``.
            end: the frame after the chunk's last.
            frames: of the whole.
        """
        start = 0 if math.isinf(self.left) else max(begin - math.ceil(self.left / self.grid) * self.grid, 0)
        return start, frames if math.isinf(self.right) else min(end + math.ceil(self.right), frames)


def _frames(side: float, ratio: Fraction) -> float:
    """A side in frames of another rate, of which there are ``1 / ratio`` to one."""
    return side if math.isinf(side) else math.ceil(Fraction(side) / ratio)
