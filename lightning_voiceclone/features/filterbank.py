"""Window and mel filters of a spec, shared by the spectral extractors and their inverses."""

import math

import torch
from torch import Tensor

from lightning_voiceclone.core.spec import AudioSpec

WINDOWS = {"hann": torch.hann_window, "hamming": torch.hamming_window, "blackman": torch.blackman_window}


def analysis_window(spec: AudioSpec) -> Tensor:
    """The spec's window (n_fft,), periodic, with zeros around it where win_length is less than n_fft."""
    assert spec.n_fft is not None, "a spectral spec has all of its fields"
    assert spec.win_length is not None
    assert spec.window is not None
    window = WINDOWS[spec.window](spec.win_length, periodic=True, dtype=torch.float64)
    left = (spec.n_fft - spec.win_length) // 2
    return torch.nn.functional.pad(window, (left, spec.n_fft - spec.win_length - left)).float()


def mel_filterbank(spec: AudioSpec) -> Tensor:
    """The spec's mel filters (n_fft // 2 + 1, n_mels), equal to librosa.filters.mel transposed.

    Triangles between neighbouring points that are evenly spaced in mel. In double precision and for any sample rate;
    torchaudio.functional.melscale_fbanks is wrong by up to 2% at the feet of triangles, and by 0.1% of the maximum at
    odd sample rates, which it halves to an integer.
    """
    assert spec.n_fft is not None, "a mel spec has all of its fields"
    assert spec.n_mels is not None
    assert spec.fmin is not None
    assert spec.fmax is not None
    htk = spec.mel_scale == "htk"
    ends = [_hertz_to_mel(frequency, htk) for frequency in (spec.fmin, spec.fmax)]
    points = _mel_to_hertz(torch.linspace(ends[0], ends[1], spec.n_mels + 2, dtype=torch.float64), htk)
    bins = torch.arange(spec.n_fft // 2 + 1, dtype=torch.float64)[:, None] * (spec.sample_rate / spec.n_fft)
    rising = (bins - points[:-2]) / (points[1:-1] - points[:-2])
    falling = (points[2:] - bins) / (points[2:] - points[1:-1])
    filters = torch.minimum(rising, falling).clamp(min=0)
    if spec.mel_norm == "slaney":
        filters = filters * (2 / (points[2:] - points[:-2]))
    return filters.float()


def bin_frequencies(spec: AudioSpec) -> Tensor:
    """Frequencies (n_fft // 2 + 1,) of the spec's Fourier transform, in Hz."""
    assert spec.n_fft is not None, "a spectral spec has all of its fields"
    return torch.arange(spec.n_fft // 2 + 1) * (spec.sample_rate / spec.n_fft)


def mel_frequencies(spec: AudioSpec) -> Tensor:
    """Centroids (n_mels,) of the spec's mel filters, in Hz."""
    filters = mel_filterbank(spec)
    hertz = torch.linspace(0, spec.sample_rate / 2, len(filters))
    return (hertz @ filters) / filters.sum(0).clamp(min=1e-12)


# Slaney's scale (Auditory Toolbox, 1998): 3 mel for 200 Hz up to 1 kHz, above it 27 mel for a factor of 6.4.
_LOG_START, _LINEAR, _LOG_STEP = 1000.0, 3 / 200, math.log(6.4) / 27


def _hertz_to_mel(frequency: float, htk: bool) -> float:
    if htk:
        return 2595 * math.log10(1 + frequency / 700)
    if frequency < _LOG_START:
        return frequency * _LINEAR
    return _LOG_START * _LINEAR + math.log(frequency / _LOG_START) / _LOG_STEP


def _mel_to_hertz(mels: Tensor, htk: bool) -> Tensor:
    if htk:
        return 700 * (10 ** (mels / 2595) - 1)
    above = _LOG_START * torch.exp(_LOG_STEP * (mels - _LOG_START * _LINEAR))
    return torch.where(mels < _LOG_START * _LINEAR, mels / _LINEAR, above)
