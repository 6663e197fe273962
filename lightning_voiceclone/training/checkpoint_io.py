"""Checkpoints that appear whole or not at all, and are read without running code."""

from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from lightning_voiceclone.files import whole_file
from lightning_voiceclone.storage import read_checkpoint


class WholeCheckpointIO(TorchCheckpointIO):
    """Writes beside the final name and moves into place; reads plain values only."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any | None = None) -> None:
        """Write a checkpoint.

        Raises:
            OSError: if it cannot be written; an older file of that name stays as it was.
        """
        with whole_file(path) as temporary:
            try:
                with temporary.open("wb") as stream:
                    torch.save(checkpoint, stream)
            except RuntimeError as error:  # torch's writer hides the cause of a failed write
                raise error.__context__ if isinstance(error.__context__, OSError) else error from None

    def load_checkpoint(self, path: Any, map_location: Any = None, weights_only: bool | None = True) -> dict[str, Any]:
        """Read a checkpoint.

        Raises:
            ConfigurationError: if it is none, is cut short, or holds more than plain values.
        """
        return read_checkpoint(Path(path))
