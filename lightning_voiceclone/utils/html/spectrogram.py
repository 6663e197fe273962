"""Spectrograms as pictures."""

from pathlib import Path

import numpy as np

DYNAMIC_RANGE = 70.0  # dB that a spectrogram shows
N_FFT, HOP = 1024, 160
FMAX = 8000.0  # Hz at the upper edge of a bare spectrogram, whatever the recording's rate
BARE_SIZE = (720, 160)  # pixels at most
COLOUR_MAP = "magma"


def decibels(audio: np.ndarray, n_fft: int = N_FFT, hop: int = HOP) -> np.ndarray:
    """Level (1 + n_fft // 2, 1 + N // hop) in dB of audio (N,), at least -100."""
    import torch

    signal, window = torch.from_numpy(audio.astype(np.float32)), torch.hann_window(n_fft)
    spectrum = torch.stft(signal, n_fft, hop, window=window, pad_mode="constant", return_complex=True)
    return 20 * np.log10(np.maximum(spectrum.abs().numpy(), 1e-5))


def bare_decibels(audio: np.ndarray, sample_rate: int) -> np.ndarray:
    """Level (bins, frames) in dB from 0 to FMAX, about 100 frames a second, -100 above half the sample rate.

    Bins are 15.6 Hz wide at every rate, so that recordings of different rates can be set side by side.
    """
    n_fft, hop = round(sample_rate * N_FFT / 16000), max(round(sample_rate / 100), 1)
    levels = decibels(np.pad(audio, (0, max(n_fft - len(audio), 0))), n_fft, hop)
    bins = round(FMAX * n_fft / sample_rate)
    return np.pad(levels[:bins], ((0, max(bins - len(levels), 0)), (0, 0)), constant_values=-100.0)


def save_bare(levels: np.ndarray, top: float, path: Path) -> None:
    """A PNG of ``levels`` (bins, frames) alone, with neither axes nor margins; low frequencies at the bottom.

    Args:
        levels: in dB.
        top: dB of the brightest colour; DYNAMIC_RANGE below it is the darkest.
        path: of the file.
    """
    from matplotlib import colormaps
    from PIL import Image

    shown = np.clip((levels[::-1] - top) / DYNAMIC_RANGE + 1, 0, 1)
    image = Image.fromarray(np.round(shown * 255).astype(np.uint8))
    size = min(image.width, BARE_SIZE[0]), min(image.height, BARE_SIZE[1])
    image = image.resize(size, Image.Resampling.BOX)
    palette = (np.asarray(colormaps[COLOUR_MAP](np.arange(256)))[:, :3] * 255).round().astype(np.uint8)
    image.putpalette(palette.tobytes())
    image.save(path, compress_level=6)
