"""Spectral feature extractors: magnitudes, mel bands, cepstra."""

import math
from typing import Literal

import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import FeatureExtractor
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.filterbank import (
    WINDOWS,
    analysis_window,
    bin_frequencies,
    mel_filterbank,
    mel_frequencies,
)
from lightning_voiceclone.features.framing import (
    at_least_single,
    check_audio,
    check_grid,
    frame,
    frame_context,
    framed_features,
)

WindowName = Literal["hann", "hamming", "blackman"]
LogBase = Literal["e", "10"]
FILTER_BLOCKS = 5  # at most; each a multiple of 16 bands wide: a vector register of a CPU holds as many


class _Spectral(FeatureExtractor):
    """Shared: the short-time Fourier transform, and what to do with its power."""

    capabilities = frozenset({"streamable"})
    window: Tensor

    def __init__(self, spec: AudioSpec):
        super().__init__()
        name = type(self).__name__
        assert spec.n_fft is not None
        assert spec.win_length is not None
        check_grid(name, spec.sample_rate, spec.hop_length, spec.n_fft)
        if not 0 < spec.win_length <= spec.n_fft:
            raise ConfigurationError(
                f"{name}: win_length is {spec.win_length}, but must be from 1 to n_fft ({spec.n_fft}); change either"
            )
        if spec.window not in WINDOWS:
            raise ConfigurationError(f"{name}: window is {spec.window!r}, but must be one of {', '.join(WINDOWS)}")
        if spec.log not in (None, "e", "10"):
            raise ConfigurationError(f'{name}: log is {spec.log!r}, but must be "e", "10" or null')
        for setting, value in (("power", spec.power), ("floor", spec.floor)):
            if value is not None and not value > 0:
                raise ConfigurationError(f"{name}: {setting} is {value}, but must be above 0")
        self.spec, self.n_fft = spec, spec.n_fft
        self.context = frame_context(spec.n_fft, spec.hop_length)
        self.register_buffer("window", analysis_window(spec), persistent=False)

    def complex(self, audio: Tensor) -> Tensor:
        """The complex spectrogram (B, n_fft // 2 + 1, T) of audio (B, N): magnitude by abs, phase in radians by angle.

        The phase is that at the first sample of each frame.
        """
        check_audio(type(self).__name__, audio, self.spec.hop_length)
        frames = frame(at_least_single(audio), self.n_fft, self.spec.hop_length)
        return torch.fft.rfft(frames * self.window.to(frames.dtype)).transpose(1, 2)

    def _power(self, frames: Tensor) -> Tensor:
        """(..., n_fft // 2 + 1) magnitudes to the spec's power, of frames (..., n_fft)."""
        spectrum = torch.view_as_real(torch.fft.rfft(frames * self.window.to(frames.dtype))).square_()
        squares = spectrum[..., 0] + spectrum[..., 1]
        if self.spec.power == 2:
            return squares
        if squares.requires_grad:  # the slope of a root at silence is infinite
            squares = squares.clamp(min=torch.finfo(squares.dtype).tiny)
        magnitude = squares.sqrt_()  # several times as fast as the absolute value of complex numbers
        return magnitude if self.spec.power == 1 else magnitude ** float(self.spec.power or 1)

    def _log(self, values: Tensor) -> Tensor:
        if self.spec.log is None:
            return values
        values = values.clamp(min=self.spec.floor)
        return values.log_() if self.spec.log == "e" else values.log10_()

    def _of_frames(self, frames: Tensor) -> Tensor:
        """Features (..., F) of frames (..., n_fft)."""
        raise NotImplementedError

    def forward(self, audio: Tensor) -> Tensor:
        """Features (B, F, T) of audio (B, N) in [-1, 1], T = N // hop_length.

        Raises:
            ConfigurationError: if audio is not (B, N) of floating-point numbers.
            RecordingError: if it is shorter than one hop.
        """
        return framed_features(type(self).__name__, audio, self.n_fft, self.spec.hop_length, self._of_frames)


