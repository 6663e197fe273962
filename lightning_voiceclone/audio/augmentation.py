"""Augmentation of batches in training; each row is drawn anew from torch's global random state."""

import math
from abc import abstractmethod
from pathlib import Path
from typing import ClassVar, Literal

import torch
from torch import Tensor
from torch.nn.functional import pad
from torchaudio.functional import phase_vocoder

from lightning_voiceclone.audio.folders import FORMATS, recordings_below
from lightning_voiceclone.audio.io import read_audio, seconds_of
from lightning_voiceclone.core.interfaces import AudioTransform
from lightning_voiceclone.errors import ConfigurationError, RecordingError


class _RowTransform(AudioTransform):
    """Change each row of a batch with a probability; subclasses define the change."""

    stage: ClassVar[Literal["prepare", "training"]] = "training"
    keeps_timing: ClassVar[bool] = True

    def __init__(self, probability: float) -> None:
        super().__init__()
        if not 0 <= probability <= 1:
            raise ConfigurationError(f"probability is {probability}; it must be from 0 to 1")
        self.probability = probability

    def forward(self, audio: Tensor, sample_rate: int) -> Tensor:
        """(B, N) of (B, N); rows that would leave [-1, 1] are scaled back into it."""
        chosen = (torch.rand(len(audio)) < self.probability).tolist()
        rows = [self._change(row, sample_rate) if change else row for row, change in zip(audio, chosen, strict=True)]
        return torch.stack([_in_range(new, old) for new, old in zip(rows, audio, strict=True)]) if rows else audio

    @abstractmethod
    def _change(self, row: Tensor, sample_rate: int) -> Tensor:
        """(N,) of (N,)."""


def _in_range(new: Tensor, old: Tensor) -> Tensor:
    if new is old or not len(new):
        return new
    return new / (new.abs().max() / old.abs().max().clamp_min(1.0)).clamp_min(1.0)


def _draw(low: float, high: float) -> float:
    return low + (high - low) * float(torch.rand(()))


def _check_range(name: str, low: float, high: float) -> None:
    if low > high:
        raise ConfigurationError(f"{name} goes from {low} to {high}; the first must not be above the second")


def _resampled(row: Tensor, length: int) -> Tensor:
    """(length,) of (N,): band-limited, by cutting or extending the Fourier series of the row between mirrored ends.

    Any ratio costs two transforms, where a filter bank would need a new kernel for each. Rows of some length are
    transformed at multiples of 32, which is several times faster than at lengths with large prime factors; the ratio
    is then right to 0.1% for a second at 16 kHz.
    """
    unit = 32 if min(len(row), length) >= 4096 else 1
    left = min(512, len(row) - 1)
    right = left + (-len(row) - 2 * left) % unit
    extended = pad(row[None, None], (left, right), mode="reflect")[0, 0]
    whole = round(len(extended) * length / len(row) / unit) * unit
    spectrum = torch.fft.rfft(extended)
    bins = whole // 2 + 1
    spectrum = pad(spectrum, (0, bins - len(spectrum))) if bins > len(spectrum) else spectrum[:bins]
    start = round(left * whole / len(extended))
    return torch.fft.irfft(spectrum, n=whole)[start : start + length] * (whole / len(extended))


def _fitted(row: Tensor, length: int) -> Tensor:
    return row[:length] if len(row) >= length else pad(row, (0, length - len(row)))


