"""Private API of Lightning."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.core.optimizer import LightningOptimizer, do_nothing_closure


@contextmanager
def uncounted(optimizer: LightningOptimizer) -> Iterator[None]:
    """Keep Lightning from counting this optimizer's step: a step is a batch, and is counted once a batch."""
    before, after = optimizer._on_before_step, optimizer._on_after_step
    optimizer._on_before_step = optimizer._on_after_step = do_nothing_closure  # type: ignore[method-assign]
    try:
        yield
    finally:
        optimizer._on_before_step, optimizer._on_after_step = before, after  # type: ignore[method-assign]
