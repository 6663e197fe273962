"""Voices on disk: a folder of safetensors and YAML, or a Lightning checkpoint; neither runs code when read."""

import pickle
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml
from safetensors import SafetensorError

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.files import unwritable_above, whole_folder
from lightning_voiceclone.frozen import all_weights
from lightning_voiceclone.leftovers import find_again
from lightning_voiceclone.packing import pack, unpack
from lightning_voiceclone.parts import prepare_parts
from lightning_voiceclone.spec import AudioSpec
from lightning_voiceclone.voice import Voice
from lightning_voiceclone.voice_description import build_voice, describe_voice

DESCRIPTION = "voice.yaml"
WEIGHTS = "weights.safetensors"


def check_place(folder: Path) -> None:
    """Refuse a folder that is no voice's, where one is to be written: before the work, if that takes long.

    Raises:
        ConfigurationError: if something else is there, or nothing may be written there.
    """
    if folder.exists() and not (folder / DESCRIPTION).is_file():
        raise ConfigurationError(f"{folder} is there already and is not a voice folder; name another with --output")
    if (above := unwritable_above(folder)) is not None:
        raise ConfigurationError(f"{folder} cannot be made: {above} is no folder that you may write to")


def save_voice(voice: Voice, folder: str | Path, *, bits: int = 32) -> None:
    """Write a voice folder, whole or not at all.

    It holds all that it needs but weights that ship with a package, and those of another framework's model (Whisper,
    torchaudio), which it knows by their hash; those that ``pretrained`` refers to by a path are copied into it.

    Args:
        voice: to be written.
        folder: where to; a voice folder there is replaced.
        bits: of a stored weight: 32, 16 or 8 (see ``packing.pack``).

    Raises:
        ConfigurationError: if something else is at the folder's place.
    """
    folder = Path(folder)
    check_place(folder)
    with whole_folder(folder) as temporary:
        weights = dict(voice.state_dict())
        description = describe_voice(voice)
        for role, part in description["parts"].items():
            if "sha256" in part and part["arguments"].get("pretrained", "default") != "default":
                weights |= {f"{role}.{name}": tensor for name, tensor in all_weights(getattr(voice, role)).items()}
                part["arguments"]["pretrained"] = None
                del part["sha256"]
        # Written by us: what safetensors says of a full disk does not tell that it is full.
        (temporary / WEIGHTS).write_bytes(safetensors.torch.save(pack(weights, bits)))
        (temporary / DESCRIPTION).write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")


SHIPPED = Path(__file__).with_name("weights") / "voice"


def voice_path(name: str | Path) -> Path:
    """Where the voice of that name is: "default" is the one that ships, anything else a path."""
    return SHIPPED if str(name) == "default" else Path(name)


def load_voice(path: str | Path, vocoder: str | None = None) -> Voice:
    """Load a voice from a folder, or from a training checkpoint (its averaged weights where it has them).

    Args:
        path: of the folder or checkpoint; "default" for the one that ships.
        vocoder: name of the one that speaks instead of the voice's own, as ``lvc clone --vocoder`` takes it.

    Raises:
        ConfigurationError: if there is nothing at the path, or nothing that can be read as a voice.
        PluginError: if a part's class is not installed; names the package.
        SpecMismatchError: if the installed extractor means something else than the stored spec says.
    """
    path = voice_path(path)
    description, weights = _read(path)
    other = None
    if vocoder is not None:
        from lightning_voiceclone.vocoders.choice import choose_vocoder  # which loads parts by this module's functions

        other = choose_vocoder(vocoder, AudioSpec.from_mapping(description["spec"]), generated=True)
        weights = {name: tensor for name, tensor in weights.items() if not name.startswith("vocoder.")}
        weights |= {f"vocoder.{name}": tensor for name, tensor in all_weights(other).items()}
    voice = build_voice(description, other)
    try:
        voice.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigurationError(f"the weights in {path} do not fit its description: {error}") from error
    voice.eval().requires_grad_(False)
    prepare_parts(voice)
    return voice


def _read(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    path = find_again(path)
    if path.is_dir():
        return _read_folder(path)
    if path.is_file():
        return _read_checkpoint(path)
    raise ConfigurationError(f"there is no voice at {path}; name a .ckpt of lvc fit or a folder of lvc save")


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's mapping, read without running code that may be in it.

    Raises:
        ConfigurationError: if the file is not a checkpoint, is cut short, or holds more than plain values.
    """
    try:
        checkpoint = torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        raise ConfigurationError(
            f"{path} holds more than weights and plain values, and is not loaded, since that could run code"
            " (or it is no checkpoint at all)"
        ) from error
    except (RuntimeError, EOFError, ValueError, KeyError) as error:
        raise ConfigurationError(f"{path} is no checkpoint, or is cut short: {error}") from error
    if not isinstance(checkpoint, dict):
        raise ConfigurationError(f"{path} is no checkpoint of lvc fit: it holds a {type(checkpoint).__name__}")
    return checkpoint


def _read_checkpoint(path: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    checkpoint = read_checkpoint(path)
    if "voice" not in checkpoint:
        raise ConfigurationError(f"{path} holds no voice; name a checkpoint of lvc fit with a VoiceModule")
    return checkpoint["voice"], trained_weights(checkpoint["state_dict"], "voice")


def trained_weights(state: dict[str, torch.Tensor], name: str) -> dict[str, torch.Tensor]:
    """Weights of the part that a training checkpoint's state calls ``name``: averaged where it has averages."""
    own, average = f"{name}.", f"average.{name.replace('.', '/')}/"  # as training.averaging names its buffers
    weights = {key.removeprefix(own): value for key, value in state.items() if key.startswith(own)}
    for key, value in state.items():
        if key.startswith(average):
            weights[key.removeprefix(average).replace("/", ".")] = value
    return weights


def read_folder(
    folder: Path, description: str, weights: str, what: str
) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    """The YAML and the safetensors of a folder that ``lvc save`` wrote.

    Raises:
        ConfigurationError: if one of them is missing or cannot be read.
    """
    for name in (description, weights):
        if not (folder / name).is_file():
            raise ConfigurationError(f"{folder} is no folder of {what}: it has no {name}; lvc save writes one")
    try:
        told = yaml.safe_load((folder / description).read_text(encoding="utf-8"))
        return told, unpack(safetensors.torch.load_file(folder / weights))
    except (yaml.YAMLError, SafetensorError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"{folder} cannot be read as {what}: {error}") from error


def _read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    description, weights = read_folder(folder, DESCRIPTION, WEIGHTS, "a voice")
    if not isinstance(description, dict) or {"format", "parts", "spec", "noise"} - set(description):
        raise ConfigurationError(f"{folder / DESCRIPTION} does not describe a voice; write it anew with lvc save")
    return description, weights