class RandomPitch(_RowTransform):
    """Shift the pitch (and with it the formants) and keep the timing: phase vocoder, then resampling.

    Args:
        low: least shift in semitones.
        high: greatest shift in semitones.
        probability: that a row is changed.

    Raises:
        ConfigurationError: if low is above high, or one is beyond two octaves.
    """

    keeps_voice: ClassVar[bool] = False

    def __init__(self, low: float = -3.0, high: float = 3.0, probability: float = 0.5) -> None:
        super().__init__(probability)
        _check_range("the shift in semitones", low, high)
        if max(-low, high) > 24:
            raise ConfigurationError(f"the shift goes from {low} to {high} semitones; at most 24 either way")
        self.low = low
        self.high = high

    def _change(self, row: Tensor, sample_rate: int) -> Tensor:
        ratio = 2 ** (_draw(self.low, self.high) / 12)
        n_fft = 2 ** round(math.log2(0.064 * sample_rate))
        if len(row) <= n_fft // 2:
            return row
        hop = n_fft // 4
        window = torch.hann_window(n_fft, device=row.device, dtype=row.dtype)
        spectrum = torch.stft(row, n_fft, hop, window=window, return_complex=True)
        advance = torch.linspace(0, math.pi * hop, n_fft // 2 + 1, device=row.device, dtype=row.dtype)[:, None]
        stretched = phase_vocoder(spectrum, 1 / ratio, advance)
        longer = torch.istft(stretched, n_fft, hop, window=window, length=round(len(row) * ratio))
        return _fitted(_resampled(longer, len(row)), len(row))


class RandomSpeed(_RowTransform):
    """Change the speed by resampling: pitch, formants and timing change together.

    Rows that become longer are cropped at a drawn place; rows that become shorter are followed by zeros.

    Args:
        low: least speed; 1 is as recorded.
        high: greatest speed.
        probability: that a row is changed.

    Raises:
        ConfigurationError: if low is above high or not above 0.
    """

    keeps_timing: ClassVar[bool] = False
    keeps_voice: ClassVar[bool] = False

    def __init__(self, low: float = 0.9, high: float = 1.1, probability: float = 0.5) -> None:
        super().__init__(probability)
        _check_range("the speed", low, high)
        if low <= 0:
            raise ConfigurationError(f"the least speed is {low}; it must be above 0")
        self.low = low
        self.high = high

    def _change(self, row: Tensor, sample_rate: int) -> Tensor:
        played = _resampled(row, max(1, round(len(row) / _draw(self.low, self.high))))
        offset = int(torch.randint(max(len(played) - len(row), 0) + 1, ()))
        return _fitted(played[offset:], len(row))


class RandomGain(_RowTransform):
    """Louder or softer.

    Args:
        low: least gain in dB.
        high: greatest gain in dB; less where the row would leave [-1, 1].
        probability: that a row is changed.

    Raises:
        ConfigurationError: if low is above high.
    """

    def __init__(self, low: float = -12.0, high: float = 6.0, probability: float = 0.5) -> None:
        super().__init__(probability)
        _check_range("the gain in dB", low, high)
        self.low = low
        self.high = high

    def _change(self, row: Tensor, sample_rate: int) -> Tensor:
        return row * 10 ** (_draw(self.low, self.high) / 20)


class AddNoise(_RowTransform):
    """Add noise so that the ratio of the row's power to the noise's is the drawn one, over the whole row.

    Args:
        low: least ratio in dB.
        high: greatest ratio in dB.
        noise: white, pink (power as 1/f), or a folder of recordings, of which drawn pieces are taken.
        probability: that a row is changed. Silent rows never are.

    Raises:
        ConfigurationError: if low is above high, or the folder has no recordings.
    """

    def __init__(self, low: float = 10.0, high: float = 30.0, noise: str = "white", probability: float = 0.5) -> None:
        super().__init__(probability)
        _check_range("the ratio of signal to noise in dB", low, high)
        self.low = low
        self.high = high
        self.noise = noise
        self.paths = [] if noise in {"white", "pink"} else _recordings_in(noise, "white, pink or a folder of noises")

    def _change(self, row: Tensor, sample_rate: int) -> Tensor:
        noise = self._noise(len(row), sample_rate).to(row)
        ratio = 10 ** (_draw(self.low, self.high) / 10)
        power = noise.square().mean()
        if not power:
            return row
        return row + noise * (row.square().mean() / power / ratio).sqrt()

    def _noise(self, length: int, sample_rate: int) -> Tensor:
        if self.paths:
            return _piece(self.paths[int(torch.randint(len(self.paths), ()))], length, sample_rate)
        noise = torch.randn(length)
        if self.noise == "white":
            return noise
        spectrum = torch.fft.rfft(noise)
        return torch.fft.irfft(spectrum / torch.arange(len(spectrum)).clamp_min(1).sqrt(), n=length)


class AddReverberation(_RowTransform):
    """Convolve with a room impulse response. The direct sound keeps its place, and the row its power.

    Without a folder the response is the direct sound and, from 2 ms on, noise that decays exponentially (Polack
    1988) by 60 dB in the drawn time.

    Args:
        low: least reverberation time (RT60) in seconds.
        high: greatest reverberation time in seconds.
        low_direct: least ratio of direct to reverberated power in dB.
        high_direct: greatest such ratio in dB.
        responses: folder of recorded impulse responses, of which one is drawn, instead of synthetic ones.
        probability: that a row is changed.

    Raises:
        ConfigurationError: if low is above high in a range, low is not above 0, or the folder has no recordings.
    """

    def __init__(
        self,
        low: float = 0.1,
        high: float = 0.6,
        *,
        low_direct: float = 0.0,
        high_direct: float = 15.0,
        responses: str | None = None,
        probability: float = 0.5,
    ) -> None:
        super().__init__(probability)
        _check_range("the reverberation time in seconds", low, high)
        _check_range("the ratio of direct to reverberated power in dB", low_direct, high_direct)
        if low <= 0:
            raise ConfigurationError(f"the least reverberation time is {low} s; it must be above 0")
        self.low = low
        self.high = high
        self.low_direct = low_direct
        self.high_direct = high_direct
        self.paths = [] if responses is None else _recordings_in(responses, "a folder of impulse responses")

    def _change(self, row: Tensor, sample_rate: int) -> Tensor:
        response = self._response(sample_rate).to(row)
        size = 1 << (len(row) + len(response) - 2).bit_length()  # a power of two transforms fastest
        wet = torch.fft.irfft(torch.fft.rfft(row, n=size) * torch.fft.rfft(response, n=size), n=size)[: len(row)]
        power = wet.square().mean()
        return wet * (row.square().mean() / power).sqrt() if power else row

    def _response(self, sample_rate: int) -> Tensor:
        if self.paths:
            audio = torch.from_numpy(read_audio(self.paths[int(torch.randint(len(self.paths), ()))], sample_rate)[0])
            direct = int(audio.abs().argmax())
            return audio[direct:] * audio[direct].sign()
        time = _draw(self.low, self.high)
        seconds = torch.arange(max(2, round(time * sample_rate))) / sample_rate
        tail = torch.randn(len(seconds)) * 10 ** (-3 * seconds / time) * (seconds >= 0.002)
        ratio = 10 ** (_draw(self.low_direct, self.high_direct) / 10)
        tail = tail / (tail.square().sum() * ratio).sqrt().clamp_min(1e-10)
        tail[0] = 1.0
        return tail


def _recordings_in(folder: str, expected: str) -> list[Path]:
    found, _ = recordings_below(folder)
    if not found:
        raise ConfigurationError(f"no recordings ({FORMATS}) in {folder!r}; expected {expected}")
    for path in found:  # now, and not when one is drawn in the middle of a training
        try:
            seconds_of(path)
        except RecordingError as error:
            raise ConfigurationError(f"{path} cannot be decoded; take it out of {folder!r}") from error
    return found


def _piece(path: Path, length: int, sample_rate: int) -> Tensor:
    """(length,) from a drawn place of a recording, repeated where it is too short."""
    seconds, wanted = seconds_of(path), length / sample_rate
    start = _draw(0.0, max(seconds - wanted, 0.0))
    piece = torch.from_numpy(read_audio(path, sample_rate, start=start, end=start + wanted)[0])
    return piece.repeat(math.ceil(length / len(piece)))[:length]
