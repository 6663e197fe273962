"""What converts the chunks of a live source: a model, or anything that gives samples for samples. Imports no torch."""

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
LONG_SECONDS = 0.3  # a look-ahead beyond it makes talking hard


class LiveConverter(Protocol):
    """Samples at ``sample_rate`` to samples at the same rate; the k-th belongs to the k-th of the source."""

    sample_rate: int

    def push(self, samples: Samples) -> Samples:
        """Samples (M,) that can be given after the next samples (N,) of the source; M may be 0."""

    def restart(self) -> None:
        """Begin anew after a gap: the next samples do not follow those before."""


class ModelConverter(ABC):
    """A model that speaks in a speaker's voice. Options and speaker may be changed from another thread.

    ``latency`` is how many seconds of the source must have come before the model can give anything.
    """

    sample_rate: int
    latency: float

    def __init__(self) -> None:
        self._changes: list[Callable[[], None]] = []

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
    def restart(self) -> None:
        """As of :class:`LiveConverter`; what is known of the source's register, level and voice is kept."""

    def push(self, samples: Samples) -> Samples:
        """As of :class:`LiveConverter`."""
        while self._changes:
            self._changes.pop(0)()
        return self._converted(samples)


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
    """Convert some seconds of noise, to measure look-ahead and time; the converter is restarted after it.

    Args:
        converter: to measure.
        chunk: seconds.
        timer: gives the time in seconds; None to take the compute time as 0.
        latency: seconds of source before which nothing can be expected.

    Raises:
        ConfigurationError: if nothing comes out.
    """
    size, noise = round(chunk * converter.sample_rate), np.random.default_rng(0)
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
    converter.restart()
    return Rehearsal(held / converter.sample_rate, MARGIN * max(times[WARMING:], default=0.0))


def lookahead_note(lookahead: float) -> str:
    """A warning of a look-ahead with which talking is hard; empty if it is short."""
    if lookahead <= LONG_SECONDS:
        return ""
    return (
        f"this model looks {lookahead:.1f} s ahead, so its voice comes at least that late; for a conversation, use a"
        " model that was trained for streams (CausalContentEncoder)"
    )
