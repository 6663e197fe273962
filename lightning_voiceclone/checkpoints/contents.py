"""What a checkpoint or a folder holds, and where two checkpoints differ; nothing is built from them."""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from lightning_voiceclone.checkpoints import part_folder, voice_folder
from lightning_voiceclone.checkpoints.checkpoint_file import CheckpointFile, StoredTensor
from lightning_voiceclone.checkpoints.reader import described, open_checkpoint, read_folder, state_of, trained_weights
from lightning_voiceclone.core.description_checks import check_roles
from lightning_voiceclone.errors import ConfigurationError

TRAINED = {"voice": "a model", "vocoder": "a vocoder", "student.encoder": "an encoder",
           "text_encoder": "a text encoder"}  # fmt: skip
COMPARED = ("state_dict", "optimizer_states", "lr_schedulers", "global_step")


@dataclass(frozen=True)
class PartContents:
    """A part of a model, as a file describes it.

    Args:
        role: in the model: generator, vocoder, ...
        name: of its class.
        package: and the version of it that wrote the file.
        version: of the package.
        weights: how many numbers of it the file holds; those of a frozen part may be elsewhere.
        sha256: of weights that lie elsewhere; None where they are in the file.
    """

    role: str
    name: str
    package: str
    version: str
    weights: int
    sha256: str | None


@dataclass(frozen=True)
class Contents:
    """What a checkpoint of ``lvc fit``, or a folder of ``lvc save``, holds.

    Args:
        path: of the file or folder.
        size: in bytes.
        holds: what, in words.
        format: of its description.
        version: of lightning-voiceclone that wrote it.
        features: what the features are, in words.
        parts: of it.
        training: step, epoch, learning rates, the figure that chooses checkpoints; empty for a folder.
        privacy: what its training guarantees its speakers; None for nothing.
    """

    path: Path
    size: int
    holds: str
    format: int
    version: str
    features: str
    parts: tuple[PartContents, ...]
    training: Mapping[str, Any]
    privacy: Mapping[str, Any] | None


def contents(name: str) -> Contents:
    """What lies at a path; of "default", the model that ships.

    Raises:
        ConfigurationError: if it is neither a checkpoint of lvc fit nor a folder of lvc save, or is damaged.
        OSError: if it cannot be read.
    """
    path = voice_folder.voice_path(name)
    if path.is_dir():
        return _of_folder(path)
    if not path.is_file():
        raise ConfigurationError(f"there is nothing at {path}; name a .ckpt of lvc fit or a folder of lvc save")
    file = open_checkpoint(path)
    with described(path, "what was trained"):
        check_roles(file.values)
        training = _training(file)
    state = {key: value.shape for key, value in state_of(file).items() if isinstance(value, StoredTensor)}
    role = "voice" if "voice" in file.values else part_folder.role_of(file.values)
    if role is None:
        raise ConfigurationError(
            f"{path} holds no model, vocoder, encoder or text encoder; name a checkpoint of lvc fit"
        )
    shapes = trained_weights(state, role)
    description = file.values[role]
    parts = _parts(description, shapes)
    against = file.values.get("discriminator")
    if against is not None:
        parts += (_part("discriminator", against, trained_weights(state, "discriminator")),)
    return _contents(path, path.stat().st_size, f"a training of {TRAINED[role]}", description, parts, training)


def _of_folder(path: Path) -> Contents:
    voice = (path / voice_folder.DESCRIPTION).is_file() or not (path / part_folder.DESCRIPTION).is_file()
    kind = voice_folder if voice else part_folder
    what = "a model" if voice else "a trained part"
    description, stored = read_folder(path, kind.DESCRIPTION, kind.WEIGHTS, what)
    with described(path / kind.DESCRIPTION, what):
        check_roles({"voice": description} if voice else {part_folder.ROLES[0]: description})
    shapes = {key: shape for key, (shape, _) in stored.forms.items()}
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    return _contents(path, size, what, description, _parts(description, shapes), {})


def _contents(
    path: Path, size: int, holds: str, description: Any, parts: tuple[PartContents, ...], training: Mapping[str, Any]
) -> Contents:
    spec = description["spec"]
    features = f"{spec['kind']}, {spec['channels']} channels, {spec['sample_rate']} Hz, hop {spec['hop_length']}"
    return Contents(path, size, holds, description["format"], str(description["version"]), features, parts, training,
                    description.get("privacy"))  # fmt: skip


