"""Models on disk: a folder of safetensors and YAML, or a Lightning checkpoint, and the description that both hold."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
import yaml

from lightning_voiceclone import __version__
from lightning_voiceclone.checkpoints.build_limits import limited
from lightning_voiceclone.checkpoints.external_weights import all_weights, check_weights, describe_with_weights
from lightning_voiceclone.checkpoints.part_folder import ships
from lightning_voiceclone.checkpoints.privacy_record import card
from lightning_voiceclone.checkpoints.reader import described, open_checkpoint, read_folder, state_of, trained_weights
from lightning_voiceclone.checkpoints.storage_bits import quantize_storage
from lightning_voiceclone.checkpoints.stored_weights import StoredWeights, checkpoint_weights, fill
from lightning_voiceclone.core.description_checks import FORMAT, check_voice
from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.part import Part, build, fuse_parts
from lightning_voiceclone.core.spec import AudioSpec, check_join
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.files import atomic_folder, unwritable_above
from lightning_voiceclone.utils.leftovers import find_again
from lightning_voiceclone.voice.model import VoiceModel
from lightning_voiceclone.voice.speaker_prompt import StoredPrompt

DESCRIPTION = "voice.yaml"
WEIGHTS = "weights.safetensors"
CARD = "MODEL_CARD.md"
WEIGHTS_FOLDER = Path(__file__).parents[1] / "weights"
SHIPPED = {  # models, by name
    "default": WEIGHTS_FOLDER / "voice",
    "live": WEIGHTS_FOLDER / "voice_live",
    "mel": WEIGHTS_FOLDER / "voice_mel",
}


def describe_voice(voice: VoiceModel) -> dict[str, Any]:
    """Description from which a model can be rebuilt (without its weights)."""
    named = {name: part for name, part in voice.named_children() if isinstance(part, Part)}
    parts = {name: describe_with_weights(part) for name, part in named.items()}
    for name, part in named.items():
        arguments = parts[name]["arguments"]
        if not part.weights_sha256 and "pretrained" in arguments:  # trained further since: the voice has its weights
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
    if voice.privacy is not None:
        made["privacy"] = dict(voice.privacy)
    return made


def build_voice(description: dict[str, Any], vocoder: Vocoder | None = None) -> VoiceModel:
    """Build a model from a description of :func:`describe_voice`; weights are fresh, except those referred to by hash.

    Args:
        description: as a model folder or a checkpoint holds it.
        vocoder: replaces the one described.

    Raises:
        ConfigurationError: if it was written by a newer version, or refers to a vocoder that is not here.
        PluginError: if a part's class is not installed; names the package.
        SpecMismatchError: if the spec of the extractor that was built differs from the described one.
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
    voice = VoiceModel(**parts, noise=description["noise"], guidance=description.get("guidance", 0.0))
    if "own" in description:
        voice.own = StoredPrompt.of_shapes(description["own"])
    voice.privacy = description.get("privacy")
    check_join("the stored spec", AudioSpec.from_mapping(description["spec"]), "the installed extractor", voice.spec)
    return voice


def check_place(folder: Path) -> None:
    """Reject an output folder that holds something other than a model: call it before work that takes long.

    Raises:
        ConfigurationError: if something else is there, or nothing may be written there.
    """
    if folder.exists() and not (folder / DESCRIPTION).is_file():
        raise ConfigurationError(f"{folder} is there already and is not a model folder; name another with --output")
    if (above := unwritable_above(folder)) is not None:
        raise ConfigurationError(
            f"{folder} cannot be made: {above} is no folder that you may write to; name another with --output"
        )


def save_voice(voice: VoiceModel, folder: str | Path, *, bits: int = 32) -> None:
    """Write a model folder, whole or not at all.

    It holds all weights except those that ship with a package and those of another framework's model (Whisper,
    torchaudio), which it refers to by their hash; those that ``pretrained`` refers to by a path are copied into it. A
    model that was trained with differential privacy gets a card that states it.

    Args:
        voice: the model.
        folder: to write; an existing model folder is replaced.
        bits: per stored weight: 32, 16 or 8 (see ``storage_bits.quantize_storage``).

    Raises:
        ConfigurationError: if something else is at the folder's place.
    """
    folder = Path(folder)
    check_place(folder)
    with atomic_folder(folder) as temporary:
        weights = dict(voice.state_dict())
        description = describe_voice(voice)
        for role, part in description["parts"].items():
            if "sha256" in part and not ships(getattr(voice, role), part["arguments"].get("pretrained", "default")):
                weights |= {f"{role}.{name}": tensor for name, tensor in all_weights(getattr(voice, role)).items()}
                part["arguments"]["pretrained"] = None
                del part["sha256"]
        # Written here, not by safetensors, whose error does not state that the disk is full.
        (temporary / WEIGHTS).write_bytes(safetensors.torch.save(quantize_storage(weights, bits)))
        (temporary / DESCRIPTION).write_text(yaml.safe_dump(description, sort_keys=False), encoding="utf-8")
        if voice.privacy is not None:
            (temporary / CARD).write_text(card(voice.privacy), encoding="utf-8")


def voice_path(name: str | Path) -> Path:
    """Path of a model: "default" is the one that ships, "live" the one for ``lvc live``, "mel" the one whose content is
    its mel bands, anything else a path."""
    return SHIPPED.get(str(name), Path(name))


def load_voice(path: str | Path, vocoder: Callable[[AudioSpec], Vocoder] | None = None) -> VoiceModel:
    """Load a model from a folder, or from a training checkpoint (its averaged weights if it has them).

    Args:
        path: of the folder or checkpoint; "default" for the one that ships, "live" for the one for ``lvc live``, "mel"
            for the one whose content is its mel bands.
        vocoder: makes another one for the model's features (as ``vocoder_choice.chosen`` does); the model's own is
            then not built and need not be installed. None for the model's own.

    Raises:
        ConfigurationError: if there is nothing at the path, or nothing that can be read as a voice.
        PluginError: if a part's class is not installed; names the package.
        SpecMismatchError: if the spec of the installed extractor differs from the stored one.
    """
    path = voice_path(path)
    description, stored, where = _read(path)
    given: dict[str, torch.Tensor] = {}
    other = None
    if vocoder is not None:
        other = vocoder(AudioSpec.from_mapping(description["spec"]))
        stored = stored.without("vocoder.")
        given = {f"vocoder.{name}": tensor for name, tensor in all_weights(other).items()}
    with described(where, "a model"), limited(stored.bytes, len(stored.forms)):
        voice = build_voice(description, other)
    fill(voice, stored, given=given)
    voice.eval().requires_grad_(False)
    fuse_parts(voice)
    return voice


def _read(path: Path) -> tuple[dict[str, Any], StoredWeights, Path]:
    """Description and weights of a model, and the file that holds the description."""
    path = find_again(path)
    if path.is_dir():
        where = path / DESCRIPTION
        description, stored = read_folder(path, DESCRIPTION, WEIGHTS, "a model")
    elif path.is_file():
        where, file = path, open_checkpoint(path)
        if "voice" not in file.values:
            raise ConfigurationError(f"{path} holds no voice; name a checkpoint of lvc fit with a VoiceModule")
        description = file.values["voice"]
        stored = checkpoint_weights(file, trained_weights(state_of(file), "voice"))
    else:
        raise ConfigurationError(f"there is no model at {path}; name a .ckpt of lvc fit or a folder of lvc save")
    with described(where, "a model"):
        check_voice(description)
    return description, stored, where
