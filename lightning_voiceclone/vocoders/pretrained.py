"""Trained vocoders on disk: folders and checkpoints, and those that ship with a package."""

from collections.abc import Mapping
from importlib import resources
from pathlib import Path
from typing import Any

import safetensors.torch
import yaml
from torch import Tensor

from lightning_voiceclone import __version__, plugins
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.files import whole_folder
from lightning_voiceclone.frozen import all_weights, freeze
from lightning_voiceclone.interfaces import Vocoder
from lightning_voiceclone.parts import build, describe, prepare_parts, same_making
from lightning_voiceclone.spec import AudioSpec, check_join
from lightning_voiceclone.storage import read_checkpoint, read_folder, trained_weights

FORMAT = 1
DESCRIPTION = "vocoder.yaml"
WEIGHTS = "weights.safetensors"
FREE = ("pretrained", "finetune")  # arguments that say where weights come from, not what they are


def description_of(vocoder: Vocoder) -> dict[str, Any]:
    """How to make a vocoder again, as a plain mapping, with what its features mean."""
    part = describe(vocoder)
    part["arguments"] = {name: None if name == "pretrained" else value for name, value in part["arguments"].items()}
    return {"format": FORMAT, "version": __version__, "spec": vocoder.spec.to_mapping(), "part": part}


def save_vocoder(vocoder: Vocoder, folder: str | Path, *, half: bool = False) -> None:
    """Write a vocoder folder, whole or not at all; ``half`` stores the weights in 16 bits.

    Raises:
        ConfigurationError: if something else is at the folder's place.
    """
    folder = Path(folder)
    if folder.exists() and not (folder / DESCRIPTION).is_file():
        raise ConfigurationError(f"{folder} is there already and is not a vocoder folder; name another with --output")
    weights = {name: tensor.cpu().contiguous().clone() for name, tensor in all_weights(vocoder).items()}
    if half:
        weights = {name: tensor.half() if tensor.is_floating_point() else tensor for name, tensor in weights.items()}
    with whole_folder(folder) as temporary:
        (temporary / WEIGHTS).write_bytes(safetensors.torch.save(weights))
        text = yaml.safe_dump(description_of(vocoder), sort_keys=False)
        (temporary / DESCRIPTION).write_text(text, encoding="utf-8")


def read_vocoder(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Description and weights of a trained vocoder, from a folder or a checkpoint.

    Raises:
        ConfigurationError: if there is no vocoder at the path, or none that says what its features mean.
    """
    if path.is_dir():
        description, weights = read_folder(path, DESCRIPTION, WEIGHTS, "a vocoder")
    elif path.is_file():
        checkpoint = read_checkpoint(path)
        if "vocoder" not in checkpoint:
            raise ConfigurationError(f"{path} holds no vocoder; name a checkpoint of lvc fit with a VocoderModule")
        description = checkpoint["vocoder"]
        weights = trained_weights(checkpoint["state_dict"], "vocoder")
    else:
        raise ConfigurationError(
            f"there is no vocoder at {path}; name a folder that lvc save wrote, a checkpoint of lvc fit, or default"
        )
    if not isinstance(description, dict) or {"format", "spec", "part"} - set(description):
        raise ConfigurationError(
            f"{path} does not say what the features of its vocoder mean (it has no spec): a join cannot be checked;"
            " write it anew with lvc save"
        )
    if description["format"] != FORMAT:
        raise ConfigurationError(
            f"{path} has format {description['format']!r}, this version reads {FORMAT}; update lightning-voiceclone"
        )
    return description, weights


def load_vocoder(path: str | Path) -> Vocoder:
    """A trained vocoder from a folder or a checkpoint (its averaged weights where it has them), ready to speak.

    Raises:
        ConfigurationError: if there is nothing at the path, or nothing that can be read as a vocoder.
        PluginError: if its class is not installed; names the package.
    """
    description, weights = read_vocoder(Path(path))
    vocoder = build(description["part"])
    if not isinstance(vocoder, Vocoder):
        raise ConfigurationError(f"{path} describes a part of the kind {vocoder.kind!r}, not a vocoder")
    check_join("the stored spec", AudioSpec.from_mapping(description["spec"]), "the vocoder", vocoder.spec)
    _fill(vocoder, weights, Path(path))
    vocoder.eval().requires_grad_(False)
    prepare_parts(vocoder)
    return vocoder


def choose_vocoder(name: str, spec: AudioSpec) -> Vocoder:
    """The vocoder that ``--vocoder`` names, for features of that spec.

    Args:
        name: "default" for the Vocos that ships, a folder or checkpoint of a trained one, or the short name of an
            installed class that needs no training, such as GriffinLim.
        spec: of the features that it is given.

    Raises:
        ConfigurationError: if there is none of that name.
        SpecMismatchError: if it is for other features; names the field and both values.
    """
    from lightning_voiceclone.vocoders.vocos import Vocos

    if name == "default":
        return Vocos(spec, pretrained=name).eval()
    if not Path(name).exists() and name in {plugin.name for plugin in plugins.installed() if plugin.kind == "vocoders"}:
        made = plugins.find("vocoders", name).load()(spec)
        if any(True for _ in made.parameters()):
            raise ConfigurationError(f"{name} must be trained before it speaks; name a folder or checkpoint of one")
        return made.eval()
    vocoder = load_vocoder(name)
    check_join("the voice", spec, f"the vocoder {name}", vocoder.spec)
    return vocoder


def load_into(vocoder: Vocoder, pretrained: str, *, trainable: bool) -> None:
    """Give a vocoder trained weights; what :meth:`Vocoder.use_pretrained` does."""
    path = _shipped(vocoder) if pretrained == "default" else Path(pretrained)
    description, weights = read_vocoder(path)
    spec = AudioSpec.from_mapping(description["spec"])
    check_join("the features", vocoder.spec, f"the pretrained {type(vocoder).__name__} ({pretrained})", spec)
    ours, theirs = describe(vocoder), description["part"]
    settings = {name: value for name, value in ours["arguments"].items() if name not in FREE}
    stored = {name: value for name, value in theirs["arguments"].items() if name not in FREE}
    if ours["name"] != theirs["name"]:
        raise ConfigurationError(f"{pretrained} is a {theirs['name']}, not a {ours['name']}; use that vocoder")
    for name in sorted(set(settings) | set(stored)):
        if not same_making(settings.get(name), stored.get(name)):
            raise ConfigurationError(
                f"{ours['name']}: {name} is {settings.get(name)} but {stored.get(name)} in the pretrained weights"
                f" ({pretrained}); set {name} to {stored.get(name)}, or pretrained to none"
            )
    _fill(vocoder, weights, path)
    if not trainable:
        freeze(vocoder)


def _fill(vocoder: Vocoder, weights: Mapping[str, Tensor], path: Path) -> None:
    try:
        vocoder.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigurationError(f"the weights in {path} do not fit its description: {error}") from error


def _shipped(vocoder: Vocoder) -> Path:
    if vocoder.shipped is None:
        raise ConfigurationError(
            f"{type(vocoder).__name__} ships no weights; give the path of trained ones, or set pretrained to none"
        )
    package, folder = vocoder.shipped
    return Path(str(resources.files(package).joinpath(folder)))
