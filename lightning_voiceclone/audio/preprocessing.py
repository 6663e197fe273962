"""Whole recordings made even, before training: loudness, peak, silence, steady noise."""

import itertools
import math
from typing import ClassVar, Literal

import numpy as np
import torch
from scipy import ndimage, signal
from torch import Tensor

from lightning_voiceclone.core.interfaces import AudioTransform
from lightning_voiceclone.errors import ConfigurationError, RecordingError

ABSOLUTE_GATE = -70.0  # LUFS, BS.1770-4
RELATIVE_GATE = -10.0  # LU below the loudness of the blocks above the absolute gate


class NormalizeLoudness(AudioTransform):
    """One gain for the whole recording, so that its integrated loudness by ITU-R BS.1770-4 is the target.

    The gain is limited so that nothing clips; a recording that is all below the absolute gate stays as it is.

    Args:
        target: loudness in LUFS; EBU R 128 has -23.
        peak: greatest sample that the gain may lead to, in dB of full scale.

    Raises:
        ConfigurationError: if target or peak is above 0.
    """

    stage: ClassVar[Literal["prepare", "training"]] = "prepare"

    def __init__(self, target: float = -23.0, peak: float = -1.0) -> None:
        super().__init__()
        if target > 0 or peak > 0:
            raise ConfigurationError(f"target is {target} LUFS and peak {peak} dB; neither may be above 0")
        self.target = target
        self.peak = peak

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """(channels, N) with a gain."""
        loudness = integrated_loudness(audio.numpy(), sample_rate)
        greatest = float(audio.abs().max())
        if not math.isfinite(loudness) or not greatest:
            return audio
        return audio * min(10 ** ((self.target - loudness) / 20), 10 ** (self.peak / 20) / greatest)


class NormalizePeak(AudioTransform):
    """One gain for the whole recording, so that its greatest sample is the target. Digital silence stays as it is.

    Args:
        target: greatest absolute sample in dB of full scale.

    Raises:
        ConfigurationError: if the target is above 0.
    """

    stage: ClassVar[Literal["prepare", "training"]] = "prepare"

    def __init__(self, target: float = -1.0) -> None:
        super().__init__()
        if target > 0:
            raise ConfigurationError(f"target is {target} dB of full scale; it may be 0 at most")
        self.target = target

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """(channels, N) with a gain."""
        greatest = float(audio.abs().max())
        return audio * (10 ** (self.target / 20) / greatest) if greatest else audio


def k_weighting(sample_rate: int) -> np.ndarray:
    """(2, 6) second-order sections of BS.1770's weighting: a shelf for the head, and a high-pass.

    The standard gives numbers for 48 kHz only; these analogue prototypes yield them there, and others elsewhere.
    """
    k, q, gain = math.tan(math.pi * 1681.974450955533 / sample_rate), 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    band, a0 = gain**0.4996667741545416, 1 + k / q + k * k
    shelf = [(gain + band * k / q + k * k) / a0, 2 * (k * k - gain) / a0, (gain - band * k / q + k * k) / a0,
             1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]  # fmt: skip
    k, q = math.tan(math.pi * 38.13547087602444 / sample_rate), 0.5003270373238773
    a0 = 1 + k / q + k * k
    return np.array([shelf, [1.0, -2.0, 1.0, 1.0, 2 * (k * k - 1) / a0, (1 - k / q + k * k) / a0]])


