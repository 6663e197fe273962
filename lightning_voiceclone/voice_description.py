"""A voice as a plain mapping, which files and checkpoints hold, and made again from it."""

import copy
from typing import Any

from lightning_voiceclone import __version__
from lightning_voiceclone.description_checks import FORMAT
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.frozen import check_weights, describe_with_weights
from lightning_voiceclone.identity import OwnIdentity
from lightning_voiceclone.interfaces import Vocoder
from lightning_voiceclone.parts import Part, build
from lightning_voiceclone.spec import AudioSpec, check_join
from lightning_voiceclone.voice import Voice


def describe_voice(voice: Voice) -> dict[str, Any]:
    """How to make a voice again (without its weights)."""
    named = {name: part for name, part in voice.named_children() if isinstance(part, Part)}
    parts = {name: describe_with_weights(part) for name, part in named.items()}
    for name, part in named.items():
        arguments = parts[name]["arguments"]
        if not part.frozen_sha256 and "pretrained" in arguments:  # trained further since: the voice has its weights
            arguments["pretrained"] = None
        if "start" in arguments:  # which was long ago: the weights are the voice's own, or those of pretrained
            arguments["start"] = None
    made = {
        "format": FORMAT,
        "version": __version__,
        "spec": voice.spec.to_mapping(),
        "noise": voice.noise,
        "parts": parts,
    }
    if voice.guidance:
        made["guidance"] = voice.guidance
    if voice.own is not None:
        made["own"] = voice.own.shapes()
    return made


def build_voice(description: dict[str, Any], vocoder: Vocoder | None = None) -> Voice:
    """Make a voice, with fresh weights but those it refers to, from what :func:`describe_voice` gave.

    Args:
        description: as a voice folder or a checkpoint holds it.
        vocoder: takes the place of the one described.

    Raises:
        ConfigurationError: if it was written by a newer version, or refers to a vocoder that is not here.
        PluginError: if a part's class is not installed; names the package.
        SpecMismatchError: if the extractor that was built does not mean what the description says.
    """
    if description.get("format") != FORMAT:
        raise ConfigurationError(
            f"the voice has format {description.get('format')!r}, this version reads {FORMAT};"
            " update lightning-voiceclone"
        )
    described = copy.deepcopy(description["parts"])
    given = {} if vocoder is None else {"vocoder": vocoder}
    parts: dict[str, Any] = {name: given.get(name) or build(part) for name, part in described.items()}
    for name in parts.keys() - given.keys():
        check_weights(name, described[name], parts[name])
    voice = Voice(**parts, noise=description["noise"], guidance=description.get("guidance", 0.0))
    if "own" in description:
        voice.own = OwnIdentity.of_shapes(description["own"])
    check_join("the stored spec", AudioSpec.from_mapping(description["spec"]), "the installed extractor", voice.spec)
    return voice