class STFT(_Spectral):
    """Magnitudes of the short-time Fourier transform, (B, n_fft // 2 + 1, T).

    Equal to ``numpy.abs(librosa.stft(center=False))`` on identically padded audio. ``complex`` gives the phase too.

    Args:
        sample_rate: in Hz.
        n_fft: samples of a frame; even.
        hop_length: samples from one frame to the next.
        win_length: samples of the window, centred in the frame; null for n_fft.
        window: hann, hamming or blackman.
        power: exponent of the magnitude.
        log: "e" or "10" for that logarithm, null for a linear scale.
        floor: least value before the logarithm.

    Raises:
        ConfigurationError: if a setting cannot work.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_fft: int = 1024,
        hop_length: int = 160,
        win_length: int | None = None,
        window: WindowName = "hann",
        power: float = 1.0,
        log: LogBase | None = None,
        floor: float = 1e-5,
    ):
        super().__init__(AudioSpec(
            kind="stft", channels=n_fft // 2 + 1, sample_rate=sample_rate, hop_length=hop_length, n_fft=n_fft,
            win_length=win_length or n_fft, window=window, power=float(power), log=log, floor=floor if log else None,
        ))  # fmt: skip

    def channel_frequencies(self) -> Tensor:
        """(F,) Hz: those of the transform."""
        return bin_frequencies(self.spec)

    def _of_frames(self, frames: Tensor) -> Tensor:
        return self._log(self._power(frames))


class _Mel(_Spectral):
    """Shared: the mel filterbank."""

    def __init__(self, spec: AudioSpec):
        super().__init__(spec)
        name = type(self).__name__
        assert spec.n_mels is not None
        assert spec.fmin is not None
        assert spec.fmax is not None
        if not 0 <= spec.fmin < spec.fmax <= spec.sample_rate / 2:
            raise ConfigurationError(
                f"{name}: fmin is {spec.fmin:g} and fmax is {spec.fmax:g} Hz, but 0 <= fmin < fmax <= sample_rate / 2"
                f" ({spec.sample_rate / 2:g}) must hold; lower fmax or leave it out"
            )
        if spec.mel_scale not in ("slaney", "htk") or spec.mel_norm not in ("slaney", None):
            raise ConfigurationError(
                f"{name}: mel_scale is {spec.mel_scale!r} and mel_norm is {spec.mel_norm!r}, but the scale must be"
                " slaney or htk and the norm slaney or null"
            )
        if spec.n_mels < 1:
            raise ConfigurationError(f"{name}: n_mels is {spec.n_mels}, but must be at least 1")
        filters = mel_filterbank(spec)
        if empty := int((filters.amax(0) <= 1e-6 * filters.max()).sum()):
            raise ConfigurationError(
                f"{name}: {empty} of {spec.n_mels} mel bands hold no frequency of the {spec.n_fft}-point transform;"
                f" lower n_mels or raise n_fft (for example to {2 * self.n_fft})"
            )
        # Most of the filters' matrix is zero: a block of neighbouring bands needs only a stretch of the spectrum.
        self._stretches = []
        width = 16 * math.ceil(spec.n_mels / 16 / FILTER_BLOCKS)
        for index, block in enumerate(filters.split(width, 1)):
            used = block.any(1).nonzero()[:, 0].tolist()
            self._stretches.append(slice(used[0], used[-1] + 1))
            self.register_buffer(f"filters{index}", block[self._stretches[-1]].contiguous(), persistent=False)

    def _mel(self, frames: Tensor) -> Tensor:
        power = self._power(frames)
        # Bands before frames, as the features are laid out in the end: nothing is left to transpose.
        bins = power.flatten(0, -2).T
        blocks = [getattr(self, f"filters{index}").T.to(power.dtype) for index in range(len(self._stretches))]
        bands = torch.cat([block @ bins[used] for used, block in zip(self._stretches, blocks, strict=True)])
        return bands.T.unflatten(0, power.shape[:-1])


class MelSpectrogram(_Mel):
    """Magnitudes in mel bands, natural logarithm by default, (B, n_mels, T).

    Before the logarithm equal to ``librosa.feature.melspectrogram(center=False)`` with the same settings on
    identically padded audio.

    Args:
        sample_rate: in Hz.
        n_mels: bands.
        n_fft: samples of a frame; even.
        hop_length: samples from one frame to the next.
        win_length: samples of the window, centred in the frame; null for n_fft.
        window: hann, hamming or blackman.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz; null for half the sample rate.
        mel_scale: slaney (linear below 1 kHz) or htk.
        mel_norm: slaney for bands of equal area, null for bands of equal height.
        power: exponent of the magnitude, before bands are summed.
        log: "e" or "10" for that logarithm, null for a linear scale.
        floor: least value before the logarithm.

    Raises:
        ConfigurationError: if a setting cannot work.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        n_mels: int = 80,
        n_fft: int = 1024,
        hop_length: int = 160,
        win_length: int | None = None,
        window: WindowName = "hann",
        fmin: float = 0.0,
        fmax: float | None = None,
        mel_scale: Literal["slaney", "htk"] = "slaney",
        mel_norm: Literal["slaney"] | None = "slaney",
        power: float = 1.0,
        log: LogBase | None = "e",
        floor: float = 1e-5,
    ):
        super().__init__(AudioSpec(
            kind="mel", channels=n_mels, sample_rate=sample_rate, hop_length=hop_length, n_fft=n_fft,
            win_length=win_length or n_fft, window=window, n_mels=n_mels, fmin=float(fmin),
            fmax=float(sample_rate / 2 if fmax is None else fmax), mel_scale=mel_scale, mel_norm=mel_norm,
            power=float(power), log=log, floor=floor if log else None,
        ))  # fmt: skip

    def channel_frequencies(self) -> Tensor:
        """(F,) Hz: the centroids of the filters."""
        return mel_frequencies(self.spec)

    def _of_frames(self, frames: Tensor) -> Tensor:
        return self._log(self._mel(frames))


