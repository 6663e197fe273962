"""Weights of losses as shares of the gradient, whatever the scale of each loss."""

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

EVERY = 10  # steps of the generator from one measurement to the next, which costs a backward pass to the output
WITHOUT = -1  # norm and count of a loss whose gradient does not reach the output


class LossBalancer(nn.Module):
    """Scales losses so that each has the share of the gradient at the generator's output that its weight states.

    The scale of a loss is its share (its weight over the sum of weights) over a moving average of its gradient's norm,
    so that the shares add up to 1 (EnCodec, Défossez et al. 2022, section 3.4, where gradients themselves are scaled
    in each step). Norms are measured every ``EVERY`` steps of the generator, and where a loss appears for the first
    time; they are buffers, so that checkpoints contain them. A loss of which no gradient reaches the output (the
    divergence of VAEGenerator) keeps its weight.

    Args:
        weights: of the losses, by name; ``weights`` may be changed from step to step.
        decay: of the moving average.
    """

    norms: Tensor
    counts: Tensor
    since: Tensor

    def __init__(self, weights: Mapping[str, float], decay: float):
        super().__init__()
        self.weights, self.decay = dict(sorted(weights.items())), decay
        self.register_buffer("norms", torch.zeros(len(weights)))
        self.register_buffer("counts", torch.zeros(len(weights), dtype=torch.long))
        self.register_buffer("since", torch.tensor(0))  # steps since norms were measured
        self._measured: tuple[Tensor, Tensor] | None = None
        self.shares: dict[str, Tensor] = {}

    def scales(
        self, losses: Mapping[str, Tensor], output: Tensor, mean: Callable[[Tensor], Tensor] | None = None
    ) -> dict[str, Tensor]:
        """Factor of each loss, a scalar.

        Args:
            losses: those of this step, by name; each a scalar with gradient.
            output: of the generator; all losses but those of its own come from it.
            mean: over processes, of a tensor; None for one process.
        """
        norms, counts = self.norms, self.counts
        present = [index for index, name in enumerate(self.weights) if name in losses]
        self._measured, self.shares = None, {}
        due = not 0 < int(self.since) < EVERY or bool((counts[present] == 0).any())
        if due:
            found = self._gradients(losses, output)
            if mean is not None:
                found = mean(found)
            norms, counts = self._averaged(found)
            self._measured = norms, counts
        weights = torch.tensor(list(self.weights.values()), device=norms.device)
        part = torch.zeros_like(norms)
        part[present] = weights[present] * (counts[present] > 0)
        part = part / part.sum().clamp_min(1e-30)
        scales = torch.where(counts > 0, part / norms.clamp_min(1e-30), torch.where(counts == WITHOUT, weights, 0.0))
        if due:
            actual = found.clamp_min(0) * scales
            self.shares = {name: actual[index] / actual.sum().clamp_min(1e-30)
                           for index, name in enumerate(self.weights) if index in present}  # fmt: skip
        return {name: scales[index] for index, name in enumerate(self.weights) if index in present}

    def accept(self) -> None:
        """Keep what the last step measured, once it is certain that the step is not taken back."""
        self.since.add_(1)
        if self._measured is not None:
            self.since.fill_(1)
            self.norms.copy_(self._measured[0])
            self.counts.copy_(self._measured[1])
            self._measured = None

    def _gradients(self, losses: Mapping[str, Tensor], output: Tensor) -> Tensor:
        """Norm of each loss's gradient at the output; 0 for one that is absent."""
        found = torch.zeros_like(self.norms)
        for index, name in enumerate(self.weights):
            if name in losses:
                (gradient,) = torch.autograd.grad(losses[name], output, retain_graph=True, allow_unused=True)
                found[index] = WITHOUT if gradient is None else gradient.float().norm()
        return found

    def _averaged(self, found: Tensor) -> tuple[Tensor, Tensor]:
        """Averages and counts with what was found. A gradient of 0 counts as no measurement: it has no scale."""
        counts = torch.where(found == WITHOUT, WITHOUT, self.counts)
        averaged = torch.where(counts > 0, self.decay * self.norms + (1 - self.decay) * found, found)
        measured = found > 0
        return torch.where(measured, averaged, self.norms), counts + measured
