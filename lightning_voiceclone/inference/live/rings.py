"""Sample buffers between a sound card's thread and the worker: one writes, one reads, and neither waits.

Samples are counted from the device's first one, and a sample's number says where it lies. Only the writer moves
``written``, and only the reader ``played``, so there is no lock. The card's side copies into memory that is there.
"""

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]


class _Ring:
    """Samples by their number, the last ``capacity`` of them."""

    def __init__(self, capacity: int) -> None:
        self.capacity, self.written = capacity, 0
        self._samples = np.zeros(capacity, np.float32)

    def _put(self, first: int, samples: Samples) -> None:
        place = first % self.capacity
        fits = min(len(samples), self.capacity - place)
        self._samples[place : place + fits] = samples[:fits]
        self._samples[: len(samples) - fits] = samples[fits:]

    def _get(self, first: int, out: Samples) -> None:
        place = first % self.capacity
        fits = min(len(out), self.capacity - place)
        out[:fits] = self._samples[place : place + fits]
        out[fits:] = self._samples[: len(out) - fits]


class CaptureRing(_Ring):
    """What the card captured. The card overwrites the oldest samples; the worker sees by ``written`` how many."""

    def write(self, samples: Samples) -> None:
        """Add samples (n,): by the card."""
        last = samples[-self.capacity :]
        self._put(self.written + len(samples) - len(last), last)
        self.written += len(samples)

    def read(self, first: int, count: int) -> Samples:
        """Samples (count,) from number ``first``, a copy: by the worker."""
        out = np.empty(count, np.float32)
        self._get(first, out)
        return out


class PlaybackRing(_Ring):
    """What the card is to play. It begins silent, and is silent again after it ran out of samples.

    The card's count goes on while it is silent, so a sample's number is its time. ``fade`` samples stay in reserve: if
    fewer are left after a block, that block fades out, and the rest of them is dropped. The worker then says with
    :meth:`start` where the sound goes on.

    Args:
        capacity: samples.
        fade: samples.
    """

    def __init__(self, capacity: int, fade: int) -> None:
        super().__init__(capacity)
        self.fade, self.played, self.dropped = fade, 0, 0
        self.ended = 1  # how often it fell silent: by the card
        self._begun = 0  # how often the worker started it
        self._start = 0
        self._down = (0.5 + 0.5 * np.cos(np.pi * (np.arange(fade) + 1) / (fade + 1))).astype(np.float32)
        self._up = self._down[::-1].copy()

    @property
    def silent(self) -> bool:
        """Whether it plays nothing until it is started."""
        return self._begun != self.ended

    def play(self, out: Samples) -> None:
        """Fill ``out`` (n,) with the next samples: by the card."""
        first, count = self.played, len(out)
        last = first + count
        if self.silent:
            out.fill(0)
        else:
            written = self.written
            begin = min(max(self._start - first, 0), count)
            end = max(min(written - first, count), begin)
            out[:begin] = 0
            out[end:] = 0
            self._get(first + begin, out[begin:end])
            if written - last < self.fade:
                length = min(self.fade, end - begin)
                if length:
                    out[end - length : end] *= self._down[:: self.fade // length][:length]
                self.dropped += max(written - last, 0)
                self.ended += 1
        self.played = last

    def start(self, first: int, samples: Samples) -> None:
        """Go on with samples (n,), the first of which has the number ``first``; silence until then, and a fade-in.

        What was to be played before that fades out at its end.
        """
        faded = samples.copy()
        length = min(self.fade, len(faded))
        faded[:length] *= self._up[:: self.fade // max(length, 1)][:length]
        if self.silent:
            self.written = first
            self._put(first, faded)
            self.written, self._start = first + len(faded), first
            self._begun = self.ended
        else:
            first = max(first, self.written)
            self._fade_end()
            gap = np.zeros(min(first - self.written, self.capacity), np.float32)
            self._put(first - len(gap), gap)
            self._put(first, faded)
            self.written = first + len(faded)

    def add(self, samples: Samples) -> None:
        """Go on with samples (n,) right after those before."""
        self._put(self.written, samples)
        self.written += len(samples)

    def _fade_end(self) -> None:
        """Fade out the last samples, which are still to be played since they are the reserve."""
        count = min(self.fade, max(self.written - self.played, 0))
        tail = np.empty(count, np.float32)
        self._get(self.written - count, tail)
        self._put(self.written - count, tail * self._down[self.fade - count :])
