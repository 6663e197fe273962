"""Check that a generator can learn: it must overfit one batch."""

from dataclasses import replace

import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Condition
from lightning_voiceclone.core.interfaces import Generator
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.losses.reconstruction import masked_l1
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.testing.signals import band_features, speech_like

HOP = 160


def speech_batch(dims: Dims, *, rows: int = 4, seconds: float = 0.5, seed: int = 0) -> tuple[Tensor, Condition]:
    """Features (B, F, T) of synthetic speech, one speaker a row, and the condition that goes with them.

    The content is that of an untrained content encoder of ``dims.content`` channels, the speaker a random vector.
    """
    sounds = [speech_like(seconds, speaker=index, seed=seed + index) for index in range(rows)]
    features = torch.stack([torch.from_numpy(band_features(s.audio, channels=dims.features, hop=HOP)) for s in sounds])
    frames = features.shape[-1]
    f0 = torch.stack([torch.from_numpy(sound.f0[HOP // 2 :: HOP][:frames].copy()) for sound in sounds])
    condition = Condition(lengths=torch.full((rows,), frames))
    if dims.content:
        encoder = InstanceNormContentEncoder(Dims(dims.features), channels=dims.content, width=32, layers=1, stride=1)
        content = encoder(features).detach()
        # The reference is another row: its frames do not help, and must not hurt.
        condition = replace(condition, content=content, reference_frames=features.roll(1, 0).transpose(1, 2),
                            reference_content=content.roll(1, 0), reference_lengths=condition.lengths)  # fmt: skip
    if dims.pitch:
        condition = replace(condition, f0=f0, voicing=(f0 > 0).to(features.dtype))
    if dims.energy:
        condition = replace(condition, energy=features.mean(1))
    if dims.speaker:
        condition = replace(condition, speaker=torch.randn(rows, dims.speaker))
    if dims.noise:
        condition = replace(condition, noise=torch.randn(rows, dims.noise, frames))
    return features, condition


def overfit(
    generator: Generator, features: Tensor, condition: Condition, *, steps: int = 200, learning_rate: float = 2e-3
) -> list[float]:
    """Train the generator on one batch by mean absolute error (Adam); the error before each step, and after the last.

    Args:
        generator: trained in place.
        features: target (B, F, T), normalised.
        condition: its input.
        steps: of the optimizer.
        learning_rate: of the optimizer.
    """
    optimizer = torch.optim.Adam(generator.parameters(), lr=learning_rate)
    mask = condition.mask(features.shape[-1])
    errors = []
    generator.train()
    for _ in range(steps):
        error = masked_l1(generator(condition), features, mask).mean()
        optimizer.zero_grad()
        error.backward()
        optimizer.step()
        errors.append(error.item())
    with torch.no_grad():
        return [*errors, masked_l1(generator.eval()(condition), features, mask).mean().item()]
