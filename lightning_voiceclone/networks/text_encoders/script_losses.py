"""Distances of a predicted script from that of a recording, one value a row."""

import torch
from torch import Tensor
from torch.nn import functional as F

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.features.prosody import UNKNOWN_REGISTER

LEAST_DEVIATION = 0.02  # added to both before their logarithms, so that a constant channel gives no infinite gradient


def row_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Mean (B,) of values (B, T) where the mask is set; 0 where it is nowhere."""
    return torch.where(mask > 0, values, 0.0).sum(1) / mask.sum(1).clamp_min(1)


def tempo_loss(predicted: Tensor, durations: Tensor) -> Tensor:
    """Difference (B,) of the logarithms of the lengths of predicted and real durations (B, L) in all."""
    return (predicted.sum(1).clamp_min(1).log() - durations.sum(1).clamp_min(1).log()).abs()


def spread_loss(made: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """Difference (B,) of the logarithms of the standard deviations over time of (B, C, T), mean over the channels.

    Global variance (Toda & Tokuda 2007): a prediction by least errors moves less than what it predicts.
    """
    return (_log_deviation(made, mask) - _log_deviation(real, mask)).abs().mean(1)


def prosody_losses(prosody: dict[str, Tensor], target: Script, real: Tensor, octaves: float) -> dict[str, Tensor]:
    """Of pitch with its spread, voicing and energy, where they are predicted.

    Args:
        prosody: (B, T) by name: pitch in octaves over the register, voicing as logits, energy.
        target: of the recordings; has what is predicted.
        real: (B, T), whether a frame is the recording's.
        octaves: limit of the pitch, either way.
    """
    losses = {}
    if "pitch" in prosody:
        assert target.f0 is not None
        assert target.voicing is not None
        assert target.register is not None
        voiced = real * (target.f0 > 0)
        over = target.f0.clamp_min(1).log2() - target.register.nan_to_num(UNKNOWN_REGISTER)[:, None].log2()
        over = over.clamp(-octaves, octaves)
        losses["pitch"] = row_mean((prosody["pitch"] - over).abs(), voiced)
        losses["pitch_spread"] = spread_loss(prosody["pitch"][:, None], over[:, None], voiced)
        nats = F.binary_cross_entropy_with_logits(prosody["voicing"], target.voicing, reduction="none")
        losses["voicing"] = row_mean(nats, real)
    if "energy" in prosody:
        assert target.energy is not None
        losses["energy"] = row_mean((prosody["energy"] - target.energy).abs(), real)
    return losses


def _log_deviation(x: Tensor, mask: Tensor) -> Tensor:
    """ln (B, C) of the standard deviations of x (B, C, T) over the frames of the mask (B, T)."""
    weight = mask.to(x.dtype)[:, None]
    count = weight.sum(2, keepdim=True).clamp_min(1)
    centred = (x - (x * weight).sum(2, keepdim=True) / count) * weight
    return (centred.square().sum(2) / count[..., 0] + LEAST_DEVIATION**2).sqrt().log()
