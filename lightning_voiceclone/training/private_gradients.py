"""Gradients of a step that one speaker alone can change only so far, with noise that hides how far."""

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from lightning_voiceclone.utils.counter_random import counted

SMALL = 1e-6  # added to norms, so that a clipped gradient is not longer than the limit by rounding


class PrivateGradients:
    """Sums clipped gradients, one of each speaker, and adds noise to the sum.

    A gradient that is not finite counts as 0: like any other, it changes the sum by at most the limit.

    Args:
        clip: the greatest norm of one gradient.
        noise_multiplier: standard deviation of the noise, in units of ``clip``.
        expected: by which the sum is divided: the expected number of speakers, not the actual one, which is secret.
        key: of the noise.
    """

    def __init__(self, clip: float, noise_multiplier: float, expected: float, key: int) -> None:
        self.clip, self.noise_multiplier, self.expected, self.key = clip, noise_multiplier, expected, key
        self._sums: dict[nn.Parameter, Tensor] = {}

    def begin(self) -> None:
        """Forget what a step before left that was not finished."""
        self._sums = {}

    @torch.no_grad()
    def add(self, weights: Iterable[nn.Parameter]) -> None:
        """Take the gradients of weights, which one speaker's loss left there, and clear them."""
        found = {weight: weight.grad for weight in weights if weight.grad is not None}
        norm = torch.nn.utils.get_total_norm([gradient.float() for gradient in found.values()])
        if bool(norm.isfinite()):
            factor = (self.clip / (norm + SMALL)).clamp(max=1.0)
            for weight, gradient in found.items():
                clipped = gradient * factor
                before = self._sums.get(weight)
                self._sums[weight] = clipped if before is None else before.add_(clipped)
        for weight in found:
            weight.grad = None

    @torch.no_grad()
    def release(self, weights: Sequence[nn.Parameter], step: int, network: int) -> None:
        """Set the gradients of weights: the sum with noise, divided.

        Args:
            weights: of one network, in a fixed order; those without a gradient get noise alone.
            step: index of the step.
            network: index of the network.
        """
        rng = counted(self.key, step, network)
        for weight in weights:
            drawn = torch.from_numpy(rng.standard_normal(weight.numel(), dtype="float32")).view(weight.shape)
            noise = (self.noise_multiplier * self.clip * drawn).to(weight)
            total = self._sums.pop(weight, None)
            weight.grad = (noise if total is None else noise + total) / self.expected
        self.begin()
