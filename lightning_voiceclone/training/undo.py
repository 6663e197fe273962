"""Take back a training step that met a value that is not finite."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lightning_voiceclone.utils.torch_internals import is_persistent

Place = tuple[Tensor, Tensor]  # a tensor that a step changes, and its value before


class Undo:
    """Copies of what a step changes before its last check; :meth:`restore` puts them back.

    That is the discriminator (weights, buffers, the state of its optimizer), which is updated before the generator's
    losses are known, the buffers of the generator's side, which forward passes change (batch norm, spectral norm), and
    the gradients of batches that were accumulated before. The generator's weights are updated last, after all checks.

    Args:
        updated: the network that is updated before the last check; None for none.
        kept: networks of which only buffers and gradients change before it.
    """

    def __init__(self, updated: nn.Module | None, kept: nn.Module) -> None:
        self._updated, self._modules = updated, [module for module in (updated, kept) if module is not None]
        self._places: list[Place] = []
        self._gradients: list[tuple[nn.Parameter, Tensor | None]] = []
        self._optimizer: Optimizer | None = None
        self._without_state: list[nn.Parameter] = []
        self._numbers: list[tuple[dict[str, Any], dict[str, Any]]] = []  # of the optimizer, which are no tensors

    @torch.no_grad()
    def take(self, optimizer: Optimizer | None) -> None:
        """Copy the state before a step.

        Args:
            optimizer: of the network that is updated; None if it is not updated in this step.
        """
        self._optimizer = optimizer
        live = [*_buffers(self._modules)]
        self._without_state, self._numbers = [], []
        if self._updated is not None and optimizer is not None:
            weights = [weight for weight in self._updated.parameters() if weight.requires_grad]
            live += weights
            for weight in weights:
                state = optimizer.state.get(weight)
                if not state:
                    self._without_state.append(weight)
                    continue
                live += [value for value in state.values() if isinstance(value, Tensor)]
                self._numbers.append((state, _plain(state)))
            self._numbers += [(group, _plain(group)) for group in optimizer.param_groups]
        self._places = _copied(live, self._places)
        trained = (weight for module in self._modules for weight in module.parameters() if weight.requires_grad)
        self._gradients = [(weight, None if weight.grad is None else weight.grad.clone()) for weight in trained]

    @torch.no_grad()
    def restore(self) -> None:
        """Put everything back."""
        for live, copied in self._places:
            live.copy_(copied)
        for weight, gradient in self._gradients:
            weight.grad = gradient
        for values, before in self._numbers:
            values.update(before)
        if self._optimizer is not None:
            for weight in self._without_state:
                self._optimizer.state.pop(weight, None)


def _plain(values: dict[str, Any]) -> dict[str, Any]:
    """The values that are no tensors or weights, copied."""
    return {name: copy.deepcopy(value) for name, value in values.items()
            if name != "params" and not isinstance(value, Tensor)}  # fmt: skip


def _copied(live: list[Tensor], before: list[Place]) -> list[Place]:
    """Copies of tensors, in the memory of the last ones where those are of the same tensors."""
    if len(before) != len(live) or any(old is not new for (old, _), new in zip(before, live, strict=True)):
        return [(tensor, tensor.detach().clone()) for tensor in live]
    for tensor, copied in before:
        copied.copy_(tensor)
    return before


def _buffers(modules: Iterable[nn.Module]) -> Iterator[Tensor]:
    for module in modules:
        for owner in module.modules():
            for name, buffer in owner.named_buffers(recurse=False):
                if is_persistent(owner, name):
                    yield buffer
