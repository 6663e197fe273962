"""Speech over steady noise, of the powers of frames in bands. NumPy alone: checking a recording needs no torch."""

import math

import numpy as np
from numpy.typing import NDArray

FRAME_SECONDS = 0.032
BAND_HZ, LOWEST_HZ = 500.0, 60.0  # below the lowest there is no voice
FLOOR_SMOOTHING = 3  # frames, 0.05 s: shorter than the pauses between words
FLOOR_BIAS = 1.44  # mean over 5th percentile of white noise, in such bands and so smoothed
BLOCK = 4096  # frames at once, so that memory does not grow much with the recording
CLEAN_DB = 60.0  # higher ratios of speech to noise are not distinguished


def frame_samples(sample_rate: int) -> int:
    """Samples of a frame; the next one begins half of them later."""
    return int(2 ** round(math.log2(FRAME_SECONDS * sample_rate)))


def band_powers(audio: NDArray[np.float32], sample_rate: int) -> NDArray[np.float32]:
    """Mean square (bands, T) in bands of 500 Hz of the frames (Hann) that lie wholly within (N,) samples."""
    size = frame_samples(sample_rate)
    window = np.hanning(size + 1)[:-1].astype(np.float32)
    edges = np.round(np.arange(0, sample_rate / 2 + 1, BAND_HZ) * size / sample_rate).astype(int)
    edges[0] = max(1, round(LOWEST_HZ * size / sample_rate))
    if len(audio) < size:
        return np.zeros((len(edges) - 1, 0), np.float32)
    frames = np.lib.stride_tricks.sliding_window_view(audio, size)[:: size // 2]
    scale = 2 / (size * float(np.square(window).sum()))
    found = []
    for begin in range(0, len(frames), BLOCK):
        power = np.abs(np.fft.rfft(frames[begin : begin + BLOCK] * window)) ** 2
        found.append(np.add.reduceat(power[:, : edges[-1]], edges[:-1], axis=1).T * np.float32(scale))
    return np.concatenate(found, axis=1)


def moving_mean(values: NDArray[np.float32], width: int) -> NDArray[np.float32]:
    """Moving mean over the last axis, whose ends are repeated."""
    before, after = width // 2, width - 1 - width // 2
    padded = np.pad(values, [(0, 0)] * (values.ndim - 1) + [(before + 1, after)], mode="edge")
    total = np.cumsum(padded, axis=-1, dtype=np.float64)
    return ((total[..., width:] - total[..., :-width]) / width).astype(np.float32)


def steady_noise(bands: NDArray[np.float32]) -> float:
    """Mean square of the steady noise, of :func:`band_powers` (bands, T).

    Every band is quiet at another time (Martin 2001): where speech leaves no pause in all bands, it does in each.
    """
    sounding = bands[:, bands.sum(axis=0) > 1e-12]  # digital silence comes from editing, not from the recording
    if not sounding.shape[1]:
        return 0.0
    return float(FLOOR_BIAS * np.percentile(moving_mean(sounding, FLOOR_SMOOTHING), 5, axis=1).sum())


def active_power(total: NDArray[np.float32]) -> float:
    """Mean square of speech: of the frames (T,) that are at most 15 dB below the mean; 0 if there is none."""
    active = total[total > 0.03 * total.mean()] if len(total) else total
    return float(active.mean()) if len(active) else 0.0


def speech_power(audio: NDArray[np.float32], sample_rate: int) -> float:
    """:func:`active_power` of (N,) samples; what is shorter than a frame is filled up with zeros."""
    missing = max(frame_samples(sample_rate) - len(audio), 0)
    return active_power(band_powers(np.pad(audio, (0, missing)), sample_rate).sum(axis=0))


def speech_over_noise(total: NDArray[np.float32], noise: float) -> float:
    """Level of the frames (T,) that are louder than the noise over it, in dB; from -20 to 60."""
    active = active_power(total)
    if not active:
        return 0.0
    speech = max(active - noise, 0.0)
    return 10 * math.log10(max(speech / max(noise, 10 ** (-CLEAN_DB / 10) * speech, 1e-20), 1e-2))
