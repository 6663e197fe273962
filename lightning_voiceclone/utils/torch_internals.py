"""Private API of torch and torchaudio, each use with its reason. Nothing here imports Lightning.

A new version may change any of it: ``tests/utils/test_torch_internals.py`` watches each.
"""

from collections import OrderedDict
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Any

import torch
from torch import Tensor, nn
from torch.fx.experimental import _config as fx_config


def lerp_all(values: Sequence[Tensor], targets: Sequence[Tensor], weight: float) -> None:
    """Move each tensor towards its target in place: ``value += weight * (target - value)``.

    One call for all weights of a model; a loop over them takes several times as long, and would in every step.
    """
    torch._foreach_lerp_(list(values), list(targets), weight)


def is_persistent(owner: nn.Module, buffer: str) -> bool:
    """Whether state dictionaries hold a buffer of the module.

    ``state_dict`` does not show it: hooks leave weights out of it (``external_weights``).
    """
    return buffer not in owner._non_persistent_buffers_set


def open_to_one() -> AbstractContextManager[Any]:
    """A block in which torch.export leaves open whether a length that is left open is 1; a private setting."""
    return fx_config.patch(backed_size_oblivious=True)  # type: ignore[attr-defined, no-any-return]


def is_open_to_one() -> bool:
    """Whether :func:`open_to_one` is in effect."""
    return bool(fx_config.backed_size_oblivious)


def without_function_modes() -> AbstractContextManager[Any]:
    """A block in which no ``TorchFunctionMode`` sees an operation; torch has no public way to suspend one."""
    return torch._C.DisableTorchFunction()


def set_versions(state: "OrderedDict[str, Any]", versions: Any) -> None:
    """Give a state dictionary the versions of its modules, which ``load_state_dict`` reads from an attribute."""
    state._metadata = versions  # type: ignore[attr-defined]


def normalizes_waveform(bundle: Any) -> bool:
    """Whether a torchaudio bundle's model was trained on normalised waveforms; False for bundles without the field.

    The model that ``get_model`` returns normalises by itself, but over the padding too.
    """
    return bool(getattr(bundle, "_normalize_waveform", False))
