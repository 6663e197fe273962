"""Voices on disk: a folder of safetensors and YAML, or a Lightning checkpoint; neither runs code when read."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml

from lightning_voiceclone.build_limits import BuildLimitError, limited
from lightning_voiceclone.checkpoint_reader import CheckpointFile
from lightning_voiceclone.description_checks import DescriptionError, check_roles, check_voice, read_yaml
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError, SpecMismatchError
from lightning_voiceclone.files import unwritable_above, whole_folder
from lightning_voiceclone.frozen import all_weights
from lightning_voiceclone.leftovers import find_again
from lightning_voiceclone.packing import pack
from lightning_voiceclone.parts import prepare_parts
from lightning_voiceclone.spec import AudioSpec
from lightning_voiceclone.stored_weights import (
    StoredWeights,
    check_finite,
    checkpoint_weights,
    fill,
    folder_weights,
)
from lightning_voiceclone.voice import Voice
from lightning_voiceclone.voice_description import build_voice, describe_voice

DESCRIPTION = "voice.yaml"
WEIGHTS = "weights.safetensors"
MOST_REASON = 300  # characters of what a library says of a failure


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
    description, stored, where = _read(path)
    given: dict[str, torch.Tensor] = {}
    other = None
    if vocoder is not None:
        from lightning_voiceclone.vocoders.choice import choose_vocoder  # which loads parts by this module's functions

        other = choose_vocoder(vocoder, AudioSpec.from_mapping(description["spec"]), generated=True)
        stored = stored.without("vocoder.")
        given = {f"vocoder.{name}": tensor for name, tensor in all_weights(other).items()}
    with described(where, "a voice"), limited(stored.bytes, len(stored.forms)):
        voice = build_voice(description, other)
    fill(voice, stored, given=given)
    voice.eval().requires_grad_(False)
    prepare_parts(voice)
    return voice


def _read(path: Path) -> tuple[dict[str, Any], StoredWeights, Path]:
    """Description and weights of a voice, and the file in which it is described."""
    path = find_again(path)
    if path.is_dir():
        where = path / DESCRIPTION
        description, stored = read_folder(path, DESCRIPTION, WEIGHTS, "a voice")
    elif path.is_file():
        where, file = path, open_checkpoint(path)
        if "voice" not in file.values:
            raise ConfigurationError(f"{path} holds no voice; name a checkpoint of lvc fit with a VoiceModule")
        description = file.values["voice"]
        stored = checkpoint_weights(file, trained_weights(state_of(file), "voice"))
    else:
        raise ConfigurationError(f"there is no voice at {path}; name a .ckpt of lvc fit or a folder of lvc save")
    with described(where, "a voice"):
        check_voice(description)
    return description, stored, where


@contextlib.contextmanager
def described(where: Path, what: str) -> Iterator[None]:
    """Turn whatever the description in a file makes fail into one line that names the file.

    Args:
        where: the file.
        what: it should describe, such as "a voice".

    Raises:
        ConfigurationError: if it describes nothing, with the reason.
        PluginError: as it was raised, with the file before it, and so is what else a user can mend.
        SpecMismatchError: if parts do not fit.
    """
    try:
        yield
    except (DescriptionError, BuildLimitError) as error:
        raise ConfigurationError(f"{where} does not describe {what}: {error}") from error
    except (ConfigurationError, PluginError, SpecMismatchError) as error:
        if str(where) in str(error):
            raise
        raise type(error)(f"{where}: {error}") from error
    except LVCError:
        raise
    except Exception as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:MOST_REASON]
        raise ConfigurationError(f"{where} does not describe {what}: {reason}") from error


def open_checkpoint(path: Path) -> CheckpointFile:
    """A checkpoint whose tensors are read when they are asked for.

    Raises:
        ConfigurationError: if the file is not a checkpoint, is cut short, or holds more than plain values.
    """
    file = CheckpointFile(path)
    if not isinstance(file.values, dict):
        raise ConfigurationError(f"{path} is no checkpoint of lvc fit: it holds a {type(file.values).__name__}")
    return file


def read_checkpoint(path: Path) -> dict[str, Any]:
    """A checkpoint's mapping, read without running code that may be in it, to go on training from.

    Raises:
        ConfigurationError: if the file is not a checkpoint, is cut short, holds more than plain values, describes no
            parts where it should, or has weights that are not numbers.
    """
    file = open_checkpoint(path)
    with described(path, "what was trained"):
        check_roles(file.values)
    if "state_dict" in file.values:
        checkpoint_weights(file, state_of(file))
    checkpoint: dict[str, Any] = file.everything()
    check_finite(checkpoint.get("state_dict", {}), path)
    return checkpoint


def state_of(file: CheckpointFile) -> Mapping[str, Any]:
    """The weights of a checkpoint of lvc fit, by name.

    Raises:
        ConfigurationError: if it has none.
    """
    state = file.values.get("state_dict")
    if not isinstance(state, Mapping) or not all(isinstance(name, str) for name in state):
        raise ConfigurationError(f"{file.path} is no checkpoint of lvc fit: it has no weights by name (state_dict)")
    return state


def trained_weights(state: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Weights of the part that a training checkpoint's state calls ``name``: averaged where it has averages."""
    own, average = f"{name}.", f"average.{name.replace('.', '/')}/"  # as training.averaging names its buffers
    weights = {key.removeprefix(own): value for key, value in state.items() if key.startswith(own)}
    for key, value in state.items():
        if key.startswith(average):
            weights[key.removeprefix(average).replace("/", ".")] = value
    return weights


def read_folder(folder: Path, description: str, weights: str, what: str) -> tuple[Any, StoredWeights]:
    """The YAML of a folder that ``lvc save`` wrote, and its weights, which are not read yet.

    Raises:
        ConfigurationError: if one of them is missing or cannot be read.
    """
    for name in (description, weights):
        if not (folder / name).is_file():
            raise ConfigurationError(f"{folder} is no folder of {what}: it has no {name}; lvc save writes one")
    with described(folder / description, what):
        told = read_yaml(folder / description)
    return told, folder_weights(folder / weights)
