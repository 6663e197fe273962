"""Check a checkpoint against the parts and optimizers that resume from it, before anything of it is used."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from lightning_voiceclone.checkpoints.description import but_place, first_difference, same_making
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError

# Of an optimizer's group: how it computes, not what, and what schedulers add; versions of torch differ in these.
HOW = {"params", "param_names", "foreach", "fused", "capturable", "differentiable", "maximize", "initial_lr",
       "decoupled_weight_decay"}  # fmt: skip
Descriptions = Mapping[str, Mapping[str, Any] | None]


def check_same_parts(stored: Descriptions, present: Descriptions, *, but: Collection[str] = ()) -> None:
    """Reject a checkpoint of other parts. Versions of their packages may differ.

    Args:
        stored: by role (generator, discriminator, …), how the checkpoint's parts were made (``part.describe``); None
            for one that was left out.
        present: the same of this configuration.
        but: roles that may differ.

    Raises:
        SpecMismatchError: names the first role, in alphabetical order, with another part or other frozen weights, and
            both.
    """
    role = first_difference(stored, present, but)
    if role is None:
        return
    left, right = stored.get(role), present.get(role)
    if not same_making(but_place(left), but_place(right)):
        raise SpecMismatchError(
            f"{role} is {_shown(left)} in the checkpoint but {_shown(right)} in this configuration;"
            " use the configuration that the checkpoint was made with (config.yaml beside it)"
        )
    hashes = [str((part or {}).get("sha256"))[:12] for part in (left, right)]
    raise SpecMismatchError(
        f"the frozen weights of {role} have the hash {hashes[0]} in the checkpoint but {hashes[1]} now; bring back"
        " those that it was trained with"
    )


def _shown(part: Mapping[str, Any] | None) -> str:
    if part is None:
        return "absent"
    settings = {name: value for name, value in part["arguments"].items() if not isinstance(value, dict)}
    return f"{part['name']}({', '.join(f'{name}={value}' for name, value in settings.items())})"


def check_same_optimizers(
    stored: Sequence[Any],
    optimizers: Sequence[Optimizer],
    schedulers: Collection[Any],
    stored_schedulers: Collection[Any],
) -> None:
    """Reject a checkpoint without the state of these optimizers, or with that of others.

    Args:
        stored: states of the checkpoint's optimizers, the generator's first.
        optimizers: of this configuration, in the same order.
        schedulers: of this configuration.
        stored_schedulers: states of the checkpoint's.

    Raises:
        ConfigurationError: names the difference, and how to start from the weights alone.
    """
    reason = None
    if not isinstance(stored, list | tuple) or len(stored) != len(optimizers):
        count = len(stored) if isinstance(stored, list | tuple) else "no"
        reason = f"has the state of {count} optimizers, but {len(optimizers)} are to go on"
    elif len(stored_schedulers) != len(schedulers):
        reason = f"has the state of {len(stored_schedulers)} schedulers, but {len(schedulers)} are to go on"
    else:
        differences = [_difference(*both) for both in zip(stored, optimizers, strict=True)]
        reason = next(filter(None, differences), None)
        if reason is None and not any(state["state"] for state in stored) and any(map(_keeps_state, optimizers)):
            reason = "has empty states of all optimizers"
    if reason:
        raise ConfigurationError(
            f"the checkpoint {reason}: the training would not go on as it stood; use the configuration that it was made"
            " with (config.yaml beside it), or begin with its weights alone by --model.start CHECKPOINT"
        )


def _difference(stored: Any, optimizer: Optimizer) -> str | None:
    """How a stored state differs from that optimizer; None if it fits."""
    name = type(optimizer).__name__
    try:
        groups, states = stored["param_groups"], dict(stored["state"])
        sizes = [len(group["params"]) for group in groups]
        settings = [set(group) - HOW for group in groups]
        numbers = [number for group in groups for number in group["params"]]
    except (KeyError, TypeError, ValueError, AttributeError):
        return f"has no state of an optimizer where {name} has its own"
    if sizes != [len(group["params"]) for group in optimizer.param_groups]:
        return f"has the state of an optimizer of {sum(sizes)} weights, where {name} has other ones"
    if others := {name for theirs, ours in zip(settings, optimizer.param_groups, strict=True)
                  for name in theirs ^ (set(ours) - HOW)}:  # fmt: skip
        return f"has the state of another optimizer than {name} ({', '.join(sorted(others))} only in one of them)"
    weights = dict(zip(numbers, (w for group in optimizer.param_groups for w in group["params"]), strict=True))
    known = type(optimizer).__module__.startswith("torch.optim")  # others may keep numbers of any shape
    if known and any(not _fits(state, weights.get(number)) for number, state in states.items()):
        return f"has a state that does not fit the shapes of the weights of {name}"
    return None


def _fits(state: Any, weight: Tensor | None) -> bool:
    """Whether what an optimizer keeps of a weight has its shape, or one that is reduced to 1 along some axes."""
    if weight is None or not isinstance(state, Mapping):
        return False
    kept = [value for value in state.values() if isinstance(value, Tensor) and value.ndim]
    return all(value.ndim == weight.ndim and all(a in (1, b) for a, b in zip(value.shape, weight.shape, strict=True))
               for value in kept)  # fmt: skip


def _keeps_state(optimizer: Optimizer) -> bool:
    return not isinstance(optimizer, torch.optim.SGD) or any(group["momentum"] for group in optimizer.param_groups)
