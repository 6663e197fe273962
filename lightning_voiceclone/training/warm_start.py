"""Beginning a training with the weights of another one."""

from collections.abc import Mapping
from typing import Any

from torch import nn

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.frozen import all_weights
from lightning_voiceclone.interfaces import Discriminator
from lightning_voiceclone.parts import Part, describe, same_making
from lightning_voiceclone.spec import check_join
from lightning_voiceclone.storage import load_voice, read_checkpoint, voice_path
from lightning_voiceclone.trained import FREE
from lightning_voiceclone.voice import Voice

ENCODERS = ("content_encoder", "speaker_encoder")


def begin_with(voice: Voice, discriminator: Discriminator | None, start: str) -> None:
    """Give a voice that is to be trained the weights of a trained one, averaged where there are averages.

    Encoders that train begin with its encoders, where those are made alike; frozen ones keep their own weights. The
    discriminator begins with the checkpoint's, where there is one that is made alike; folders of voices have none.

    Args:
        voice: to be trained.
        discriminator: to be trained against it; None for none.
        start: checkpoint or folder of a voice, or "default" for the one that ships.

    Raises:
        ConfigurationError: if there is no voice, or its generator is another one.
        SpecMismatchError: if its features mean something else; names the field and both values.
    """
    theirs = load_voice(start)
    check_join(f"the voice to start from ({start})", theirs.spec, "this configuration", voice.spec)
    if not _alike(voice.generator, theirs.generator):
        raise ConfigurationError(
            f"start: the generator of {start} is {_told(theirs.generator)} but here it is {_told(voice.generator)};"
            " weights of the one do not fit the other"
        )
    _copy(theirs.generator, voice.generator)
    _copy(theirs.normalizer, voice.normalizer)
    for role in ENCODERS:
        ours, other = getattr(voice, role), getattr(theirs, role)
        if ours is not None and other is not None and ours.frozen_sha256 is None and _alike(ours, other):
            _copy(other, ours)
    path = voice_path(start)
    if discriminator is not None and path.is_file():
        _begin_discriminator(discriminator, read_checkpoint(path))


def _begin_discriminator(discriminator: Discriminator, checkpoint: Mapping[str, Any]) -> None:
    stored = checkpoint.get("discriminator")
    if stored is None or not same_making(stored, describe(discriminator)):
        return
    own = "discriminator."
    state = {key.removeprefix(own): value for key, value in checkpoint["state_dict"].items() if key.startswith(own)}
    discriminator.load_state_dict(state)


def _copy(source: nn.Module, target: nn.Module) -> None:
    target.load_state_dict(all_weights(source))


def _alike(ours: Part, theirs: Part) -> bool:
    """Whether weights of the one fit the other: same class, same settings but those that say where weights are from."""
    left, right = (_settings(part) for part in (ours, theirs))
    return type(ours) is type(theirs) and same_making(left, right)


def _settings(part: Part) -> dict[str, Any]:
    return {name: value for name, value in describe(part)["arguments"].items() if name not in FREE}


def _told(part: Part) -> str:
    settings = {name: value for name, value in _settings(part).items() if not isinstance(value, dict)}
    return f"{type(part).__name__}({', '.join(f'{name}={value}' for name, value in settings.items())})"
