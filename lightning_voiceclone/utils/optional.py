"""Packages that are optional, and hashes of the files of weights that they carry."""

import functools
import hashlib
import importlib
import warnings
from pathlib import Path
from types import ModuleType

from lightning_voiceclone.errors import ConfigurationError, PluginError


def need(package: str, extra: str = "judges") -> ModuleType:
    """Import an optional package.

    Raises:
        PluginError: if it is not installed; names the command that installs it.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what these packages import in their turn, which no user can mend
            return importlib.import_module(package)
    except ImportError as error:
        raise PluginError(
            f"the package {package.partition('.')[0]} is not installed or does not load ({error});"
            f" pip install 'lightning-voiceclone[{extra}]'"
        ) from error


def package_version(package: str) -> str:
    """Version of an installed package."""
    import importlib.metadata  # with the package email: a tenth of what `lvc clone --engine onnx` imports

    return importlib.metadata.version(package)


def file_sha256(path: Path) -> str:
    """SHA-256 of a file of weights, hexadecimal.

    Raises:
        ConfigurationError: if it is not there.
    """
    if not path.is_file():
        raise ConfigurationError(f"the weights {path} are missing; install their package again")
    status = path.stat()
    return _sha256(path, status.st_mtime_ns, status.st_size)  # known again while the file stays as it is


@functools.lru_cache(maxsize=8)
def _sha256(path: Path, changed: int, size: int) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
