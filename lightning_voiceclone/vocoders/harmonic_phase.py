"""Phases of harmonics: those of a voice advance with its pitch, which a network need not count."""

import math

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from lightning_voiceclone.networks.layers.past import Past

BLOCK = 64  # frames over which the phase forgets what was before
SMOOTH = 7  # frames of the running median
LOWEST = 40.0  # Hz; where f0 is lower, there is none
FULL, LEAST = 4.0, 0.0  # initial logits of the share of harmonics, at 0 Hz and at the highest frequency


class HarmonicPhase(nn.Module):
    """Spectra of a sum of harmonics and noise, for a backbone that has given magnitude and phase of each bin.

    A network that predicts the phases of frames has to count the periods of the voice over all that it sees, and is
    off after that. Given f0, its integral is the phase of the first harmonic. A bin takes that of its two nearest
    harmonics, which are its multiples, and a residual that the backbone predicts and that changes slowly. A share of
    each bin keeps the phase of the backbone, which suits noise, as do all frames without voice: harmonics plus noise
    (Stylianou 2001).

    f0 is a running median of ``SMOOTH`` frames, as trackers err in single ones; a causal vocoder, which would have to
    wait for it, takes f0 as it is.

    The phase of a frame depends on no more than two blocks of ``BLOCK`` frames, and those of the median, so that chunks
    equal the whole: each block corrects the fraction of a period by which the one before ended, at most half a period
    in 0.64 s.

    Args:
        width: channels of the backbone.
        step: frames of one step of the backbone.
        bins: of a spectrum.
        sample_rate: in Hz.
        hop_length: samples from frame to frame.
        causal: whether no later frame may be used.
    """

    bias: Tensor

    def __init__(
        self, width: int, *, step: int, bins: int, sample_rate: int, hop_length: int, causal: bool = False
    ) -> None:
        super().__init__()
        self.step, self.hop_seconds = step, hop_length / sample_rate
        self.reach = 0 if causal else SMOOTH // 2  # frames to either side
        self.head = nn.Linear(width, step * bins * 2)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)
        self.spacing = sample_rate / 2 / (bins - 1)  # Hz; no buffer, which half precision would round
        self.register_buffer("bias", torch.linspace(FULL, LEAST, bins), persistent=False)

    def forward(self, x: Tensor, noise: Tensor, f0: Tensor, past: Past, ahead: int = 0) -> tuple[Tensor, Tensor]:
        """Cosine and sine (B, T, bins) of each bin's phase.

        Args:
            x: (B, S, width) steps of the backbone, in the type of the weights.
            noise: (B, T, bins) phases of the backbone, in single or double precision.
            f0: (B, T) in Hz; 0 in frames without voice.
            past: what was before.
            ahead: frames at the end that come again with the next chunk.
        """
        made = self.head(x).to(noise.dtype).unflatten(2, (self.step, 2, -1)).flatten(1, 2)[:, : noise.shape[1]]
        residual, logit = made.unbind(2)
        f0 = self._smoothed(f0)
        voiced = (f0 > LOWEST).to(noise.dtype)
        share = (logit + self.bias).sigmoid() * voiced[..., None]
        periods = self._integral(f0 * voiced, past, ahead)
        cosine, sine = self._harmonics(f0.clamp_min(LOWEST), periods, residual)
        of_noise, share = (part.clamp_min(1e-6).sqrt() for part in (1 - share, share))
        return share * cosine + of_noise * noise.cos(), share * sine + of_noise * noise.sin()

    def _smoothed(self, f0: Tensor) -> Tensor:
        """The running median of f0 (B, T)."""
        if not self.reach:
            return f0
        padded, frames = F.pad(f0, (self.reach, self.reach)), f0.shape[1]
        near = torch.stack([padded[:, place : place + frames] for place in range(2 * self.reach + 1)], -1)
        return near.sort(-1).values[..., self.reach]

    def _integral(self, f0: Tensor, past: Past, ahead: int) -> Tensor:
        """Periods (B, T) since some moment, up to whole ones, in double precision where there is one."""
        precise = torch.float32 if f0.device.type == "mps" else torch.float64
        count = f0.shape[1]
        place = past.count(f0, BLOCK, again=ahead)
        periods = past.before((f0 * self.hop_seconds)[:, None], 2 * BLOCK, again=ahead)[:, 0].to(precise).cumsum(1)
        last = torch.arange(2 * BLOCK - 1, 2 * BLOCK - 1 + count, device=f0.device) - place  # frame before the block
        before = periods.gather(1, last)
        of_block = before - periods.gather(1, last - BLOCK)
        correction = (of_block - of_block.round()) * (1 - (place + 1) / BLOCK)
        return periods[:, 2 * BLOCK :] - before + correction

    def _harmonics(self, f0: Tensor, periods: Tensor, residual: Tensor) -> tuple[Tensor, Tensor]:
        """Cosine and sine (B, T, bins) of each bin's two nearest harmonics, the nearer with more weight."""
        place = torch.arange(residual.shape[2], device=f0.device) * self.spacing / f0[..., None]
        lower = place.floor()
        between = (2 * (place - lower) - 0.5).clamp(0, 1)
        upper = between * between * (3 - 2 * between)
        angle = (2 * math.pi * (lower * periods[..., None] % 1)).to(residual.dtype) + residual
        one = (2 * math.pi * (periods % 1)[..., None]).to(residual.dtype)
        cosine, sine = angle.cos(), angle.sin()
        turned_cosine, turned_sine = 1 - upper + upper * one.cos(), upper * one.sin()
        return cosine * turned_cosine - sine * turned_sine, cosine * turned_sine + sine * turned_cosine
