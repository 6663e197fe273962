"""Conversion between the rates of two clocks, whose ratio changes a little while it runs, and what sets that ratio."""

import math

import numpy as np
from numpy.typing import NDArray

Samples = NDArray[np.float32]
CROSSINGS = 16  # of the sinc on either side: 1 ms at 16 kHz
PHASES = 512  # of a sample; between two, the kernel is interpolated
BETA = 9.0  # of the Kaiser window
PASS = 0.94  # of the lower rate's band, where the rate falls
GAIN = 0.1  # a second: an error is corrected with a time constant of some 10 s
MOST_ADJUSTMENT = 5e-3  # of the rate, 9 cents
SMOOTHING_SECONDS = 1.0


class Resampler:
    """Resample samples as they come in by a windowed sinc (Smith and Gossett 1984), at a ratio that may change.

    An output sample at ``position``, counted in input samples from the first one, is computed as soon as half of the
    kernel after it is there, so nothing is delayed but by that. At equal rates and no adjustment the samples
    are those of the input.

    Args:
        rate_in: in Hz.
        rate_out: in Hz.
    """

    def __init__(self, rate_in: float, rate_out: float) -> None:
        self._step = rate_in / rate_out
        band = 1.0 if rate_out >= rate_in else PASS * rate_out / rate_in
        self.half = math.ceil(CROSSINGS / band)  # input samples that it looks ahead
        times = np.arange(1 - self.half, self.half + 1) - np.arange(PHASES + 1)[:, None] / PHASES
        window = np.i0(BETA * np.sqrt(np.clip(1 - (times / self.half) ** 2, 0, None))) / np.i0(BETA)
        self._kernel = (band * np.sinc(band * times) * window).astype(np.float32)
        self._slope = np.diff(self._kernel, axis=0)
        self._around = np.arange(2 * self.half)
        self._held = np.zeros(self.half - 1, np.float32)
        self._first = 1 - self.half  # number of the first sample held
        self.position = 0.0

    def push(self, samples: Samples, adjustment: float = 0.0) -> Samples:
        """Samples (m,) that can be computed now; an ``adjustment`` above 0 makes fewer of them, by that share."""
        held = np.concatenate([self._held, samples])
        step = self._step * (1 + adjustment)
        end = self._first + len(held) - self.half  # positions below it can be computed
        count = max(math.ceil((end - self.position) / step), 0)
        if count and self.position + step * (count - 1) >= end:  # by rounding
            count -= 1
        if step == 1 and self.position == int(self.position):
            begin = int(self.position) - self._first
            made = held[begin : begin + count].copy()
        else:
            made = self._filtered(held, self.position + step * np.arange(count))
        self.position += step * count
        keep = max(int(self.position) - self.half + 1 - self._first, 0)
        self._held, self._first = held[keep:].copy(), self._first + min(keep, len(held))
        return made

    def _filtered(self, held: Samples, positions: NDArray[np.float64]) -> Samples:
        if not len(positions):
            return np.zeros(0, np.float32)
        whole = np.floor(positions)
        phase, share = np.divmod((positions - whole) * PHASES, 1.0)
        index = phase.astype(np.intp)
        kernel = self._kernel[index] + share.astype(np.float32)[:, None] * self._slope[index]
        begin = whole.astype(np.intp) - (self.half - 1 + self._first)
        return np.einsum("ij,ij->i", held[begin[:, None] + self._around], kernel)


class DriftControl:
    """Adjustment of the output's rate that holds the delay at its target, though two clocks never run alike.

    A proportional and integral control of the smoothed error, critically damped: the integral becomes the difference of
    the clocks, so that no error remains.
    """

    def __init__(self) -> None:
        self.adjustment = self._integral = self._error = 0.0

    def update(self, error: float, seconds: float) -> float:
        """The next adjustment.

        Args:
            error: delay less its target, in seconds.
            seconds: since the last error.
        """
        self._error += (error - self._error) * -math.expm1(-seconds / SMOOTHING_SECONDS)
        self._integral = _limited(self._integral + GAIN**2 / 4 * self._error * seconds)
        self.adjustment = _limited(GAIN * self._error + self._integral)
        return self.adjustment

    def restart(self) -> None:
        """Begin at no error, as after a gap; the difference of the clocks stays known."""
        self._error, self.adjustment = 0.0, self._integral


def _limited(value: float) -> float:
    return min(max(value, -MOST_ADJUSTMENT), MOST_ADJUSTMENT)
