"""Silence where nobody speaks: a model makes babble of a fan."""

import math

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.errors import check_range

Samples = NDArray[np.float32]
OPEN_DB = -40.0  # of full scale (RMS): quiet speech into a laptop's microphone is above it
HYSTERESIS_DB = 6.0
PIECE_SECONDS = 0.005
FAST_SECONDS, SLOW_SECONDS = 0.01, 0.1  # over which the level is smoothed, to open and to close
HOLD_SECONDS = 0.2
ATTACK_SECONDS, RELEASE_SECONDS = 0.005, 0.03
LEAST_DB, MOST_DB = -90.0, -10.0


class Gate:
    """Gain of 0 while the level is low, 1 while it is not, sample by sample.

    It opens when the level over some 20 ms exceeds the threshold, and closes when it has been 6 dB below that for
    0.2 s. A constant offset has no level.

    Args:
        sample_rate: in Hz.
        threshold: in dB of full scale (RMS), -90 to -10; None to be always open.

    Raises:
        ConfigurationError: if the threshold is out of range.
    """

    def __init__(self, sample_rate: int, threshold: float | None = OPEN_DB) -> None:
        self.set(threshold)
        self.is_open = threshold is None
        self._rate, self._gain, self._below = sample_rate, float(threshold is None), 0.0
        self._fast = self._slow = 0.0

    def set(self, threshold: float | None) -> None:
        """Go on with another threshold.

        Raises:
            ConfigurationError: if it is out of range.
        """
        check_range("gate", threshold, LEAST_DB, MOST_DB, unset="no gate")
        self.threshold = threshold

    @property
    def level(self) -> float:
        """In dB of full scale, over some 20 ms."""
        return 10 * math.log10(max(self._fast, 1e-10))

    def gains(self, samples: Samples) -> Samples:
        """Gains (N,) in [0, 1] of the next samples (N,)."""
        size = len(samples) if self.threshold is None else max(round(PIECE_SECONDS * self._rate), 1)
        gains, slope = np.empty(len(samples), np.float32), np.arange(1, size + 1)
        for begin in range(0, len(samples), max(size, 1)):
            piece = samples[begin : begin + size]
            self._decide(len(piece) / self._rate, float(np.dot(piece, piece) / len(piece) - piece.mean() ** 2))
            rise = 1 / (ATTACK_SECONDS * self._rate) if self.is_open else -1 / (RELEASE_SECONDS * self._rate)
            if self._gain == self.is_open:
                gains[begin : begin + size] = self._gain
            else:
                gains[begin : begin + size] = np.clip(self._gain + rise * slope[: len(piece)], 0, 1)
                self._gain = float(gains[begin + len(piece) - 1])
        return gains

    def _decide(self, seconds: float, power: float) -> None:
        self._fast += (power - self._fast) * -math.expm1(-seconds / FAST_SECONDS)
        self._slow += (power - self._slow) * -math.expm1(-seconds / SLOW_SECONDS)
        if self.threshold is None:
            self.is_open = True
            return
        threshold = 10 ** (self.threshold / 10)
        quiet = max(self._fast, self._slow) < threshold * 10 ** (-HYSTERESIS_DB / 10)
        self._below = self._below + seconds if quiet else 0.0
        self.is_open = self._fast > threshold or (self.is_open and self._below < HOLD_SECONDS)
