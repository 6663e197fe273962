"""Synthetic sounds with the traits of speech, by numpy alone: for tests that need audio and have no recordings."""

import functools
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Centre frequencies in Hz of the first three formants of five vowels (Peterson & Barney 1952, men), and bandwidths.
VOWELS = ((730, 1090, 2440), (530, 1840, 2480), (270, 2290, 3010), (570, 840, 2410), (300, 870, 2240))
BANDWIDTHS = (80.0, 100.0, 140.0)
SYLLABLE_SECONDS = 0.22
VOICED_SHARE = 0.7  # of a syllable; a burst of noise and a little silence fill the rest
KEPT, KEPT_SECONDS = 128, 3.0  # sounds that are kept, and the longest of them: at most 50 MB at 16 kHz


@dataclass(frozen=True)
class SpeechLike:
    """A sound and what it was made from.

    Args:
        audio: (N,) float32 with a peak of 0.5.
        f0: (N,) float32, fundamental frequency in Hz; 0 where unvoiced.
        sample_rate: in Hz.
    """

    audio: NDArray[np.float32]
    f0: NDArray[np.float32]
    sample_rate: int


def speech_like(seconds: float = 1.0, *, sample_rate: int = 16000, speaker: int = 0, seed: int = 0) -> SpeechLike:
    """Syllables of voiced vowels with a moving pitch, separated by bursts of noise and short silences.

    The vowels are the harmonics of a glottal pulse train (12 dB less an octave) weighted by the resonances of a vocal
    tract. ``speaker`` sets the tract's length and the pitch's median (90 to 250 Hz); ``seed`` the syllables. The same
    arguments give the same samples; short sounds are kept, since a second takes some 40 ms to make.
    """
    made = (_kept if seconds <= KEPT_SECONDS else _made)(seconds, sample_rate, speaker, seed)
    return SpeechLike(made.audio.copy(), made.f0.copy(), sample_rate)


def _made(seconds: float, sample_rate: int, speaker: int, seed: int) -> SpeechLike:
    random = np.random.default_rng([seed, 1])
    voice = np.random.default_rng([speaker, 2])
    median, tract = 90.0 * (250 / 90) ** voice.random(), 0.85 + 0.35 * voice.random()
    count = round(seconds * sample_rate)
    times = np.arange(count) / sample_rate
    syllable = (times / SYLLABLE_SECONDS).astype(int)
    place = times / SYLLABLE_SECONDS - syllable
    vowels = random.integers(len(VOWELS), size=int(syllable.max(initial=0)) + 2)
    wander = 1 + 0.12 * np.sin(2 * np.pi * (0.9 + 0.4 * random.random()) * times + 6 * random.random())
    pitch = median * wander * (1.05 - 0.1 * place)
    formants = tract * _glide(np.array(VOWELS, dtype=float)[vowels], syllable, place)
    vowel_envelope = _hump(place / VOICED_SHARE)
    burst_envelope = _hump((place - VOICED_SHARE) / 0.2)
    voiced = _vowel(pitch, formants, sample_rate) * vowel_envelope
    audio = voiced + 0.15 * burst_envelope * _hiss(random.standard_normal(count))
    audio *= 0.5 / max(float(np.abs(audio).max(initial=0)), 1e-9)
    f0 = np.where(vowel_envelope > 0.05, pitch, 0.0)
    return SpeechLike(audio.astype(np.float32), f0.astype(np.float32), sample_rate)


_kept = functools.lru_cache(KEPT)(_made)


def band_features(audio: NDArray[np.float32], *, channels: int = 20, hop: int = 160) -> NDArray[np.float32]:
    """Log energies (channels, N // hop) of bands, each of zero mean and unit variance: rough features without a GPU.

    A stand-in for a real extractor in tests of networks alone.
    """
    frames, size = len(audio) // hop, 4 * hop
    padded = np.pad(audio, (0, size))
    cut = np.stack([padded[index * hop : index * hop + size] for index in range(frames)])
    power = np.abs(np.fft.rfft(cut * np.hanning(size))) ** 2
    edges = np.unique(np.geomspace(2, power.shape[1] - 1, channels + 1).round().astype(int))
    while len(edges) < channels + 1:  # narrow bands at the bottom fall together
        missing = np.setdiff1d(np.arange(edges[-1]), edges)[: channels + 1 - len(edges)]
        edges = np.union1d(edges, missing)
    energies = np.log(np.add.reduceat(power, edges[:-1], axis=1) + 1e-6)
    normalised = (energies - energies.mean(0)) / (energies.std(0) + 1e-3)
    return normalised.T.astype(np.float32)


def _glide(targets: NDArray[np.float64], syllable: NDArray[np.int_], place: NDArray[np.float64]) -> NDArray[np.float64]:
    """Formants (3, N) that move smoothly from each syllable's vowel to the next one's."""
    share = 0.5 - 0.5 * np.cos(np.pi * np.clip(place * 2 - 1, 0, 1))
    return (targets[syllable] * (1 - share)[:, None] + targets[syllable + 1] * share[:, None]).T


def _hump(place: NDArray[np.float64]) -> NDArray[np.float64]:
    """0 outside 0 to 1, rising and falling smoothly inside."""
    return np.where((place > 0) & (place < 1), np.sin(np.pi * np.clip(place, 0, 1)) ** 0.5, 0.0)


def _vowel(pitch: NDArray[np.float64], formants: NDArray[np.float64], sample_rate: int) -> NDArray[np.float64]:
    phase = 2 * np.pi * np.cumsum(pitch) / sample_rate
    total = np.zeros_like(pitch)
    for harmonic in range(1, int(min(sample_rate / 2, 5000) / pitch.max(initial=90.0)) + 1):
        frequency = harmonic * pitch
        gain = 1.0 / (1.0 + (frequency / 500.0) ** 2)
        for centre, width in zip(formants, BANDWIDTHS, strict=True):
            gain = gain * (0.1 + 1.0 / np.sqrt(1 + ((frequency - centre) / width) ** 2)) * 2
        total += gain * np.sin(harmonic * phase)
    return total / max(float(np.abs(total).max(initial=0)), 1e-9)


def _hiss(noise: NDArray[np.float64]) -> NDArray[np.float64]:
    """Noise with its low frequencies taken away, as a fricative has."""
    return np.diff(noise, prepend=0.0)
