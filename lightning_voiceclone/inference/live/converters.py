"""What converts the chunks of a live source: a model, or anything that gives samples for samples. Imports no torch."""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.errors import ConfigurationError

Samples = NDArray[np.float32]
LEAST_REHEARSED_SECONDS = 1.0
WARMING = 3  # chunks that are slower, because memory is allocated
CONVERSIONS = 3  # that a rehearsal waits for
MARGIN = 1.2  # of the slowest chunk of a rehearsal
MOST_GRID = 16  # frames, up to which chunks are aligned: of coarser models some more do not matter
LONG_SECONDS = 0.3  # a look-ahead beyond it makes talking hard


class LiveConverter(Protocol):
    """Samples at ``sample_rate`` to samples at the same rate; the k-th belongs to the k-th of the source."""

    sample_rate: int

    def push(self, samples: Samples) -> Samples:
        """Samples (M,) that can be given after the next samples (N,) of the source; M may be 0."""

    def restart(self, *, forget: bool = False) -> None:
        """Begin anew: the next samples follow a gap, or are of another source (``forget``)."""


class ModelConverter(ABC):
    """A model that speaks in a speaker's voice. Options and speaker may be changed from another thread.

    ``latency`` is how many seconds of the source must have come before the model can give anything.
    """

    sample_rate: int
    latency: float

    def __init__(self) -> None:
        self._changes: list[Callable[[], None]] = []
        self._before = self._dropped = 0  # samples of silence before the first chunk, and those still to be dropped
        self._begun = False

    @abstractmethod
    def speaker(self, *paths: str) -> Any:
        """Analyse recordings of one speaker, or read a ``.voice`` file, for :meth:`change`.

        Raises:
            LVCError: if one cannot be used.
        """

    @abstractmethod
    def change(self, speaker: Any = None, **options: Any) -> None:
        """Speak in another voice, or with other options, from the next chunk on.

        Raises:
            LVCError: if the speaker is of another model, or an option is out of range.
        """

    @abstractmethod
    def _converted(self, samples: Samples) -> Samples:
        """As of :meth:`push`."""

    @abstractmethod
    def _restart(self, *, forget: bool) -> None:
        """As of :meth:`restart`."""

    @abstractmethod
    def _waits(self) -> tuple[int, list[tuple[int, int]]]:
        """Samples of a frame, and of each stage how many frames it waits for, and at whose multiples its chunks end."""

    def restart(self, *, forget: bool = False) -> None:
        """As of :class:`LiveConverter`; what is known of the source is its register, its level and its voice."""
        self._restart(forget=forget)
        self._begun = False

    def align(self, size: int) -> None:
        """Let chunks of so many samples end where least is held back: some silence goes before the first one."""
        hop, stages = self._waits()
        grid = math.lcm(*(end for _, end in stages))
        if grid <= MOST_GRID:
            self._before = hop * min(range(grid), key=lambda frames: _held(frames * hop, size, hop, stages))

    def push(self, samples: Samples) -> Samples:
        """As of :class:`LiveConverter`."""
        while self._changes:
            self._changes.pop(0)()
        if not self._begun and len(samples):
            samples = np.concatenate([np.zeros(self._before, np.float32), samples])
            self._begun, self._dropped = True, self._before
        made = self._converted(samples)
        dropped = min(self._dropped, len(made))
        self._dropped -= dropped
        return made[dropped:]


def _held(before: int, size: int, hop: int, stages: list[tuple[int, int]]) -> int:
    """Most samples of the source that have come and not gone, just after chunks that gave some."""
    grid = math.lcm(*(end for _, end in stages)) * hop
    until = sum(right + end for right, end in stages) * hop + math.lcm(grid, size)
    held = given = 0
    for pushed in range(before + 1 + size, until, size):  # the first chunk is a sample longer, as of the engine
        frames = pushed // hop
        for right, end in stages:
            frames = max(frames - right, 0) // end * end
        if frames * hop > given:
            given = frames * hop
            held = max(held, pushed - given)
    return held


@dataclass(frozen=True)
class Rehearsal:
    """What a converter needs, measured before it is used.

    Args:
        lookahead: greatest number of seconds of source that it holds beyond a chunk, when it gives samples.
        compute: seconds to allow for a chunk.
    """

    lookahead: float
    compute: float


def rehearse(
    converter: LiveConverter, chunk: float, timer: Callable[[], float] | None = None, *, latency: float = 0.0
) -> Rehearsal:
    """Convert some seconds of noise, to measure look-ahead and time; the converter forgets it.

    Args:
        converter: to measure.
        chunk: seconds.
        timer: gives the time in seconds; None to take the compute time as 0.
        latency: seconds of source before which nothing can be expected.

    Raises:
        ConfigurationError: if nothing comes out.
    """
    size, noise = round(chunk * converter.sample_rate), np.random.default_rng(0)
    if isinstance(converter, ModelConverter):
        converter.align(size)
    pushed = given = conversions = held = 0
    times: list[float] = []
    least, most = (LEAST_REHEARSED_SECONDS + latency) * converter.sample_rate, (30 + 10 * latency) * (
        converter.sample_rate)  # fmt: skip
    while pushed < least or conversions < CONVERSIONS:  # the first chunk is a sample longer, as of the engine
        if pushed > most:
            raise ConfigurationError(f"nothing came out of the model in {pushed / converter.sample_rate:.0f} s")
        begin, count = timer() if timer else 0.0, size + (pushed == 0)
        made = len(converter.push(0.01 * noise.standard_normal(count).astype(np.float32)))
        times.append((timer() if timer else 0.0) - begin)
        held = max(held, pushed + count - given - size) if made else held
        conversions += made > 0
        pushed, given = pushed + count, given + made
    converter.restart(forget=True)
    return Rehearsal(held / converter.sample_rate, MARGIN * max(times[WARMING:], default=0.0))


def lookahead_note(lookahead: float) -> str:
    """A warning of a look-ahead with which talking is hard; empty if it is short."""
    if lookahead <= LONG_SECONDS:
        return ""
    return (
        f"this model looks {lookahead:.1f} s ahead, so its voice comes at least that late; for a conversation, use a"
        " model that was trained for streams (CausalContentEncoder)"
    )
