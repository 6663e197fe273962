"""Weights as they travel: the generator's and their moving average, as a list of arrays."""

import functools
import hashlib
import json
import operator
from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray

from lightning_voiceclone.checkpoints.voice_folder import describe_voice
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.training.adaptation import GeneratorState, Weights
from lightning_voiceclone.voice.model import VoiceModel

Arrays = list[NDArray[np.float32]]


def packed(state: GeneratorState) -> Arrays:
    """The arrays of a state: all weights, then all of their averages."""
    return [value.numpy() for part in (state.weights, state.average) for value in part.values()]


def unpacked(arrays: Sequence[NDArray[np.float32]], like: Weights) -> GeneratorState:
    """The state of such arrays.

    Args:
        arrays: of :func:`packed`.
        like: weights of the same generator, for names and shapes.

    Raises:
        ConfigurationError: if they are another generator's.
    """
    shapes = [tuple(value.shape) for value in like.values()]
    if [array.shape for array in arrays] != 2 * shapes:
        raise ConfigurationError("the weights are of another generator; server and clients must name the same model")
    tensors = [torch.from_numpy(np.array(array)) for array in arrays]
    return GeneratorState(
        *(dict(zip(like, part, strict=True)) for part in (tensors[: len(like)], tensors[len(like) :]))
    )


def mean(parts: Sequence[tuple[Arrays, int]]) -> Arrays:
    """The mean of arrays of several clients, each with its weight (McMahan et al. 2017), in double precision.

    The mean of one client's arrays is equal to them to the bit. Whole numbers are taken from the first.
    """
    total = sum(weight for _, weight in parts)
    made = []
    for values in zip(*(arrays for arrays, _ in parts), strict=True):
        first = values[0]
        if not np.issubdtype(first.dtype, np.floating):
            made.append(first)
            continue
        shares = [value.astype(np.float64) * (weight / total) for value, (_, weight) in zip(values, parts, strict=True)]
        made.append(np.asarray(functools.reduce(operator.add, shares)).astype(first.dtype))
    return made


def fingerprint(voice: VoiceModel) -> str:
    """A digest of a model, its weights included, by which two are known to be the same."""
    digest = hashlib.sha256(json.dumps(describe_voice(voice), sort_keys=True, default=str).encode())
    for name, value in voice.state_dict().items():
        digest.update(name.encode())
        digest.update(value.detach().cpu().contiguous().view(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()
