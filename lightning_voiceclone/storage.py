"""Voices on disk: a folder of safetensors and YAML, or a Lightning checkpoint; neither runs code when read."""

import pickle
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml
from safetensors import SafetensorError

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.files import whole_folder
from lightning_voiceclone.voice import Voice

DESCRIPTION = "voice.yaml"
WEIGHTS = "weights.safetensors"
AVERAGE_PREFIX = "average.voice/"  # as training.averaging names its buffers


def save_voice(voice: Voice, folder: str | Path) -> None:
    """Write a voice folder, whole or not at all."""
    folder = Path(folder)
    if folder.exists() and not (folder / DESCRIPTION).is_file():
        raise ConfigurationError(f"{folder} is there already and is not a voice folder; name another with --output")
    with whole_folder(folder) as temporary:
        weights = {name: tensor.detach().cpu().contiguous().clone() for name, tensor in voice.state_dict().items()}
        # Written by us: what safetensors says of a full disk does not tell that it is full.
        (temporary / WEIGHTS).write_bytes(safetensors.torch.save(weights))
        (temporary / DESCRIPTION).write_text(yaml.safe_dump(voice.description(), sort_keys=False), encoding="utf-8")


def load_voice(path: str | Path) -> Voice:
    """Load a voice from a folder, or from a training checkpoint (its averaged weights where it has them).

    Raises:
        ConfigurationError: if there is nothing at the path, or nothing that can be read as a voice.
        PluginError: if a part's class is not installed; names the package.
        SpecMismatchError: if the installed extractor means something else than the stored spec says.
    """
    path = Path(path)
    if path.is_dir():
        description, weights = _read_folder(path)
    elif path.is_file():
        description, weights = _read_checkpoint(path)
    else:
        raise ConfigurationError(f"there is no voice at {path}; name a .ckpt of lvc fit or a folder of lvc save")
    voice = Voice.from_description(description)
    try:
        voice.load_state_dict(weights)
    except RuntimeError as error:
        raise ConfigurationError(f"the weights in {path} do not fit its description: {error}") from error
    return voice.eval().requires_grad_(False)


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
    state = checkpoint["state_dict"]
    weights = {key.removeprefix("voice."): value for key, value in state.items() if key.startswith("voice.")}
    for key, value in state.items():
        if key.startswith(AVERAGE_PREFIX):
            weights[key.removeprefix(AVERAGE_PREFIX).replace("/", ".")] = value
    return checkpoint["voice"], weights


def _read_folder(folder: Path) -> tuple[dict[str, Any], dict[str, torch.Tensor]]:
    for name in (DESCRIPTION, WEIGHTS):
        if not (folder / name).is_file():
            raise ConfigurationError(f"{folder} is no voice folder: it has no {name}; lvc save writes one")
    try:
        description = yaml.safe_load((folder / DESCRIPTION).read_text(encoding="utf-8"))
        weights = safetensors.torch.load_file(folder / WEIGHTS)
    except (yaml.YAMLError, SafetensorError) as error:
        raise ConfigurationError(f"{folder} cannot be read as a voice: {error}") from error
    if not isinstance(description, dict) or {"format", "parts", "spec", "noise"} - set(description):
        raise ConfigurationError(f"{folder / DESCRIPTION} does not describe a voice; write it anew with lvc save")
    return description, weights
