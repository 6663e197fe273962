"""Shared by frame-wise metrics: the frames of a case's recordings, and which of them correspond."""

import functools
import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_voiceclone.errors import RecordingError, UndefinedMeasureError
from lightning_voiceclone.evaluation.case import Case
from lightning_voiceclone.evaluation.metrics.waveform import parallel_pair
from lightning_voiceclone.features.prosody import VOICED, Pitch
from lightning_voiceclone.features.spectral import STFT, MelSpectrogram

FRAME_SECONDS = 0.01
BANDS = 80
CEPSTRA = 24  # c1 to c24, usual at 16 kHz
RANGE_DB = 60.0  # below a recording's loudest value; what is softer is masked by it
Role = Literal["compared", "clone"]
Floats = NDArray[np.float32]


@dataclass(frozen=True)
class Frames:
    """Frames of a recording, every 10 ms.

    Args:
        spectrum: (T, bins) level of the STFT in dB, raised to 60 dB below its greatest value.
        cepstra: (T, 24) c1 to c24 of the mel spectrum's logarithm.
    """

    spectrum: Floats
    cepstra: Floats


@functools.lru_cache(maxsize=4)
def frames(case: Case, role: Role) -> Frames:
    """Spectra and cepstra of what the clone is compared with, or of the clone.

    The cepstrum is that of log|H(w)| = c0 + sum c_d cos(d w), on the mel scale: c_d = 2/K sum_k L_k cos(pi d (k + 1/2)
    / K) of the natural logarithms L_k of the magnitudes in K = 80 mel bands.
    """
    audio = getattr(case, role)[None]
    stft, mel = _extractors(case.sample_rate)
    with torch.inference_mode():
        levels = _floored(20 * stft(audio)[0].clamp_min(1e-10).log10(), RANGE_DB)
        bands = _floored(mel(audio)[0].clamp_min(1e-10).log(), RANGE_DB * math.log(10) / 20)
    return Frames(levels.T.numpy(), (_cosines() @ bands).T.numpy())


def _floored(levels: Tensor, below: float) -> Tensor:
    return levels.clamp_min(float(levels.max()) - below)


@functools.lru_cache(maxsize=4)
def _extractors(sample_rate: int) -> tuple[STFT, MelSpectrogram]:
    hop = round(FRAME_SECONDS * sample_rate)
    size = 2 ** math.ceil(math.log2(4 * hop))
    shared = {"sample_rate": sample_rate, "hop_length": hop, "n_fft": size}
    return STFT(**shared), MelSpectrogram(**shared, n_mels=BANDS, log=None)


@functools.cache
def _cosines() -> Tensor:
    """(24, 80)."""
    order, band = torch.arange(1, CEPSTRA + 1)[:, None], torch.arange(BANDS)
    return 2 / BANDS * torch.cos(math.pi * order * (band + 0.5) / BANDS)


@functools.lru_cache(maxsize=2)
def warping_path(case: Case) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Frames of the compared recording and of the clone that correspond, by dynamic time warping of the cepstra.

    Steps (1, 1), (1, 0) and (0, 1) of equal weight, Euclidean distance (Sakoe & Chiba 1978).
    """
    import librosa
    from scipy.spatial.distance import cdist

    cost = cdist(frames(case, "compared").cepstra, frames(case, "clone").cepstra)
    _, path = librosa.sequence.dtw(C=cost)
    return path[::-1, 0], path[::-1, 1]


@functools.lru_cache(maxsize=2)
def paired_frames(case: Case) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """As :func:`warping_path`; one to one where samples correspond, so that timing errors count."""
    try:
        pair = parallel_pair(case)
    except (UndefinedMeasureError, RecordingError):
        return warping_path(case)
    count = len(pair[0]) // round(FRAME_SECONDS * case.sample_rate)
    return np.arange(count), np.arange(count)


def pitch_track(audio: Tensor, sample_rate: int) -> Floats:
    """f0 in Hz (T,) every 10 ms, 0 where unvoiced: YIN, voiced above 0.5, the threshold of models."""
    extractor = _pitch(sample_rate)
    with torch.inference_mode():
        f0, voicing = extractor(audio[None])[0]
    return torch.where(voicing > VOICED, f0, 0.0).numpy()


@functools.lru_cache(maxsize=4)
def _pitch(sample_rate: int) -> Pitch:
    hop = round(FRAME_SECONDS * sample_rate)
    return Pitch(sample_rate=sample_rate, hop_length=hop, n_fft=2 ** math.ceil(math.log2(4 * hop)))


@functools.lru_cache(maxsize=2)
def paired_pitch(case: Case) -> tuple[Floats, Floats]:
    """f0 of the compared recording and of the clone at corresponding frames, in Hz, 0 where unvoiced."""
    ours, theirs = paired_frames(case)
    return pitch_track(case.compared, case.sample_rate)[ours], pitch_track(case.clone, case.sample_rate)[theirs]
