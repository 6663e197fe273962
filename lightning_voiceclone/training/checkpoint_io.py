"""Atomic checkpoint files, which are read without running code."""

from pathlib import Path
from typing import Any

import torch
from lightning.pytorch.plugins import TorchCheckpointIO

from lightning_voiceclone.checkpoints.reader import read_checkpoint
from lightning_voiceclone.checkpoints.storage_bits import check_finite
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.files import atomic_file, reason_of


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes to a temporary file and renames it; reads plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: if it cannot be written; an older file of that name is kept.
            NotFiniteError: if a weight is not finite; an older file is kept too.
        """
        check_finite(checkpoint.get("state_dict", {}))
        with atomic_file(path) as temporary:
            try:
                with temporary.open("wb") as stream:
                    torch.save(checkpoint, stream)
            except RuntimeError as error:  # torch's writer hides the cause of a failed write
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            ConfigurationError: if it is not a checkpoint, is truncated, holds more than plain values, or holds
                hyper-parameters, from which Lightning would call what the checkpoint names.
        """
        try:
            checkpoint = read_checkpoint(Path(path))
        except OSError as error:  # torch's error for a truncated file names no file
            raise ConfigurationError(f"{path} cannot be read as a checkpoint: {reason_of(error)}") from error
        if names := sorted(name for name in checkpoint if "hyper_parameters" in str(name)):
            raise ConfigurationError(
                f"{path} has {names[0]}, which no checkpoint of lvc fit has and which could run code: it is not used"
            )
        return checkpoint
