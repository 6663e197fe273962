"""Features, pitch and energy of samples: the toolkit's extractors, in NumPy.

Frame t holds n_fft samples centred on sample (t + 1/2) * hop; N samples give N // hop frames.
"""

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lvc_runtime.chunks import Array

SILENCE = 1e-9  # mean square below which nothing is voiced
VOICED = 0.5  # voicing above which a frame counts as voiced
FEW = 4  # frames, of a stream's chunk
AT_ONCE = 2000  # frames, so that memory does not grow with the spectra of a long recording


def framed(audio: Array, n_fft: int, hop: int) -> Array:
    """Frames (T, n_fft) of samples (N,), which are reflected at both ends."""
    total = n_fft - hop
    left, right = total // 2, total - total // 2
    if len(audio) > right:  # ten times as fast as np.pad, which a stream's short chunks notice
        padded = np.concatenate([audio[left:0:-1], audio, audio[-2 : -right - 2 : -1]])
    else:
        padded = np.pad(audio, (left, right), mode="reflect" if len(audio) > 1 else "edge")
    count, step = (len(padded) - n_fft) // hop + 1, padded.itemsize
    # A view: sliding_window_view takes 60 times as long, which a stream's short chunks notice too.
    return np.ndarray((max(count, 0), n_fft), padded.dtype, padded, 0, (hop * step, step))


def spectral(frames: Array, spec: Mapping[str, Any], constants: Mapping[str, Array]) -> Array:
    """Features (F, T) of the kinds stft, mel and mfcc of frames (T, n_fft)."""
    window, filters = constants["window"], constants.get("filters")
    cosines = constants.get("cosines")
    made = []
    for begin in range(0, len(frames), AT_ONCE):
        spectrum = np.fft.rfft(frames[begin : begin + AT_ONCE] * window)
        values = (spectrum.real**2 + spectrum.imag**2).astype(np.float32)
        if spec["power"] != 2:
            values = np.sqrt(values) if spec["power"] == 1 else np.sqrt(values) ** np.float32(spec["power"])
        if filters is not None:
            values = _product(values, filters)
        if spec["log"] is not None:
            values = np.maximum(values, np.float32(spec["floor"]))
            values = np.log(values) if spec["log"] == "e" else np.log10(values)
        made.append(values if cosines is None else values @ cosines)
    return np.ascontiguousarray(np.concatenate(made).T, np.float32)


def _product(rows: Array, matrix: Array) -> Array:
    """Product of rows (T, n) and a matrix (n, m); of few of them one by one, in a quarter of the time."""
    return np.stack([matrix.T @ row for row in rows]) if 0 < len(rows) <= FEW else rows @ matrix


def energy(frames: Array) -> Array:
    """Root mean square (T,) of each frame (T, n_fft)."""
    return np.sqrt(np.einsum("tn,tn->t", frames, frames) / np.float32(frames.shape[1])).astype(np.float32)


def pitch(frames: Array, spec: Mapping[str, Any]) -> tuple[Array, Array]:
    """f0 in Hz and voicing, (T,) each, of frames (T, n_fft), by YIN (de Cheveigne & Kawahara 2002)."""
    parts = [_yin(frames[begin : begin + AT_ONCE], spec) for begin in range(0, len(frames), AT_ONCE)]
    f0, voicing = (np.concatenate(values).astype(np.float32) for values in zip(*parts, strict=True))
    return f0, voicing


def _yin(frames: Array, spec: Mapping[str, Any]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    rate, fmin, fmax, threshold = (spec[name] for name in ("sample_rate", "fmin", "fmax", "floor"))
    least, greatest = int(rate / fmax), -int(-rate // fmin)
    difference, power = _normalised_difference(frames, least, greatest)
    falls = difference[:, 1:] < difference[:, :-1]
    troughs = np.empty(difference.shape, bool)
    troughs[:, 1:-1] = falls[:, :-1] > falls[:, 1:]
    troughs[:, 0], troughs[:, -1] = difference[:, 0] < difference[:, 1], falls[:, -1]
    troughs &= difference < threshold  # the first such trough, else the deepest value
    chosen = np.where(troughs.any(1), troughs.argmax(1), difference.argmin(1))
    rows = np.arange(len(chosen))
    middle = np.minimum(np.maximum(chosen, 1), difference.shape[1] - 2)
    left, centre, right = (difference[rows, middle + step] for step in (-1, 0, 1))
    curve, slope = left + right - 2 * centre, (right - left) / 2
    refined = (np.abs(slope) < np.abs(curve)) & (chosen == middle)
    shift = np.where(refined, -slope / np.where(refined, curve, 1.0), 0.0)
    f0 = np.minimum(np.maximum(rate / (least + chosen + shift), fmin), fmax)
    voicing = np.minimum(np.maximum(1 - difference[rows, chosen], 0), 1)
    return f0, np.where(power < SILENCE, 0.0, voicing)


def _normalised_difference(frames: Array, least: int, greatest: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Equation 8 from the least lag to the greatest (M, lags), and the mean square (M,), of frames (M, n_fft)."""
    length = frames.shape[1]
    size = _fast_size(length + greatest)
    spectrum = np.fft.rfft(frames.astype(np.float64), n=size)  # NumPy 2 would compute in single precision
    correlation = np.fft.irfft(spectrum.real**2 + spectrum.imag**2, n=size)[:, : greatest + 1]
    skipped = np.cumsum(np.square(frames[:, :greatest], dtype=np.float64), 1)
    difference = 2 * (correlation[:, :1] - correlation[:, 1:]) - skipped
    mean = np.cumsum(difference, 1) / np.arange(1, greatest + 1)
    keep = slice(least - 1, None)
    return difference[:, keep] / (mean[:, keep] + np.finfo(np.float32).tiny), correlation[:, 0] / length


@functools.lru_cache
def _fast_size(least: int) -> int:
    sizes = (factor << power for factor in (1, 3, 5) for power in range(least.bit_length() + 1))
    return min(size for size in sizes if size >= least)
