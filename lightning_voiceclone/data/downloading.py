"""Download public corpora by torchaudio.datasets. A download is moved into place only when it is complete."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from lightning_voiceclone.errors import ConfigurationError


def fetch_subset(dataset: str, base: Path, folder: str, subset: str) -> None:
    """Fetch ``base/folder/subset`` by ``torchaudio.datasets.<dataset>``, unless it is there.

    Raises:
        ConfigurationError: if fetching fails; names the reason.
    """
    if not (base / folder / subset).is_dir():
        _fetch(dataset, base, folder, lambda cls, temporary: cls(temporary, url=subset, download=True))


def fetch_whole(dataset: str, base: Path, folder: str) -> None:
    """Fetch ``base/folder`` by ``torchaudio.datasets.<dataset>``, unless it is there.

    Raises:
        ConfigurationError: if fetching fails; names the reason.
    """
    if not (base / folder).is_dir():
        _fetch(dataset, base, folder, lambda cls, temporary: cls(temporary, download=True))


def _fetch(dataset: str, base: Path, folder: str, construct: Callable[[Any, str], object]) -> None:
    from torchaudio import datasets

    base.mkdir(parents=True, exist_ok=True)
    # torchaudio takes a folder that it finds for a whole corpus, even one whose unpacking was interrupted.
    temporary = Path(tempfile.mkdtemp(dir=base, prefix=f".{folder}-"))
    try:
        construct(getattr(datasets, dataset), str(temporary))
        _move_missing(temporary / folder, base / folder)
    except (OSError, RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ConfigurationError(
            f"{dataset} could not be fetched: {reason}; check the network, or copy the corpus to {base / folder}"
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def _move_missing(source: Path, target: Path) -> None:
    """Move entries that ``target`` lacks; both folders are on one disk."""
    if not target.exists():
        source.rename(target)
        return
    for child in sorted(source.iterdir()):
        if not (target / child.name).exists():
            child.rename(target / child.name)
