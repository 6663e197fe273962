"""Features that ``lvc prepare --features`` stored, read as memory maps."""

import contextlib
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import yaml

from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.data.manifest import Utterance
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.utils.reading import bounded_bytes, excerpt

SPEC_NAME = "spec.yaml"
SPEC_BYTES = 1 << 16


def cached_features(output: str | os.PathLike[str], spec: AudioSpec) -> Callable[[Utterance], np.ndarray]:
    """A function that returns the stored features (F, T) of an utterance as a memory map.

    Raises:
        ConfigurationError: if features of that spec were not prepared; names the nearest that were.
    """
    base = Path(output) / "features"
    folder = base / spec.fingerprint
    if not (folder / SPEC_NAME).is_file():
        raise ConfigurationError(
            f"{base} has no features of the spec {spec.kind} ({spec.fingerprint}){_differences(base, spec)};"
            " prepare them: lvc prepare … --features NAME"
        )

    return lambda utterance: _stored(folder / f"{utterance.name}.npy", utterance, spec)


def _stored(path: Path, utterance: Utterance, spec: AudioSpec) -> np.ndarray:
    """An utterance's features (F, T) as a memory map.

    Raises:
        ConfigurationError: if they are not there, or are of another shape or type.
    """
    frames = utterance.seconds * spec.sample_rate / spec.hop_length
    wanted = f"float32 or float16 of the shape ({spec.channels}, {int(frames)})"
    try:
        if not path.is_file():
            raise ValueError("there is no such file")
        # Not np.load, which opens pickles and archives too.
        array = np.lib.format.open_memmap(path, mode="r")
    except Exception as error:  # numpy parses the header as Python source, which can raise any error
        reason = excerpt(" ".join(str(error).split()))
        raise ConfigurationError(f"{path} has no features: {reason}; run lvc prepare --features again") from error
    right = array.dtype in (np.float32, np.float16) and array.ndim == 2 and array.shape[0] == spec.channels
    if not right or abs(array.shape[1] - frames) > 2:
        raise ConfigurationError(
            f"{path} holds {array.dtype} of the shape {array.shape}, but must hold {wanted}; run lvc prepare --features"
            " again"
        )
    return array


def _specs(base: Path) -> Iterator[AudioSpec]:
    """Specs of the stored features; invalid files are skipped."""
    for path in base.glob(f"*/{SPEC_NAME}"):
        with contextlib.suppress(LVCError, OSError, ValueError, TypeError, AttributeError, RecursionError,
                                 yaml.YAMLError):  # fmt: skip
            yield AudioSpec.from_mapping(yaml.safe_load(bounded_bytes(path, SPEC_BYTES, "remove it")))


def _differences(base: Path, spec: AudioSpec) -> str:
    found = list(_specs(base))
    if not found:
        return ""
    closest = min((other.differences(spec) for other in found), key=len)
    return ": " + "; ".join(f"{name} is {theirs!r} there, {ours!r} asked for" for name, theirs, ours in closest)
