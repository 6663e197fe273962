"""Parts whose weights checkpoints refer to by hash instead of holding them."""

import hashlib
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from lightning_voiceclone.core.description_checks import shown_package
from lightning_voiceclone.core.part import Part, describe
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.torch_internals import is_persistent


def all_weights(module: nn.Module) -> dict[str, Tensor]:
    """Weights and persistent buffers by name, including those that checkpoints only refer to."""
    named: dict[str, Tensor] = dict(module.named_parameters())
    for prefix, owner in module.named_modules():
        for name, buffer in owner.named_buffers(recurse=False):
            if is_persistent(owner, name):
                named[f"{prefix}.{name}".lstrip(".")] = buffer
    return {name: tensor.detach() for name, tensor in named.items()}


def weights_sha256(weights: Mapping[str, Tensor]) -> str:
    """SHA-256 of names, types and values."""
    digest = hashlib.sha256()
    for name in sorted(weights):
        tensor = weights[name].detach().cpu().contiguous()
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.flatten().view(torch.uint8).numpy().data if tensor.numel() else b"")
    return digest.hexdigest()


def refer_by_hash(part: Part) -> None:
    """Freeze the part, and make checkpoints refer to its weights by their hash, as long as it has one."""
    part.requires_grad_(False)
    part.weights_sha256 = weights_sha256(all_weights(part))
    part.register_state_dict_post_hook(_withhold)
    part.register_load_state_dict_pre_hook(_supply)


def _withhold(module: nn.Module, state: dict[str, Any], prefix: str, metadata: Any) -> None:
    for name in [key for key in state if key.startswith(prefix)] if module.weights_sha256 else []:
        del state[name]


def _supply(module: nn.Module, state: dict[str, Any], prefix: str, *rest: Any) -> None:
    for name, tensor in all_weights(module).items() if module.weights_sha256 else []:
        state.setdefault(prefix + name, tensor)


def describe_with_weights(part: Part) -> dict[str, Any]:
    """Description of a part (``part.describe``), with the hash of its weights if it is frozen."""
    described = describe(part)
    return {**described, "sha256": part.weights_sha256} if part.weights_sha256 else described


def check_weights(role: str, described: Mapping[str, Any], part: Part | None) -> None:
    """Reject weights other than those that a model refers to.

    Args:
        role: of the part in the model.
        described: the part's description in the model; its sha256, if it has one, is of the weights referred to.
        part: that was built from it.

    Raises:
        ConfigurationError: names both hashes, and what to install.
    """
    there = None if part is None else part.weights_sha256
    if described.get("sha256") != there:
        weights = described["arguments"].get("pretrained") or described["arguments"].get("model")
        remedy = ", or choose another vocoder with --vocoder" if role == "vocoder" else ""
        package = shown_package(described.get("package"))
        install = f", or the version of {package} that it was made with, if you trust it" if package else ""
        raise ConfigurationError(
            f"this voice was made with weights of its {role} of the hash {str(described.get('sha256'))[:12]}, but those"
            f" here ({weights}) have {str(there)[:12]}; bring back those{install}{remedy}"
        )