def _parts(description: Any, shapes: Mapping[str, tuple[int, ...]]) -> tuple[PartContents, ...]:
    if "part" in description:
        return (_part(description["part"]["kind"].removesuffix("s"), description["part"], shapes),)
    return tuple(_part(role, part, {key.removeprefix(f"{role}."): shape for key, shape in shapes.items()
                                    if key.startswith(f"{role}.")})
                 for role, part in description["parts"].items())  # fmt: skip


def _part(role: str, part: Mapping[str, Any], shapes: Mapping[str, tuple[int, ...]]) -> PartContents:
    return PartContents(role, part["name"], part.get("package", "?"), str(part.get("version", "?")),
                        sum(math.prod(shape) for shape in shapes.values()), part.get("sha256"))  # fmt: skip


def _training(file: CheckpointFile) -> dict[str, Any]:
    values = file.values
    made: dict[str, Any] = {"step": values.get("global_step"), "epoch": values.get("epoch")}
    rates = [group["lr"] for state in values.get("optimizer_states", ()) for group in state["param_groups"]]
    made["learning_rates"] = [float(rate) for rate in rates if isinstance(rate, (int, float))]
    for state in (values.get("callbacks") or {}).values():
        if isinstance(state, Mapping) and state.get("monitor"):
            scores = {name: state[name] for name in ("best_model_score", "current_score")
                      if isinstance(state.get(name), StoredTensor)}  # fmt: skip
            read = {name: float(value) for name, value in file.tensors(scores).items()}
            made |= {"monitor": state["monitor"], "best": read.get("best_model_score"),
                     "best_path": state.get("best_model_path"), "current": read.get("current_score")}  # fmt: skip
    made["lightning"] = values.get("pytorch-lightning_version")
    return made


@dataclass(frozen=True)
class Difference:
    """The first state in which two checkpoints differ.

    Args:
        name: of it, as a path of keys.
        what: how they differ, in words.
        differing: how many states differ in all.
        total: states that were compared.
    """

    name: str
    what: str
    differing: int
    total: int


def first_difference(left: Path, right: Path) -> Difference | None:
    """Where the states of two trainings first differ; None where they are equal to the bit.

    Weights, averages, optimizers, schedulers, the step, the place in the data and the privacy that was spent are
    compared, in this order. The
    counters of Lightning are not, which differ between a checkpoint in an epoch and one at a run's end, nor callbacks,
    which hold paths of their runs.

    Raises:
        ConfigurationError: if one is no checkpoint of lvc fit, or is damaged.
        OSError: if one cannot be read.
    """
    one, other = (dict(_leaves(_states(path))) for path in (left, right))
    names = [*one, *(name for name in other if name not in one)]
    found = [(name, what) for name in names if (what := _unlike(one, other, name))]
    return Difference(*found[0], len(found), len(names)) if found else None


def _states(path: Path) -> dict[str, Any]:
    values = open_checkpoint(path).everything()
    with described(path, "a training"):
        data = (values.get("loops") or {}).get("fit_loop", {}).get("state_dict")
        spent = {"privacy": values["privacy"]} if "privacy" in values else {}
        return {key: values.get(key) for key in COMPARED} | {"data": data} | spent


def _leaves(value: Any, name: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping) and value:
        for key, item in value.items():
            yield from _leaves(item, f"{name}/{key}" if name else str(key))
    elif isinstance(value, (list, tuple)) and value:
        for index, item in enumerate(value):
            yield from _leaves(item, f"{name}/{index}")
    else:
        yield name, value


def _unlike(one: Mapping[str, Any], other: Mapping[str, Any], name: str) -> str | None:
    """How the states of that name differ, in words; None where they are equal to the bit."""
    if name not in one or name not in other:
        return f"only in the {'first' if name in one else 'second'}"
    left, right = one[name], other[name]
    if not (isinstance(left, Tensor) and isinstance(right, Tensor)):
        same = type(left) is type(right) and (left == right or left != left)  # noqa: PLR0124 (NaN)
        return None if same else f"{left!r} and {right!r}"[:200]
    if left.shape != right.shape or left.dtype != right.dtype:
        return f"{_form(left)} and {_form(right)}"
    if torch.equal(left, right):
        return None
    unlike = ~torch.isclose(left, right, rtol=0, atol=0, equal_nan=True)
    if not unlike.any():
        return None
    most = (left.double() - right.double()).abs()[unlike].max()
    return f"{int(unlike.sum())} of {left.numel()} numbers, by {float(most):.3g} at most"


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).removeprefix('torch.')} {tuple(tensor.shape)}"
