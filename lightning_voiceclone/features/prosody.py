"""Extractors of prosody: pitch with voicing, and energy."""

from typing import Literal

import torch
from torch import Tensor

from lightning_voiceclone.core.interfaces import FeatureExtractor
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.framing import (
    at_least_single,
    check_audio,
    check_grid,
    frame,
    frame_context,
    framed_features,
)

SILENCE = 1e-9  # mean square, -90 dB of full scale: the step of 16-bit samples
UNKNOWN_REGISTER = 150.0  # Hz, where nothing is voiced: between the usual registers of men and women
# Voicing above which a frame counts as voiced: noise does not reach it, and speech at 0 dB does in its vowels.
VOICED = 0.5


class Pitch(FeatureExtractor):
    """Fundamental frequency by YIN, and how far each frame is voiced, (B, 2, T).

    Channel 0 is f0 in Hz, within fmin to fmax at every frame, voiced or not. Channel 1 is the voicing from 0 to 1: 1
    less the cumulative-mean-normalised difference at the chosen lag (de Cheveigne & Kawahara 2002, equation 8), and 0
    in silence (below -90 dB). No gradient flows: the choice of a lag has none.

    Equal to ``librosa.yin(center=False)`` of librosa 0.11 on identically padded audio, but for two things: librosa
    may leave fmin to fmax by one lag, which is clamped here; and it computes in single precision, where rounding
    decides between two equally deep troughs of frames that are hardly periodic. Here that is done in double precision,
    where there is one: the phases of a vocoder integrate f0.

    Args:
        sample_rate: in Hz.
        hop_length: samples from one frame to the next.
        n_fft: samples of a frame; even, and longer than a period of fmin.
        fmin: lowest frequency in Hz.
        fmax: highest frequency in Hz.
        threshold: the first trough of the difference below this is the period; where there is none, the deepest is.

    Raises:
        ConfigurationError: if a setting cannot work.
    """

    capabilities = frozenset({"streamable"})

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        hop_length: int = 160,
        n_fft: int = 1024,
        fmin: float = 60.0,
        fmax: float = 500.0,
        threshold: float = 0.1,
    ):
        super().__init__()
        check_grid("Pitch", sample_rate, hop_length, n_fft)
        if not 0 < fmin < fmax <= sample_rate / 2:
            raise ConfigurationError(
                f"Pitch: fmin is {fmin:g} and fmax is {fmax:g} Hz, but 0 < fmin < fmax <= sample_rate / 2"
                f" ({sample_rate / 2:g}) must hold"
            )
        if not threshold > 0:
            raise ConfigurationError(f"Pitch: threshold is {threshold}, but must be above 0; 0.1 is usual")
        self.fmin, self.fmax, self.threshold = fmin, fmax, threshold
        self.least_lag, self.greatest_lag = int(sample_rate / fmax), -int(-sample_rate // fmin)
        if self.greatest_lag >= n_fft:
            raise ConfigurationError(
                f"Pitch: a period of fmin ({fmin:g} Hz) is {self.greatest_lag} samples, but a frame has {n_fft};"
                f" raise n_fft to {2 * self.greatest_lag} or more, or raise fmin"
            )
        if self.greatest_lag - self.least_lag < 2:
            raise ConfigurationError(
                f"Pitch: fmin {fmin:g} and fmax {fmax:g} Hz are less than two samples of a period apart;"
                " widen the range"
            )
        # The spec has no field of its own for the threshold; floor, which bounds the difference, keeps caches apart.
        self.n_fft = n_fft
        self.context = frame_context(n_fft, hop_length)
        self.spec = AudioSpec(
            kind="pitch", channels=2, sample_rate=sample_rate, hop_length=hop_length, n_fft=n_fft,
            fmin=float(fmin), fmax=float(fmax), floor=float(threshold),
        )  # fmt: skip

    @torch.no_grad()
    def forward(self, audio: Tensor) -> Tensor:
        """(B, 2, T): f0 in Hz and voicing of audio (B, N) in [-1, 1].

        Raises:
            ConfigurationError: if audio is not (B, N) of floating-point numbers.
            RecordingError: if it is shorter than one hop.
        """
        return framed_features("Pitch", audio, self.n_fft, self.spec.hop_length, self._track)

    def _track(self, frames: Tensor) -> Tensor:
        """f0 in Hz and voicing, (B, T, 2), of frames (B, T, n_fft)."""
        precise = torch.float32 if frames.device.type == "mps" else torch.float64  # a vocoder's phases integrate f0
        difference, power = self._normalised_difference(frames.flatten(0, 1).to(precise))
        before, here, after = difference[:, :-2], difference[:, 1:-1], difference[:, 2:]
        inner = (here < before) & (here <= after)
        # The ends of the range have one neighbour only, and count as librosa counts them.
        first = difference[:, :1] < difference[:, 1:2]
        last = difference[:, -1:] < difference[:, -2:-1]
        trough = torch.cat([first, inner, last], 1) & (difference < self.threshold)
        chosen = torch.where(trough.any(1), trough.int().argmax(1), difference.argmin(1))[:, None]
        middle = chosen.clamp(1, difference.shape[1] - 2)
        left, centre, right = (difference.gather(1, middle + step)[:, 0] for step in (-1, 0, 1))
        # A parabola through the trough and its neighbours; a vertex beyond them is no refinement.
        curve, slope = left + right - 2 * centre, (right - left) / 2
        refined = (slope.abs() < curve.abs()) & (chosen == middle)[:, 0]
        shift = torch.where(refined, -slope / torch.where(refined, curve, 1.0), 0.0)
        f0 = self.spec.sample_rate / (self.least_lag + chosen[:, 0] + shift)
        voicing = (1 - difference.gather(1, chosen)[:, 0]).clamp(0, 1)
        voicing = torch.where(power < SILENCE, 0.0, voicing)
        found = torch.stack([f0.clamp(self.fmin, self.fmax), voicing], -1).to(frames.dtype)
        return found.unflatten(0, frames.shape[:2])

    def _normalised_difference(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(M, lags) equation 8 from the least lag to the greatest, and the mean square (M,), of frames (M, n_fft).

        The difference is that of the frame continued by zeros, as in librosa: d(k) = 2 (r(0) - r(k)) - the energy of
        the first k samples.
        """
        lags, length = self.greatest_lag, frames.shape[1]
        size = _fast_size(length + lags)  # longer than the sum, so that no lag wraps round
        spectrum = torch.fft.rfft(frames, n=size)
        correlation = torch.fft.irfft(spectrum.real.square() + spectrum.imag.square(), n=size)[:, : lags + 1]
        skipped = frames[:, :lags].square().cumsum(1)
        difference = 2 * (correlation[:, :1] - correlation[:, 1:]) - skipped
        counts = torch.arange(1, lags + 1, device=frames.device, dtype=frames.dtype)
        mean = difference.cumsum(1) / counts
        keep = slice(self.least_lag - 1, None)
        normalised = difference[:, keep] / (mean[:, keep] + torch.finfo(frames.dtype).tiny)
        return normalised, correlation[:, 0] / length


def pitch_beside(spec: AudioSpec) -> Pitch:
    """The extractor of pitch at the rate and hop of other features."""
    return Pitch(sample_rate=spec.sample_rate, hop_length=spec.hop_length)


def tracked(audio: Tensor, pitch: FeatureExtractor) -> Tensor:
    """f0 (B, T) in Hz of audio (B, N) by an extractor of pitch, 0 in frames without voice."""
    f0, voicing = pitch(audio).unbind(1)
    return f0 * (voicing > VOICED)


class Energy(FeatureExtractor):
    """Root mean square of each frame, (B, 1, T); equal to ``librosa.feature.rms`` on identically padded audio.

    Args:
        sample_rate: in Hz.
        hop_length: samples from one frame to the next.
        n_fft: samples of a frame; even.
        log: "e" or "10" for that logarithm, null for a linear scale.
        floor: least value before the logarithm.

    Raises:
        ConfigurationError: if a setting cannot work.
    """

    capabilities = frozenset({"streamable"})

    def __init__(
        self,
        *,
        sample_rate: int = 16000,
        hop_length: int = 160,
        n_fft: int = 1024,
        log: Literal["e", "10"] | None = None,
        floor: float = 1e-5,
    ):
        super().__init__()
        check_grid("Energy", sample_rate, hop_length, n_fft)
        if log not in (None, "e", "10") or not floor > 0:
            raise ConfigurationError(
                f'Energy: log is {log!r} and floor is {floor}, but log must be "e", "10" or null and floor above 0'
            )
        self.n_fft = n_fft
        self.context = frame_context(n_fft, hop_length)
        self.spec = AudioSpec(
            kind="energy", channels=1, sample_rate=sample_rate, hop_length=hop_length, n_fft=n_fft,
            power=1.0, log=log, floor=floor if log else None,
        )  # fmt: skip

    def forward(self, audio: Tensor) -> Tensor:
        """(B, 1, T) of audio (B, N) in [-1, 1].

        Raises:
            ConfigurationError: if audio is not (B, N) of floating-point numbers.
            RecordingError: if it is shorter than one hop.
        """
        check_audio("Energy", audio, self.spec.hop_length)
        frames = frame(at_least_single(audio), self.n_fft, self.spec.hop_length)
        # A norm's slope is 0 at silence, where that of a root of the mean square would be infinite.
        energy = torch.linalg.vector_norm(frames, dim=-1)[:, None] / self.n_fft**0.5
        if self.spec.log is not None:
            energy = energy.clamp(min=self.spec.floor)
            energy = energy.log() if self.spec.log == "e" else energy.log10()
        return energy.to(audio.dtype)


def median_f0(f0: Tensor) -> Tensor:
    """Median over voiced frames (B,) of f0 (B, T) in Hz, the lower of the two in the middle; NaN if none is voiced.

    f0 is 0 where a frame is not voiced. Computed by sorting, which is deterministic on a GPU too; ``torch.nanmedian``
    is not.
    """
    ordered = torch.where(f0 > 0, f0, torch.nan).sort(dim=-1).values  # NaN comes last
    middle = ((f0 > 0).sum(-1, keepdim=True) - 1).clamp_min(0) // 2
    return ordered.gather(-1, middle)[..., 0]


def _fast_size(least: int) -> int:
    """The least product of a power of two and 1, 3 or 5 that is at least ``least``: such transforms are fast."""
    sizes = (factor << power for factor in (1, 3, 5) for power in range(least.bit_length() + 1))
    return min(size for size in sizes if size >= least)
