"""Exponential moving average of trained weights."""

import contextlib
from collections.abc import Iterator

import torch
from torch import nn

from lightning_voiceclone.utils.torch_internals import lerp_all


class WeightAverage(nn.Module):
    """Exponential moving average of a module's trained parameters, kept as buffers so that checkpoints contain it.

    ``average <- decay * average + (1 - decay) * weights``, with the decay of the first updates limited to
    (1 + n) / (10 + n) after n updates, so that initial weights have little influence.

    Args:
        module: whose parameters are averaged; those that are frozen now are left out.
        decay: from 0 (no memory) to 1.
        prefix: of the buffers' names, so that a reader of the checkpoint can tell which module they belong to.
    """

    updates: torch.Tensor

    def __init__(self, module: nn.Module, decay: float, prefix: str) -> None:
        super().__init__()
        self.decay = decay
        self._names = [(name, f"{prefix}.{name}".replace(".", "/")) for name, p in module.named_parameters()
                       if p.requires_grad]  # fmt: skip
        parameters = dict(module.named_parameters())
        for name, key in self._names:
            self.register_buffer(key, parameters[name].detach().clone())
        self.register_buffer("updates", torch.tensor(0))

    def _pairs(self, module: nn.Module) -> tuple[list[torch.Tensor], list[nn.Parameter]]:
        parameters = dict(module.named_parameters())
        return [getattr(self, key) for _, key in self._names], [parameters[name] for name, _ in self._names]

    @torch.no_grad()
    def update(self, module: nn.Module) -> None:
        """Update the average with the module's current weights."""
        averages, parameters = self._pairs(module)
        count = int(self.updates)
        lerp_all(averages, [p.data for p in parameters], 1 - min(self.decay, (1 + count) / (10 + count)))
        self.updates += 1

    @contextlib.contextmanager
    def applied(self, module: nn.Module) -> Iterator[None]:
        """Run the module with the averaged weights; tensors are swapped, not copied."""
        averages, parameters = self._pairs(module)
        kept = [p.data for p in parameters]
        try:
            for p, average in zip(parameters, averages, strict=True):
                p.data = average
            yield
        finally:
            for p, data in zip(parameters, kept, strict=True):
                p.data = data
