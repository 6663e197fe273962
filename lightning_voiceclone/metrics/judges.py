"""What measures ask of judges, answered once for each recording, and who the judges are."""

import collections
import functools
import hashlib
import importlib
import importlib.metadata
import warnings
import weakref
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import Tensor

from lightning_voiceclone.errors import ConfigurationError, PluginError
from lightning_voiceclone.frozen import all_weights, weights_sha256
from lightning_voiceclone.interfaces import Judge, Recognizer, SpeakerEncoder
from lightning_voiceclone.parts import Part, describe

REMEMBERED = 512  # answers of a judge: those of a source or a reference serve in many pairs
_answers: "weakref.WeakKeyDictionary[Part, collections.OrderedDict[bytes, Any]]" = weakref.WeakKeyDictionary()


def heard_text(recognizer: Recognizer, audio: Tensor, sample_rate: int) -> str:
    """What the recogniser hears in audio (N,)."""
    return _remembered(recognizer, audio, lambda: recognizer.transcribe(audio, sample_rate))


def voice_of(encoder: SpeakerEncoder, audio: Tensor) -> Tensor:
    """Unit vector (D,) of who speaks in audio (N,)."""

    def embed() -> Tensor:
        with torch.inference_mode():
            embedding = encoder(audio[None].float())[0].double()
        return embedding / embedding.norm().clamp_min(1e-12)

    return _remembered(encoder, audio, embed)


def _remembered(part: Part, audio: Tensor, answer: Callable[[], Any]) -> Any:
    known = _answers.setdefault(part, collections.OrderedDict())
    key = hashlib.sha1(audio.numpy().tobytes()).digest()
    if key not in known:
        known[key] = answer()
        if len(known) > REMEMBERED:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key]


def identify(part: Part) -> Judge:
    """Who a speaker encoder or recogniser is: its own ``judge``, or its class, package's version and weights."""
    own = getattr(part, "judge", None)
    if isinstance(own, Judge):
        return own
    told = describe(part)
    # Not of its state, from which a frozen part's weights are withheld.
    return Judge(told["name"], told["version"] or "unpackaged", weights_sha256(all_weights(part)))


def check_speaker_judge(encoder: Part) -> SpeakerEncoder:
    """The same encoder, if it can judge.

    Raises:
        ConfigurationError: if it hears features instead of audio.
    """
    if not isinstance(encoder, SpeakerEncoder) or encoder.takes != "audio":
        raise ConfigurationError(
            f"{type(encoder).__name__} cannot judge voices: it is no speaker encoder that hears audio;"
            " ResemblyzerSpeakerEncoder is one"
        )
    return encoder


def need(package: str, extra: str = "judges") -> ModuleType:
    """Import a judge's package.

    Raises:
        PluginError: if it is not installed; says how to.
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
