"""Synthetic speech for the checks, made once for each length and rate."""

import functools

import torch
from torch import Tensor

from lightning_voiceclone.testing.signals import speech_like


def speech(seconds: float, sample_rate: int, rows: int = 2) -> Tensor:
    """Synthetic speech (rows, N), one speaker a row."""
    return torch.stack([one_speaker(seconds, sample_rate, row, row) for row in range(rows)])


def one_speaker(seconds: float, sample_rate: int, speaker: int, seed: int) -> Tensor:
    """Synthetic speech (N,) of a speaker; a tensor of its own."""
    return _made(seconds, sample_rate, speaker, seed).clone()


@functools.lru_cache(256)
def _made(seconds: float, sample_rate: int, speaker: int, seed: int) -> Tensor:
    return torch.from_numpy(speech_like(seconds, sample_rate=sample_rate, speaker=speaker, seed=seed).audio)
