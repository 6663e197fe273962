"""What metrics ask of models, computed once for each recording, and which models they are."""

import collections
import hashlib
import weakref
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from lightning_voiceclone.checkpoints.external_weights import all_weights, weights_sha256
from lightning_voiceclone.core.interfaces import MetricSource, Recognizer, SpeakerEncoder
from lightning_voiceclone.core.part import Part, describe
from lightning_voiceclone.errors import ConfigurationError

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


def identify(part: Part) -> MetricSource:
    """Who a speaker encoder or recogniser is: its own ``judge``, or its class, package's version and weights."""
    own = getattr(part, "judge", None)
    if isinstance(own, MetricSource):
        return own
    told = describe(part)
    # Not of its state, from which a frozen part's weights are withheld.
    return MetricSource(told["name"], told["version"] or "unpackaged", weights_sha256(all_weights(part)))


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
