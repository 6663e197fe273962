"""Single trained parts on disk: folders, checkpoints, and those that ship with a package."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors.torch
import yaml

from lightning_voiceclone import __version__
from lightning_voiceclone.checkpoints.build_limits import limited, unlimited
from lightning_voiceclone.checkpoints.description import IN_USE, SOURCES, same_making
from lightning_voiceclone.checkpoints.external_weights import all_weights, refer_by_hash
from lightning_voiceclone.checkpoints.reader import described, open_checkpoint, read_folder, state_of, trained_weights
from lightning_voiceclone.checkpoints.storage_bits import quantize_storage
from lightning_voiceclone.checkpoints.stored_weights import StoredWeights, checkpoint_weights, fill
from lightning_voiceclone.core.description_checks import FORMAT, check_trained_part
from lightning_voiceclone.core.part import Part, build, current_terms, describe, fuse_parts
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.files import atomic_folder
from lightning_voiceclone.utils.leftovers import find_again

DESCRIPTION = "part.yaml"
WEIGHTS = "weights.safetensors"
ROLES = ("vocoder", "student.encoder", "text_encoder")  # under which checkpoints hold a part that was trained by itself
FREE = (*SOURCES, "finetune", "repeat", *IN_USE)  # arguments on which the weights do not depend


def description_of(part: Part, spec: AudioSpec) -> dict[str, Any]:
    """Description from which a part can be rebuilt, as a plain mapping, with the spec of its input features."""
    made = describe(part)
    made["arguments"] = {name: None if name in SOURCES else value for name, value in made["arguments"].items()}
    return {"format": FORMAT, "version": __version__, "spec": spec.to_mapping(), "part": made}


def save_part(part: Part, spec: AudioSpec, folder: str | Path, *, bits: int = 32) -> None:
    """Write a part's folder, whole or not at all, with weights of so many bits: 32, 16 or 8 (see
    ``storage_bits.quantize_storage``).

    Raises:
        ConfigurationError: if something else is at the folder's place.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / DESCRIPTION).is_file():
        raise ConfigurationError(f"{folder} is there already and holds no {DESCRIPTION}; name another with --output")
    weights = quantize_storage(all_weights(part), bits)
    with atomic_folder(folder) as temporary:
        (temporary / WEIGHTS).write_bytes(safetensors.torch.save(weights))
        text = yaml.safe_dump(description_of(part, spec), sort_keys=False)
        (temporary / DESCRIPTION).write_text(text, encoding="utf-8")


def role_of(checkpoint: Mapping[str, Any]) -> str | None:
    """Under which role a checkpoint holds a part that was trained by itself; None if it holds none."""
    return next((role for role in ROLES if role in checkpoint), None)


def read_part(path: Path) -> tuple[dict[str, Any], StoredWeights]:
    """Description and weights of a trained part, from a folder or a checkpoint (its averaged weights if it has them).

    The weights are not read yet.

    Raises:
        ConfigurationError: if there is no part at the path, or it has no spec of its features.
    """
    path = find_again(path)
    if path.is_dir():
        description, stored = read_folder(path, DESCRIPTION, WEIGHTS, "a trained part")
    elif path.is_file():
        file = open_checkpoint(path)
        role = role_of(file.values)
        if role is None:
            raise ConfigurationError(
                f"{path} holds no {' and no '.join(ROLES)}; name a checkpoint of lvc fit with a VocoderModule, a"
                " DistillationModule or a TextModule"
            )
        description, stored = file.values[role], checkpoint_weights(file, trained_weights(state_of(file), role))
    else:
        raise ConfigurationError(
            f"there is nothing at {path}; name a folder that lvc save wrote, a checkpoint of lvc fit, or default"
        )
    whole = isinstance(description, dict) and not {"format", "spec", "part"} - set(description)
    made = description["part"] if whole else None
    if not isinstance(made, dict) or {"kind", "name", "arguments"} - set(made):
        raise ConfigurationError(
            f"{path} has no spec of the features of its part: whether it fits other parts cannot be checked;"
            " write it anew with lvc save"
        )
    if description["format"] != FORMAT:
        raise ConfigurationError(
            f"{path} has format {description['format']!r}, this version reads {FORMAT}; update lightning-voiceclone"
        )
    with described(_where(path), "a trained part"):
        check_trained_part(description)
    return description, stored


def _where(path: Path) -> Path:
    return path / DESCRIPTION if path.is_dir() else path


