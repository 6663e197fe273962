"""Outputs of the models that metrics use, computed once for each recording, and a description of these models."""

import collections
import hashlib
import weakref
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lightning_voiceclone.checkpoints.external_weights import all_weights, weights_sha256
from lightning_voiceclone.core import registry
from lightning_voiceclone.core.interfaces import MetricSource, Recognizer, SpeakerEncoder
from lightning_voiceclone.core.part import Part, describe
from lightning_voiceclone.errors import ConfigurationError

if TYPE_CHECKING:
    from lightning_voiceclone.evaluation.metrics.metric import Metric

CACHED = 512  # outputs of a model: those of a source or a reference are used in many pairs
_outputs: "weakref.WeakKeyDictionary[Part, collections.OrderedDict[bytes, Any]]" = weakref.WeakKeyDictionary()


def transcript_of(recognizer: Recognizer, audio: Tensor, sample_rate: int) -> str:
    """The recogniser's transcript of audio (N,)."""
    return _cached(recognizer, audio, lambda: recognizer.transcribe(audio, sample_rate))


def embedding_of(encoder: SpeakerEncoder, audio: Tensor) -> Tensor:
    """The speaker encoder's embedding (D,) of audio (N,), of length 1."""

    def embed() -> Tensor:
        with torch.inference_mode():
            embedding = encoder(audio[None].float())[0].double()
        return embedding / embedding.norm().clamp_min(1e-12)

    return _cached(encoder, audio, embed)


def _cached(part: Part, audio: Tensor, compute: Callable[[], Any]) -> Any:
    known = _outputs.setdefault(part, collections.OrderedDict())
    key = hashlib.sha1(audio.numpy().tobytes()).digest()
    if key not in known:
        known[key] = compute()
        if len(known) > CACHED:
            known.popitem(last=False)
    known.move_to_end(key)
    return known[key]


def metric_source(part: Part) -> MetricSource:
    """Describes a speaker encoder or recogniser: its own ``source``, or its class, package's version and weights."""
    own = getattr(part, "source", None)
    if isinstance(own, MetricSource):
        return own
    description = describe(part)
    # Not state_dict(), which leaves out a frozen part's weights.
    return MetricSource(description["name"], description["version"] or "unpackaged", weights_sha256(all_weights(part)))


def provenance(metric: "Metric") -> MetricSource | None:
    """What computes a metric: its own ``source``, and the package and version of one that another package supplies.

    None for a formula of this package.
    """
    own, plugin = metric.source, registry.package_of(type(metric))
    if plugin is None or plugin.package == registry.OWN:
        return own
    if own is None:
        return MetricSource(f"{plugin.name}, package {plugin.package}", plugin.version)
    return MetricSource(
        f"{own.name}, by {plugin.name} of the package {plugin.package}", f"{own.version}, {plugin.version}", own.sha256
    )


def check_speaker_encoder(encoder: Part) -> SpeakerEncoder:
    """The same encoder, if a metric can use it.

    Raises:
        ConfigurationError: if it takes features instead of audio.
    """
    if not isinstance(encoder, SpeakerEncoder) or encoder.takes != "audio":
        raise ConfigurationError(
            f"{type(encoder).__name__} cannot measure speakers: it is not a speaker encoder that takes audio;"
            " use ResemblyzerSpeakerEncoder, say"
        )
    return encoder
