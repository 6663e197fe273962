"""What recordings are made of, frame by frame, and the small steps from them to a condition."""

from collections.abc import Iterable
from dataclasses import dataclass, fields, replace

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.interfaces import Condition
from lightning_voiceclone.spec import AudioSpec

# Voicing above which a frame counts as voiced: noise does not reach it, and speech at 0 dB does in its vowels.
VOICED = 0.5


@dataclass(frozen=True)
class Analysis:
    """What a batch of recordings is made of, frame by frame.

    Args:
        audio: (B, N) the samples of these frames, N = T * hop.
        features: (B, F, T), normalised.
        lengths: (B,) frames that are real.
        f0: (B, T) in Hz, 0 where unvoiced; None if the voice has no pitch extractor.
        voicing: (B, T) from 0 to 1; None likewise.
        energy: (B, T) logarithm of the RMS less its mean; None if the voice has no energy extractor.
    """

    audio: Tensor
    features: Tensor
    lengths: Tensor
    f0: Tensor | None = None
    voicing: Tensor | None = None
    energy: Tensor | None = None

    def rows(self, which: slice | Tensor) -> "Analysis":
        """Those rows alone."""
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return replace(self, **{name: value[which] for name, value in values.items() if value is not None})

    @property
    def voiced(self) -> Tensor:
        """(B, 1, T), set for real frames that are voiced; for all real ones if the voice has no pitch extractor."""
        frames = self.features.shape[-1]
        mask = Condition(self.lengths).mask(frames) > 0
        return mask if self.voicing is None else mask & (self.voicing > VOICED)[:, None]


class Normalizer(nn.Module):
    """Features to zero mean and unit variance in each channel, with statistics of the training recordings."""

    mean: Tensor
    scale: Tensor
    fitted: Tensor

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(channels, 1))
        self.register_buffer("scale", torch.ones(channels, 1))
        self.register_buffer("fitted", torch.tensor(False))

    @torch.no_grad()
    def fit(self, batches: Iterable[Tensor]) -> None:
        """Take the statistics of features (B, F, T), over all batches."""
        values = torch.cat([features.transpose(0, 1).flatten(1).cpu().double() for features in batches], dim=1)
        self.mean.copy_(values.mean(dim=1, keepdim=True))
        self.scale.copy_(values.std(dim=1, keepdim=True).clamp_min(1e-5))
        self.fitted.fill_(True)

    def fit_once(self, batches: Iterable[Tensor]) -> None:
        """As :meth:`fit`, unless that was done before, here or where the weights come from."""
        if not self.fitted:
            self.fit(batches)

    def forward(self, features: Tensor) -> Tensor:
        """Normalised features (B, F, T)."""
        return (features - self.mean) / self.scale

    def inverse(self, features: Tensor) -> Tensor:
        """Features in the extractor's own units (B, F, T)."""
        return features * self.scale + self.mean


def check_audio(audio: Tensor, spec: AudioSpec, name: str, least_seconds: float) -> None:
    """Refuse what cannot be heard.

    Raises:
        RecordingError: if (N,) samples are too few, silent or not finite; says which.
    """
    seconds = audio.shape[-1] / spec.sample_rate
    if seconds < least_seconds:
        raise RecordingError(
            f"{name} lasts {seconds:.2f} s, at least {least_seconds:g} s are needed; give a longer one"
        )
    if not torch.isfinite(audio).all():
        raise RecordingError(f"{name} has samples that are not finite numbers; record or export it again")
    if audio.abs().max() < 1e-3:
        raise RecordingError(f"{name} is silent (peak below -60 dB); give one with speech")


def pad_together(recordings: list[Tensor], hop_length: int) -> tuple[Tensor, Tensor]:
    """Recordings (N,) of several lengths as one batch (B, N) padded with zeros, and their lengths in frames."""
    lengths = torch.tensor([len(audio) // hop_length for audio in recordings], device=recordings[0].device)
    longest = int(lengths.max()) * hop_length
    rows = [F.pad(audio[:longest], (0, longest - min(len(audio), longest))) for audio in recordings]
    return torch.stack(rows), lengths


def median_f0(f0: Tensor) -> Tensor:
    """Median over voiced frames (B,) of f0 (B, T) in Hz; NaN where nothing is voiced."""
    return torch.where(f0 > 0, f0, torch.nan).nanmedian(dim=-1).values


def move_register(f0: Tensor | None, register: Tensor | None) -> Tensor | None:
    """f0 (B, T) with its median moved to ``register`` (B,) in Hz; None for either leaves it."""
    if f0 is None or register is None:
        return f0
    ratio = (register / median_f0(f0)).nan_to_num(nan=1.0)
    return f0 * ratio[:, None]


def stretch(content: Tensor, frames: int, from_rate: float, to_rate: float) -> Tensor:
    """Content (B, C, T') on the features' grid (B, C, T), by linear interpolation between frame centres."""
    if from_rate == to_rate:
        return F.pad(content, (0, max(frames - content.shape[-1], 0)), mode="replicate")[..., :frames]
    stretched = F.interpolate(content, scale_factor=to_rate / from_rate, mode="linear", align_corners=False)
    return F.pad(stretched, (0, max(frames - stretched.shape[-1], 0)), mode="replicate")[..., :frames]
