"""Features that ``lvc prepare --features`` stored, read as memory maps."""

import contextlib
import hashlib
import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import yaml

from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.data.utterances import Utterance
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.utils.reading import bounded_bytes, excerpt

if TYPE_CHECKING:
    from lightning_voiceclone.core.interfaces import FeatureExtractor

SPEC_NAME = "spec.yaml"
SPEC_BYTES = 1 << 16


def features_key(extractor: "FeatureExtractor") -> str:
    """Name of the folder of an extractor's stored features: twelve hexadecimal digits.

    Of this package's extractors it is the spec's fingerprint, since the spec has all of their settings. Of others it
    depends on their package, its version and all settings too.
    """
    from lightning_voiceclone.core import registry
    from lightning_voiceclone.core.part import describe, parts_in

    foreign = [part for part in parts_in(describe(extractor)) if part["package"] != registry.OWN]
    if not foreign:
        return extractor.spec.fingerprint
    text = json.dumps([extractor.spec.to_mapping(), foreign], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def cached_features(output: str | os.PathLike[str], extractor: "FeatureExtractor") -> Callable[[Utterance], np.ndarray]:
    """A function that returns the stored features (F, T) of an utterance as a memory map.

    Raises:
        ConfigurationError: if features of that extractor were not prepared; names the nearest spec that was.
    """
    spec, key = extractor.spec, features_key(extractor)
    base = Path(output) / "features"
    folder = base / key
    if not (folder / SPEC_NAME).is_file():
        raise ConfigurationError(
            f"{base} has no features of the spec {spec.kind} ({key}){_differences(base, spec)};"
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
    if not closest:
        return ": those there are of another version of the extractor's package, or of other settings"
    return ": " + "; ".join(f"{name} is {theirs!r} there, {ours!r} asked for" for name, theirs, ours in closest)
