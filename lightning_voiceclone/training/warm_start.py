"""Initialise a model with the weights of a trained one."""

from collections.abc import Mapping

from lightning.pytorch.utilities.rank_zero import rank_zero_info
from torch import Tensor

from lightning_voiceclone.checkpoints.external_weights import all_weights
from lightning_voiceclone.checkpoints.reader import read_checkpoint
from lightning_voiceclone.checkpoints.voice_folder import load_voice, voice_path
from lightning_voiceclone.core.interfaces import Discriminator, Vocoder
from lightning_voiceclone.core.part import Part, describe
from lightning_voiceclone.core.spec import check_join
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.voice.model import VoiceModel

ENCODERS = ("content_encoder", "speaker_encoder")


def begin_with(voice: VoiceModel, discriminator: Discriminator | None, start: str) -> None:
    """Copy the weights of a trained model into one that is to be trained; their moving averages where it has them.

    Weights of the same name and shape are copied: in the generator, in encoders of the same class that train (frozen
    ones keep their own), in a vocoder of the same class that was given no ``pretrained`` weights, and in the
    discriminator, where ``start`` is a checkpoint that has one. A line for each gives the number. So the generators
    may differ by a layer, or one may be causal and the other not.

    Args:
        voice: model to be trained.
        discriminator: to be trained against it; None for none.
        start: checkpoint or folder of a model, or "default" for the bundled one.

    Raises:
        ConfigurationError: if there is no model at ``start``, or no weight of its generator fits.
        SpecMismatchError: if the specs of their features differ; names the field and both values.
    """
    theirs = load_voice(start)
    check_join(f"the model to start from ({start})", theirs.spec, "this configuration", voice.spec)
    if not _take_over(voice.generator, all_weights(theirs.generator), "generator"):
        raise ConfigurationError(
            f"start: no weight of the {type(theirs.generator).__name__} of {start} fits this"
            f" {type(voice.generator).__name__}; start from a model whose generator is of its class and width"
        )
    voice.normalizer.load_state_dict(all_weights(theirs.normalizer))
    for role in ENCODERS:
        ours, other = getattr(voice, role), getattr(theirs, role)
        if ours is not None and type(ours) is type(other) and ours.weights_sha256 is None:
            _take_over(ours, all_weights(other), role)
    if type(voice.vocoder) is type(theirs.vocoder) and _is_fresh(voice.vocoder):
        _take_over(voice.vocoder, all_weights(theirs.vocoder), "vocoder")
    _begin_discriminator(discriminator, start)


def begin_vocoder(vocoder: Vocoder, discriminator: Discriminator | None, start: str) -> None:
    """Copy the weights of a trained model's vocoder, and of its discriminator, where names and shapes are equal.

    Args:
        vocoder: to be trained.
        discriminator: to be trained against it; None for none.
        start: checkpoint or folder of a model, or "default" for the bundled one.

    Raises:
        ConfigurationError: if there is no model at ``start``, no weight of its vocoder fits, or this one was given
            ``pretrained`` weights.
        SpecMismatchError: if the specs of their features differ; names the field and both values.
    """
    if not _is_fresh(vocoder):
        raise ConfigurationError(
            "model.start would replace the weights that model.vocoder.pretrained gives; leave one of the two out"
        )
    theirs = load_voice(start)
    check_join(f"the model to start from ({start})", theirs.spec, "this configuration", vocoder.spec)
    if not _take_over(vocoder, all_weights(theirs.vocoder), "vocoder"):
        raise ConfigurationError(
            f"start: no weight of the {type(theirs.vocoder).__name__} of {start} fits this {type(vocoder).__name__};"
            " start from a model whose vocoder is of its class and width"
        )
    _begin_discriminator(discriminator, start)


def _begin_discriminator(discriminator: Discriminator | None, start: str) -> None:
    path = voice_path(start)
    if discriminator is None or not path.is_file():
        return
    state = read_checkpoint(path).get("state_dict", {})
    own = "discriminator."
    stored = {key.removeprefix(own): value for key, value in state.items() if key.startswith(own)}
    _take_over(discriminator, stored, "discriminator")


def _is_fresh(part: Part) -> bool:
    """Whether a part has weights of its own, which begin at random."""
    parts = [one for one in part.modules() if isinstance(one, Part)]
    given = any(describe(one)["arguments"].get("pretrained") not in (None, "none") for one in parts)
    return not given and part.weights_sha256 is None and any(True for _ in part.parameters())


def _take_over(part: Part, stored: Mapping[str, Tensor], role: str) -> int:
    """Copy stored weights of the same name and shape into a part; returns their number."""
    own = part.state_dict()
    fitting = {name: value for name, value in stored.items() if name in own and own[name].shape == value.shape}
    part.load_state_dict(fitting, strict=False)
    rank_zero_info(f"begins with {len(fitting)} of the {len(own)} weights of the {role}")
    return len(fitting)