class MFCC(_Mel):
    """Mel-frequency cepstral coefficients, (B, n_mfcc, T): the orthonormal DCT-II of the mel power in decibels.

    Davis & Mermelstein 1980. Equal to ``librosa.feature.mfcc`` on identically padded audio, but for one choice:
    librosa cuts what lies 80 dB below the recording's maximum (``top_db=80``), which would make a frame depend on the
    whole recording; here only ``floor`` bounds it, as with ``top_db=None``.

    Args:
        n_mfcc: coefficients, from the zeroth, which is the level.
        sample_rate: in Hz.
        n_mels: bands under the cosine transform.
        n_fft: samples of a frame; even.
        hop_length: samples from one frame to the next.
        win_length: samples of the window, centred in the frame; null for n_fft.
        window: hann, hamming or blackman.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz; null for half the sample rate.
        mel_scale: slaney or htk.
        mel_norm: slaney for bands of equal area, null for bands of equal height.
        floor: least mel power; 1e-10 is -100 dB.

    Raises:
        ConfigurationError: if a setting cannot work.
    """

    cosines: Tensor

    def __init__(
        self,
        *,
        n_mfcc: int = 13,
        sample_rate: int = 16000,
        n_mels: int = 128,
        n_fft: int = 1024,
        hop_length: int = 160,
        win_length: int | None = None,
        window: WindowName = "hann",
        fmin: float = 0.0,
        fmax: float | None = None,
        mel_scale: Literal["slaney", "htk"] = "slaney",
        mel_norm: Literal["slaney"] | None = "slaney",
        floor: float = 1e-10,
    ):
        super().__init__(AudioSpec(
            kind="mfcc", channels=n_mfcc, sample_rate=sample_rate, hop_length=hop_length, n_fft=n_fft,
            win_length=win_length or n_fft, window=window, n_mels=n_mels, fmin=float(fmin),
            fmax=float(sample_rate / 2 if fmax is None else fmax), mel_scale=mel_scale, mel_norm=mel_norm,
            power=2.0, log="10", floor=floor,
        ))  # fmt: skip
        if not 1 <= n_mfcc <= n_mels:
            raise ConfigurationError(
                f"MFCC: n_mfcc is {n_mfcc}, but must be from 1 to n_mels ({n_mels}); lower it or raise n_mels"
            )
        from torchaudio.functional import create_dct

        self.register_buffer("cosines", 10 * create_dct(n_mfcc, n_mels, "ortho"), persistent=False)

    def _of_frames(self, frames: Tensor) -> Tensor:
        bels = self._log(self._mel(frames))
        return bels @ self.cosines.to(bels.dtype)