def integrated_loudness(audio: np.ndarray, sample_rate: int) -> float:
    """LUFS of (channels, N) by BS.1770-4, each channel with weight 1; minus infinity if all is below the gate.

    Blocks of 400 ms, each a quarter further than the last; what is shorter than one block is one block.
    """
    weighted = signal.sosfilt(k_weighting(sample_rate), audio.astype(np.float64), axis=1)
    block = min(round(0.4 * sample_rate), weighted.shape[1])
    total = np.concatenate([[0.0], np.cumsum((weighted**2).sum(axis=0))])
    begins = np.arange(0, weighted.shape[1] - block + 1, max(block // 4, 1))
    power = (total[begins + block] - total[begins]) / block

    def loudness(value: np.ndarray) -> np.ndarray:
        return -0.691 + 10 * np.log10(np.maximum(value, 1e-20))

    power = power[loudness(power) > ABSOLUTE_GATE]
    if not len(power):
        return -math.inf
    return float(loudness(power[loudness(power) > loudness(power.mean()) + RELATIVE_GATE].mean()))


class TrimSilence(AudioTransform):
    """Trim non-speech from both ends, by energy above a noise floor that follows the recording.

    A frame of 25 ms is active if it is ``threshold`` above the floor (the 10th percentile of the 3 s around it), and
    not further than 50 dB below the loudest frame; where the noise is nearly as loud as the speech, all within 8 dB
    of the loudest is active, so that a steady sound is kept rather than lost.

    Args:
        threshold: dB above the floor.
        hangover: seconds that are kept before and after what is active, for soft onsets and endings.
        shortest: seconds; activity that is shorter is a click.
        longest_pause: seconds to which longer pauses inside are shortened, or None to keep them.

    Raises:
        ConfigurationError: if a length is negative.
    """

    stage: ClassVar[Literal["prepare", "training"]] = "prepare"
    keeps_timing: ClassVar[bool] = False

    def __init__(
        self,
        threshold: float = 10.0,
        hangover: float = 0.1,
        shortest: float = 0.05,
        longest_pause: float | None = None,
    ) -> None:
        super().__init__()
        if min(hangover, shortest, longest_pause or 0.0) < 0:
            raise ConfigurationError(
                f"hangover {hangover}, shortest {shortest} and longest_pause {longest_pause} are seconds, at least 0"
            )
        self.threshold = threshold
        self.hangover = hangover
        self.shortest = shortest
        self.longest_pause = longest_pause

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """(channels, N'), N' at most N.

        Raises:
            RecordingError: if there is no speech.
        """
        hop = max(sample_rate // 100, 1)
        active = self._active(audio.numpy(), sample_rate, hop)
        runs = [run for run in _runs(active) if (run[1] - run[0]) * hop >= self.shortest * sample_rate]
        if not runs:
            raise RecordingError("no speech found by TrimSilence")
        reach = round(self.hangover * sample_rate)
        spans = [(max(a * hop - reach, 0), min(b * hop + reach, audio.shape[1])) for a, b in runs]
        if self.longest_pause is None:
            return audio[:, spans[0][0] : spans[-1][1]]
        return _shorten_pauses(audio, spans, round(self.longest_pause * sample_rate), hop)

    def _active(self, audio: np.ndarray, sample_rate: int, hop: int) -> np.ndarray:
        """(frames,) bool; frame i begins at sample i * hop."""
        power = (audio.astype(np.float64) ** 2).mean(axis=0)
        width = round(0.025 * sample_rate)
        total = np.concatenate([[0.0], np.cumsum(power)])
        begins = np.arange(0, len(power), hop)
        ends = np.minimum(begins + width, len(power))
        level = 10 * np.log10(np.maximum((total[ends] - total[begins]) / (ends - begins), 1e-20))
        loudest = ndimage.median_filter(level, 5).max()  # a click is not the loudest frame
        if loudest < -65.0:
            raise RecordingError(f"no speech found by TrimSilence: its loudest 25 ms are {loudest:.0f} dB, least -65")
        floor = ndimage.percentile_filter(level, 10, size=min(300, 2 * len(level) - 1), mode="nearest")
        return level > np.clip(floor + self.threshold, loudest - 50, loudest - 8)


def _runs(active: np.ndarray) -> list[tuple[int, int]]:
    edges = np.flatnonzero(np.diff(np.concatenate([[0], active.astype(np.int8), [0]])))
    return [(int(a), int(b)) for a, b in zip(edges[::2], edges[1::2], strict=True)]


def _shorten_pauses(audio: Tensor, spans: list[tuple[int, int]], pause: int, fade: int) -> Tensor:
    """Join the spans, with at most ``pause`` samples between them, half from either side of the cut."""
    keep = [list(spans[0])]
    for begin, end in spans[1:]:
        if begin - keep[-1][1] <= pause:
            keep[-1][1] = max(end, keep[-1][1])
        else:
            keep[-1][1] += pause // 2
            keep.append([begin - (pause - pause // 2), end])
    pieces = [audio[:, begin:end].clone() for begin, end in keep]
    # A cut between two unequal samples clicks; the pause on either side of it is faded instead.
    slope = torch.linspace(0, 1, min([fade, *(piece.shape[1] for piece in pieces)]))
    for before, after in itertools.pairwise(pieces):
        before[:, -len(slope) :] *= slope.flip(0)
        after[:, : len(slope)] *= slope
    return torch.cat(pieces, dim=1)


class SpectralGate(AudioTransform):
    """Weaken steady noise by spectral subtraction (Boll 1979, with the oversubtraction of Berouti et al. 1979).

    With P the power spectrum, smoothed over neighbouring frames and bins, and W the noise's, each bin gets the gain
    sqrt(max(1 - strength * W / P, floor^2)). W is the mean of a stretch that is known to be noise, or of the quietest
    frames. Works on each channel by itself; do not place it before :class:`BeamformMVDR`, which needs their phases.

    Args:
        strength: how often the noise is subtracted; above 1, less of it is left between words, and of soft sounds.
        floor: least gain, in dB; lower sounds drier and leaves more audible artefacts.
        quietest: share of the frames, the quietest, from which the noise is estimated.
        noise_start: second at which a stretch of noise alone begins, instead of the quietest frames.
        noise_end: second at which it ends.

    Raises:
        ConfigurationError: if a value is out of range, or only one end of the stretch is given.
    """

    stage: ClassVar[Literal["prepare", "training"]] = "prepare"

    def __init__(
        self,
        strength: float = 1.5,
        floor: float = -20.0,
        quietest: float = 0.1,
        noise_start: float | None = None,
        noise_end: float | None = None,
    ) -> None:
        super().__init__()
        if strength <= 0 or floor >= 0 or not 0 < quietest <= 1:
            raise ConfigurationError(
                f"strength {strength} must be above 0, floor {floor} dB below 0, quietest {quietest} in (0, 1]"
            )
        if (noise_start is None) != (noise_end is None) or (noise_start or 0.0) > (noise_end or math.inf):
            raise ConfigurationError(
                f"noise_start {noise_start} and noise_end {noise_end}: give both, the end after the start, or neither"
            )
        self.strength = strength
        self.floor = floor
        self.quietest = quietest
        self.stretch = None if noise_start is None or noise_end is None else (noise_start, noise_end)

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """(channels, N) with less noise.

        Raises:
            RecordingError: if the stretch of noise lies outside of the recording.
        """
        n_fft = 2 ** round(math.log2(0.032 * sample_rate))
        hop, window = n_fft // 4, torch.hann_window(n_fft, dtype=audio.dtype)
        padded = torch.nn.functional.pad(audio, (n_fft, n_fft))
        spectrum = torch.stft(padded, n_fft, hop, window=window, center=True, return_complex=True)
        power = spectrum.abs().square().numpy()
        # Frames that reach into the padding would count as the quietest; very short recordings have no others.
        edge = 6 if power.shape[2] > 12 else 4
        noise = np.stack([self._noise(channel[:, edge:-edge], sample_rate / hop) for channel in power])[:, :, None]
        smooth = ndimage.uniform_filter(power, size=(1, 3, 5), mode="nearest")
        gain = np.sqrt(np.maximum(1 - self.strength * noise / np.maximum(smooth, 1e-20), 10 ** (self.floor / 10)))
        gain = ndimage.uniform_filter(gain, size=(1, 3, 3), mode="nearest")
        cleaned = torch.istft(
            spectrum * torch.from_numpy(gain).to(audio.dtype), n_fft, hop, window=window, length=padded.shape[1]
        )
        return cleaned[:, n_fft:-n_fft]

    def _noise(self, power: np.ndarray, frame_rate: float) -> np.ndarray:
        """(bins,) mean power of the noise, of (bins, frames)."""
        if self.stretch is not None:
            first, last = (round(second * frame_rate) for second in self.stretch)
            if first >= power.shape[1]:
                raise RecordingError(
                    f"the noise of SpectralGate begins at {self.stretch[0]} s, after the recording's end"
                )
            return power[:, first : max(last, first + 1)].mean(axis=1)
        order = np.argsort(power.sum(axis=0))
        return power[:, order[: max(1, round(self.quietest * power.shape[1]))]].mean(axis=1)
