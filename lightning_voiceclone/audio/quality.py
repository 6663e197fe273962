"""Measure a recording's quality from its samples alone: noise, voicing, clipping, bandwidth, steady tones."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from lightning_voiceclone.audio.noise import (
    BAND_HZ,
    band_powers,
    frame_samples,
    moving_mean,
    speech_over_noise,
    steady_noise,
)
from lightning_voiceclone.features.framing import by_chunks, frame, pad
from lightning_voiceclone.features.prosody import VOICED, Pitch

LEVEL_SMOOTHING = 7  # frames, 0.1 s: half a syllable
TELEPHONE_HZ = 4000.0
TONE_SECONDS = 0.3  # for which a note is held; a speaker's pitch seldom stays within a bin of 8 Hz so long
TONE_DB = 14.0  # of a held note over what is around it
TONES_HZ = (150.0, 3000.0)
LEAST_PARTIALS = 4
LEAST_TONES_SECONDS = 3.0  # less may have no pause, where music differs from vowels
AUDIBLE = 3e-3  # of the mean power: weaker tones are a sound card's
QUIET_SHARE = 0.4  # of the frames: there a speaker's own steady vowels are not, and music goes on
PAUSE = 0.25  # of the mean power: above it a frame, quiet as it may be, is of speech that has no pause
VOICE_HZ = np.arange(100.0, 500.0)  # fundamentals whose harmonics are a voice's own partials
VOICE_TOLERANCE_HZ = 13.0  # of a harmonic: a voice's pitch moves within the 0.3 s
LEAST_BESIDE = 2  # partials that no harmonic of one voice explains
SPLIT_HZ = 28.0  # peaks nearer than this are one partial that moved
BLOCK_SECONDS = 30.0  # analysed at once, so that memory does not grow much with the recording


@dataclass(frozen=True)
class Quality:
    """Measured quality of a recording.

    Args:
        step: samples from one frame to the next.
        power: (T,) mean square of each frame.
        voiced: (T,) bool, whether it has a pitch of speech.
        snr: speech over steady noise in dB, at most 60.
        modulation: standard deviation in dB of the level between 250 and 4000 Hz, at the rate of syllables.
        clipped: share of samples at a flat top, from 0 to 1.
        treble: power a band above 4.25 kHz over that from 2 to 3.75 kHz, in dB; infinite where the rate has no treble.
        tones: share of the quiet frames in which several notes are held, from 0 to 1.
        sample_rate: in Hz.
    """

    step: int
    power: NDArray[np.float32]
    voiced: NDArray[np.bool_]
    snr: float
    modulation: float
    clipped: float
    treble: float
    tones: float
    sample_rate: int

    @property
    def voiced_seconds(self) -> float:
        """Seconds that are voiced."""
        return float(self.voiced.sum()) * self.step / self.sample_rate

    def voiced_within(self, spans: Sequence[tuple[int, int]]) -> NDArray[np.bool_]:
        """(T',) ``voiced`` of spans of samples, one after the other."""
        return np.concatenate([self.voiced[begin // self.step : end // self.step] for begin, end in spans])


def measure(audio: Tensor, sample_rate: int) -> Quality:
    """Measure (N,) samples in [-1, 1], at least one frame (32 ms) of them."""
    audio = audio.detach().float().cpu()
    n_fft = frame_samples(sample_rate)
    step = n_fft // 2
    bands = band_powers(pad(audio[None], n_fft, step)[0].numpy(), sample_rate)
    noise = steady_noise(bands)
    total = bands.sum(axis=0)
    pitch = Pitch(sample_rate=sample_rate, hop_length=step, n_fft=2 * n_fft)(audio[None])[0, 1].numpy()
    return Quality(
        step=step,
        power=total,
        voiced=(pitch > VOICED) & (total > noise),
        snr=speech_over_noise(total, noise),
        modulation=_modulation(bands[: round(4000 / BAND_HZ)].sum(axis=0), sample_rate / step),
        clipped=clipped_share(audio.numpy()),
        treble=_treble(bands, sample_rate),
        tones=_tones(audio, n_fft, sample_rate),
        sample_rate=sample_rate,
    )


def _modulation(level: NDArray[np.float32], frame_rate: float) -> float:
    """Standard deviation in dB of the level, between about 2 and 5 Hz: syllables come four a second."""
    decibels = 10 * np.log10(np.maximum(moving_mean(level, LEVEL_SMOOTHING), max(1e-4 * float(level.mean()), 1e-12)))
    return float((decibels - moving_mean(decibels, round(frame_rate / 2) | 1)).std())


def clipped_share(audio: NDArray[np.float32]) -> float:
    """Share of samples at a flat top: of (N,), those that pile up where the waveform should go on rising.

    Fewer samples lie near the peak of unclipped speech than below it. Clipping piles them up there, and resampling
    afterwards makes a hump of the pile, at some distance from the peak.
    """
    magnitude = np.abs(audio)
    counts = np.histogram(magnitude, bins=100, range=(0, max(float(magnitude.max(initial=0)), 1e-9)))[0]
    shares = np.cumsum(np.concatenate([[0], counts])) / max(len(audio), 1)
    best = 0.0
    for top in range(60, 101):
        pile, below = shares[top] - shares[top - 6], shares[top - 6] - shares[top - 18]
        if pile > below:
            best = max(best, float(pile))
    return best


def _treble(bands: NDArray[np.float32], sample_rate: int) -> float:
    edge = round(TELEPHONE_HZ / BAND_HZ)
    above, below = bands[edge + 1 :].mean(axis=1), bands[edge // 2 : edge - 1].mean(axis=1)
    if len(above) < 4:
        return math.inf
    return 10 * math.log10(max(float(above.max()), 1e-20) / max(float(below.mean()), 1e-16))


def _tones(audio: Tensor, n_fft: int, sample_rate: int) -> float:
    """Share of the quiet frames in which at least 4 partials are held."""
    if len(audio) < LEAST_TONES_SECONDS * sample_rate:
        return 0.0
    size, step, block = 4 * n_fft, n_fft, round(BLOCK_SECONDS * sample_rate)
    span = round(TONE_SECONDS * sample_rate / step)
    found = [_held(piece, size, step, span, sample_rate) for piece in audio.split(block)
             if len(piece) >= (span + 1) * step]  # fmt: skip
    held, level = (np.concatenate(some) for some in zip(*found, strict=True))
    quiet = level <= np.quantile(level, QUIET_SHARE)
    pause = level <= PAUSE * level.mean()
    tones = (held[:, 0] >= LEAST_PARTIALS) & (pause | (held[:, 1] >= LEAST_BESIDE)) & (level > AUDIBLE * level.mean())
    return float(tones[quiet].mean())


def _held(
    audio: Tensor, size: int, step: int, span: int, sample_rate: int
) -> tuple[NDArray[np.int_], NDArray[np.float32]]:
    """How many partials are held through each ``span`` frames, and how many of them beside one voice (T, 2).

    Also the mean power (T,) of these frames.
    """
    low, high = (round(edge * size / sample_rate) for edge in TONES_HZ)
    window = torch.hann_window(size)

    def spectrum(frames: Tensor) -> Tensor:
        return torch.fft.rfft(frames * window).abs().square()[..., low:high]

    power = by_chunks(frame(audio[None], size, step), spectrum)[0].numpy()
    windows = np.lib.stride_tricks.sliding_window_view(power, span, axis=1)
    lowest = 10 * np.log10(windows.min(axis=-1) + 1e-12)
    above = lowest - moving_mean(lowest.T, 33).T
    peaks = (lowest[1:-1] >= lowest[:-2]) & (lowest[1:-1] >= lowest[2:]) & (above[1:-1] > TONE_DB)
    counts = [(int(column.sum()), _beside_one_voice((np.nonzero(column)[0] + low + 1) * sample_rate / size))
              for column in peaks.T]  # fmt: skip
    return np.array(counts), windows.sum(axis=0).mean(axis=-1)


def _beside_one_voice(partials: NDArray[np.float64]) -> int:
    """How many partials, in Hz and ascending, are no harmonics of the one fundamental that explains most of them.

    A voice whose pitch moves little, as that of a synthesiser, holds its own harmonics. Chords and a mains hum hold
    partials between them.
    """
    if len(partials) < LEAST_PARTIALS:
        return 0
    apart = np.split(partials, np.nonzero(np.diff(partials) >= SPLIT_HZ)[0] + 1)
    means = np.array([group.mean() for group in apart])
    if len(means) < LEAST_PARTIALS:
        return 0
    harmonics = np.maximum(np.round(means / VOICE_HZ[:, None]), 1)
    explained = np.abs(means - harmonics * VOICE_HZ[:, None]) < VOICE_TOLERANCE_HZ
    return len(means) - int(explained.sum(axis=1).max())
