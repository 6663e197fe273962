"""What the delay of a live conversion is made of."""

from collections import deque
from dataclasses import dataclass, fields

import numpy as np

KEPT = 500  # chunks: 10 s at 20 ms


@dataclass(frozen=True)
class Delay:
    """Of one chunk's first output sample, from the sound at the microphone to the sound at the loudspeaker, in seconds.

    Each term ends where the next one begins, so that their sum is the delay.

    Args:
        capture: of the input device, until it gives its newest sample.
        chunk: length of the chunk that is waited for.
        lookahead: what the model, and the conversion between the devices' rates and its own, wait for beyond the chunk.
        compute: of the chunk.
        queue: waiting of the chunk to be converted, and of its output to be played.
        output: of the output device, from when it takes a sample.
    """

    capture: float
    chunk: float
    lookahead: float
    compute: float
    queue: float
    output: float

    @property
    def total(self) -> float:
        """The sum."""
        return sum(self.terms)

    @property
    def terms(self) -> tuple[float, ...]:
        """In order."""
        return self.capture, self.chunk, self.lookahead, self.compute, self.queue, self.output


TERMS = tuple(field.name for field in fields(Delay))


class Delays:
    """Those of the last chunks, and how long the last ones took to compute."""

    def __init__(self, kept: int = KEPT) -> None:
        self._delays: deque[Delay] = deque(maxlen=kept)
        self._spent: deque[float] = deque(maxlen=kept)

    def __len__(self) -> int:
        return len(self._delays)

    def add(self, delay: Delay) -> None:
        """Those of a chunk whose output is to be played."""
        self._delays.append(delay)

    def add_spent(self, seconds: float) -> None:
        """Seconds of work for a chunk, whether or not anything came of it."""
        self._spent.append(seconds)

    @property
    def chunks(self) -> int:
        """How many were computed."""
        return len(self._spent)

    def clear(self) -> None:
        """Forget them."""
        self._delays.clear()
        self._spent.clear()

    def mean(self) -> Delay:
        """The mean of each term; zeros if there is none yet."""
        values = [one.terms for one in list(self._delays)]
        return Delay(*(np.mean(values, 0).tolist() if values else [0.0] * len(TERMS)))

    def percentiles(self, *percents: float) -> dict[str, list[float]]:
        """Of each term, of ``total``, and of ``work``, the seconds of work for each chunk."""
        values = [[*one.terms, one.total] for one in list(self._delays)] or [[0.0] * (len(TERMS) + 1)]
        columns = dict(zip((*TERMS, "total"), np.array(values).T, strict=True))
        return {name: np.percentile(column, percents).tolist()
                for name, column in {**columns, "work": np.array(list(self._spent) or [0.0])}.items()}  # fmt: skip
