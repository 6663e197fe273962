"""Settings of torch and NumPy that hold for the whole process, by name: read them, and put them back."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch


def _set_device(device: torch.device) -> None:
    """Naming a device puts a mode around every later call of torch; the CPU needs none."""
    torch.set_default_device(None if device == torch.device("cpu") else device)


def _deterministic() -> dict[str, bool]:
    return {"mode": torch.are_deterministic_algorithms_enabled(),
            "warn_only": torch.is_deterministic_algorithms_warn_only_enabled()}  # fmt: skip


SETTINGS: dict[str, tuple[Callable[[], Any], Callable[[Any], Any]]] = {
    "default dtype": (torch.get_default_dtype, torch.set_default_dtype),
    "default device": (torch.get_default_device, _set_device),
    "gradients": (torch.is_grad_enabled, torch.set_grad_enabled),
    "threads": (torch.get_num_threads, torch.set_num_threads),
    "deterministic algorithms": (_deterministic, lambda kept: torch.use_deterministic_algorithms(**kept)),
    "precision of products": (torch.get_float32_matmul_precision, torch.set_float32_matmul_precision),
    "NumPy's errors": (np.geterr, lambda errors: np.seterr(**errors)),
}


def current() -> dict[str, Any]:
    """The settings as they are."""
    return {name: get() for name, (get, _) in SETTINGS.items()}


def changes(before: Mapping[str, Any]) -> dict[str, str]:
    """Those that are others than before: by name, the value and the one before."""
    return {name: f"{value} (before: {before[name]})" for name, value in current().items() if value != before[name]}


def restore(before: Mapping[str, Any]) -> None:
    """Put back what :func:`current` gave."""
    for name in changes(before):
        SETTINGS[name][1](before[name])
