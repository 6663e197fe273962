"""Average the weights of several states of one model."""

from collections.abc import Mapping

import torch

from lightning_voiceclone.checkpoints.description import first_difference
from lightning_voiceclone.checkpoints.privacy_record import together
from lightning_voiceclone.checkpoints.voice_folder import describe_voice
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.voice.model import VoiceModel

HALF = 2e-3  # folders of fewer bits keep statistics as half-precision numbers


@torch.no_grad()
def mean_voice(voices: Mapping[str, VoiceModel]) -> VoiceModel:
    """Average the weights of several models that were trained from the same initial weights.

    States of one training, or of trainings from one start with different losses, lie in one basin of the loss, and
    their mean is often better than each (Izmailov et al. 2018; Wortsman et al. 2022, "Model soups").

    Args:
        voices: models by their names in errors; the first is changed and returned, and keeps its vocoder.

    Raises:
        ConfigurationError: if their parts differ, or their normalisation statistics do; names the part.
    """
    (first, mean), *others = voices.items()
    for name, other in others:
        _check_alike(first, mean, name, other)
    mean.privacy = together([voice.privacy for voice in voices.values()])
    state = mean.state_dict()
    theirs = [other.state_dict() for _, other in others]
    for key, value in state.items():
        if value.is_floating_point() and not key.startswith("vocoder."):
            value.copy_(torch.stack([value, *(weights[key] for weights in theirs)]).mean(0))
    return mean


def _check_alike(first: str, one: VoiceModel, second: str, other: VoiceModel) -> None:
    ours, theirs = describe_voice(one)["parts"], describe_voice(other)["parts"]
    if role := first_difference(ours, theirs, {"vocoder"}):
        raise ConfigurationError(
            f"{first} and {second} have other {role}s, so their weights have no mean; name states of one training,"
            " or of trainings that began with the same voice (model.start)"
        )
    if one.own is not None or other.own is not None:
        raise ConfigurationError(
            f"{first} or {second} is adapted to a speaker, whose recordings have no mean; take the mean first, and"
            " adapt that (lvc adapt)"
        )
    statistics = zip(one.normalizer.state_dict().values(), other.normalizer.state_dict().values(), strict=True)
    if not all(torch.allclose(left.float(), right.float(), rtol=HALF, atol=HALF) for left, right in statistics):
        raise ConfigurationError(
            f"{first} and {second} normalise features by the statistics of other recordings, so their weights have no"
            " mean; begin one from the other (model.start)"
        )
