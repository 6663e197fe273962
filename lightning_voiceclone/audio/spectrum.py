"""Bandwidth and speech-to-noise ratio of a recording that is read in blocks."""

import numpy as np

from lightning_voiceclone.audio.noise import band_powers, speech_over_noise, steady_noise

SPECTRUM = 1024  # samples of the frames of which the bandwidth is measured
NOISE_BANDS = 16  # in which noise is looked for, up to 8 kHz: above there is hardly a voice
QUANTIZATION_BITS = {"PCM_U8": 8, "PCM_S8": 8, "PCM_16": 16, "PCM_24": 24}


class Power:
    """Powers of mono samples that come in blocks: their mean by frequency, and by bands how they move.

    Args:
        rate: samples a second.
    """

    def __init__(self, rate: int) -> None:
        self.window = np.hanning(SPECTRUM).astype(np.float32)
        self.total, self.windows = np.zeros(SPECTRUM // 2 + 1), 0
        self.rate = rate
        self.bands: list[np.ndarray] = []

    def add(self, mono: np.ndarray) -> None:
        """Take in (N,) samples."""
        self.bands.append(band_powers(mono, self.rate)[:NOISE_BANDS])
        # A window cut by the recording's end would spread over all frequencies: it is left out if it is not the only.
        whole = len(mono) // SPECTRUM * SPECTRUM
        mono = (mono[:whole] if whole else np.pad(mono, (0, SPECTRUM - len(mono)))).reshape(-1, SPECTRUM)
        self.total += (np.abs(np.fft.rfft(mono * self.window)) ** 2).sum(axis=0)
        self.windows += len(mono)

    @property
    def spectrum(self) -> np.ndarray:
        """(bins,) in which white noise of variance v is v everywhere."""
        return self.total / self.windows / float((self.window**2).sum())

    @property
    def snr_db(self) -> float:
        """Speech over steady noise."""
        bands = np.concatenate(self.bands, axis=1)
        return speech_over_noise(bands.sum(axis=0), steady_noise(bands))


def bandwidth(spectrum: np.ndarray, rate: int, subtype: str) -> float:
    """Hz, from a power spectrum in which white noise of variance v is v everywhere."""
    bits = QUANTIZATION_BITS.get(subtype)
    # Dither triples the power of the rounding; twice as much again allows for the estimate's own variance.
    quantization = 0.0 if bits is None else 6 * 4.0 ** (1 - bits) / 12
    smooth = np.convolve(spectrum, np.ones(5) / 5, mode="same")
    above = np.flatnonzero(smooth > max(quantization, 1e-9 * smooth.max()))
    return float((above[-1] + 1 if len(above) else 0) * rate / SPECTRUM) if len(above) < len(smooth) else rate / 2