def load_part(path: str | Path, kind: str) -> Part:
    """Load a trained part from a folder or a checkpoint, for inference.

    Args:
        path: of the folder or checkpoint.
        kind: of part that is wanted there: vocoders, content_encoders, speaker_encoders.

    Raises:
        ConfigurationError: if there is nothing at the path, or nothing of that kind.
        PluginError: if its class is not installed; names the package.
        SpecMismatchError: if the part that was built is for other features than the described ones.
    """
    path = Path(path)
    description, stored = read_part(path)
    if description["part"]["kind"] != kind:
        raise ConfigurationError(
            f"{path} holds {description['part']['name']}, of {description['part']['kind']}, not of {kind}"
        )
    with described(_where(path), "a trained part"), limited(stored.bytes, len(stored.forms)):
        part = build(description["part"])
        _join(part, "the stored spec", AudioSpec.from_mapping(description["spec"]))
    fill(part, stored)
    part.eval().requires_grad_(False)
    fuse_parts(part)
    return part


def load_pretrained(part: Part, pretrained: str | None, *, trainable: bool = False) -> None:
    """Load pretrained weights into a part; constructors of parts with an option ``pretrained`` call it last.

    Args:
        part: that takes them.
        pretrained: "default" for those that ship with the class's package, the name of others that ship beside them,
            a path of a part's folder or of a checkpoint of lvc fit, or None or "none" to leave the fresh ones.
        trainable: whether they are trained further; otherwise they are frozen, and checkpoints refer to them by hash.

    Raises:
        ConfigurationError: if there are none, or they belong to other settings.
        SpecMismatchError: if they are for other features; names the field and both values.
    """
    if pretrained is None or pretrained == "none":
        return
    path = pretrained_path(part, pretrained)
    description, stored = read_part(path)
    (name, ours), (their_name, theirs) = map(current_terms, (describe(part), description["part"]))
    if name != their_name:
        raise ConfigurationError(f"{pretrained} is a {their_name}, not a {name}; use that class")
    with described(_where(path), "a trained part"):
        _join(part, f"the pretrained {name} ({pretrained})", AudioSpec.from_mapping(description["spec"]))
    left, right = (_settings(making) for making in (ours, theirs))
    for key in sorted(set(left) | set(right)):
        if not same_making(left.get(key), right.get(key)):
            raise ConfigurationError(
                f"{name}: {key} is {left.get(key)} but {right.get(key)} in the pretrained weights"
                f" ({pretrained}); set {key} to {right.get(key)}, or pretrained to none"
            )
    with unlimited():
        fill(part, stored)
        if not trainable:
            refer_by_hash(part)


def _settings(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments that decide what the weights are."""
    settings = {name: value for name, value in arguments.items() if name not in FREE}
    if isinstance(dims := settings.get("dims"), Mapping):  # only these two matter to an encoder
        settings["dims"] = {name: dims.get("dims", {}).get(name) for name in ("features", "frame_rate")}
    return settings


def _join(part: Part, name: str, stored: AudioSpec) -> None:
    """Check the stored spec against the part's own; set it where the part has none, for later checks."""
    own = getattr(part, "spec", None)
    if own is not None:
        check_join("the features", own, name, stored)
    else:
        part.features_spec = stored


def _shipped(part: Part) -> Path:
    if part.shipped is None:
        raise ConfigurationError(
            f"{type(part).__name__} ships no weights; give the path of trained ones, or set pretrained to none"
        )
    package, folder = part.shipped
    return Path(str(resources.files(package).joinpath(folder)))


def pretrained_path(part: Part, pretrained: str) -> Path:
    """Where a part's pretrained weights are: "default" or another name for those of its package, or a path.

    Raises:
        ConfigurationError: if it is "default", and the part ships no weights.
    """
    return _shipped(part) if pretrained == "default" else _named(part, pretrained)


def ships(part: Part, pretrained: str) -> bool:
    """Whether a part's pretrained weights are those of its package, "default" or others by name, and not of a path."""
    return pretrained == "default" or (part.shipped is not None and _named(part, pretrained) != Path(pretrained))


def _named(part: Part, pretrained: str) -> Path:
    """A path, or weights of that name beside the default ones, where there is no such path."""
    path = Path(pretrained)
    beside = _shipped(part).with_name(pretrained) if part.shipped and path.name == pretrained else path
    return beside if beside.is_dir() and not path.exists() else path
