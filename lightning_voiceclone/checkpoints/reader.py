"""Reading checkpoints and folders; no code in them is run."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from lightning_voiceclone.checkpoints.build_limits import BuildLimitError
from lightning_voiceclone.checkpoints.checkpoint_file import CheckpointFile
from lightning_voiceclone.checkpoints.stored_weights import (
    StoredWeights,
    check_finite,
    checkpoint_weights,
    folder_weights,
)
from lightning_voiceclone.core.description_checks import DescriptionError, check_roles, read_yaml
from lightning_voiceclone.errors import ConfigurationError, LVCError, PluginError, SpecMismatchError

MOST_REASON = 300  # characters of a library's error message


@contextlib.contextmanager
def described(where: Path, what: str) -> Iterator[None]:
    """Turn any failure of building from a description into an error of one line that names the file.

    Args:
        where: the file.
        what: it should describe, such as "a model".

    Raises:
        ConfigurationError: if it describes nothing, with the reason.
        PluginError: as it was raised, with the file before it; so are other errors that a user can fix.
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
    """Open a checkpoint; its tensors are read on demand.

    Raises:
        ConfigurationError: if the file is not a checkpoint, is cut short, or holds more than plain values.
    """
    file = CheckpointFile(path)
    if not isinstance(file.values, dict):
        raise ConfigurationError(f"{path} is no checkpoint of lvc fit: it holds a {type(file.values).__name__}")
    return file


def read_checkpoint(path: Path) -> dict[str, Any]:
    """Read a checkpoint to resume training from, without running code that may be in it.

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
    """Weights of the part ``name`` in a training checkpoint's state: averaged if it has averages."""
    own, average = f"{name}.", f"average.{name.replace('.', '/')}/"  # as training.ema names its buffers
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
            raise ConfigurationError(f"{folder} is no folder of {what}: it has no {name}; name one that lvc save wrote")
    with described(folder / description, what):
        content = read_yaml(folder / description)
    return content, folder_weights(folder / weights)
