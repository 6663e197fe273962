"""Checks that a combination of parts and settings can be trained."""

from collections.abc import Collection, Iterable, Mapping, Sized

from lightning_voiceclone.core.interfaces import (
    AudioTransform,
    ContentEncoder,
    Discriminator,
    Generator,
    SpeakerEncoder,
    Vocoder,
)
from lightning_voiceclone.core.schedule import Counted, Schedule, Scheduled
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.training.loss_weights import ADVERSARIAL
from lightning_voiceclone.voice.model import VoiceModel

FROZEN = {"teacher": "teacher", "words": "listener", "likeness": "speaker_listener"}  # what a loss is computed with


def absent_losses(model: VoiceModel, *, swap: float, given: Collection[str]) -> dict[str, str]:
    """Names of the losses that a model does not have, each with the reason and, where there is one, the remedy.

    Args:
        model: the model.
        swap: greatest share of cross-speaker rows.
        given: which of the settings in ``FROZEN`` are set.
    """
    spec, content, vocoder = model.spec, model.content_encoder, model.vocoder
    absent = {"confusion": "that loss was removed, since no ablation had shown a benefit; leave it out"}
    for name, encoder in (("content", content), ("speaker", model.speaker_encoder)):
        if reason := _why_no_loss(name, encoder):
            absent[name] = reason
    if not swap:
        absent["statistics"] = "it is computed on cross-speaker rows only, and model.swap is 0; set it above 0"
    if "kl" not in model.generator.loss_names:
        absent["kl"] = "only a generator with a variational bottleneck, such as VAEGenerator, has that loss"
    if spec.kind == "waveform":
        absent["statistics"] = "it compares spectra, and the features are waveforms"
    else:
        absent["spectral"] = f"it compares waveforms, and the features are {spec.kind}; use reconstruction"
    if "differentiable" not in vocoder.capabilities:
        reason = f"{type(vocoder).__name__} is not differentiable, so that no gradient would reach the generator"
        absent |= dict.fromkeys(("mel", "words", "likeness"), reason)
    if content is None:
        reason = (
            "without a content encoder speech is generated from noise alone, and there is no target to compare with"
        )
        absent |= dict.fromkeys(("reconstruction", "spectral", "mel", "words"), reason)  # likeness needs none
    if not model.needs_reference:
        absent["likeness"] = "the model uses no reference, so nobody is to be alike"
    for loss, setting in FROZEN.items():
        if setting not in given:
            absent[loss] = f"there is no {setting}; name one with model.{setting}"
    return absent


def _why_no_loss(name: str, encoder: ContentEncoder | SpeakerEncoder | None) -> str | None:
    """Why no loss can be computed from an encoder's output for generated features; None if it can."""
    if encoder is None:
        return f"there is no {name} encoder to compute it with"
    if encoder.takes == "audio":
        return f"{type(encoder).__name__} takes audio, and the generator outputs features; use one of features"
    if _trained(encoder):
        return (
            f"{type(encoder).__name__} is trained too and would learn to make the loss small for any input;"
            " give it pretrained weights"
        )
    return None


def _trained(encoder: ContentEncoder | SpeakerEncoder) -> bool:
    return any(weight.requires_grad for weight in encoder.parameters())


def check_swap(swap: Schedule, needs_reference: bool, content: ContentEncoder | None) -> None:
    """Refuse cross-speaker rows for a model that has no speaker to change, or no content to keep.

    Raises:
        ConfigurationError: names the setting.
    """
    if swap.greatest and (not needs_reference or content is None):
        raise ConfigurationError(
            f"model.swap is {swap}, but only a model with a content encoder that uses a reference can convert rows to"
            " another speaker; set it to 0, or add both encoders"
        )


def check_teacher(teacher: bool, weights: Mapping[str, Scheduled]) -> None:
    """Refuse a teacher whose output no loss uses.

    Raises:
        ConfigurationError: names the setting and the loss.
    """
    if teacher and not weights.get("teacher"):
        raise ConfigurationError(
            "model.teacher is set, but the loss teacher has no weight; give it one (model.weights.teacher), or leave"
            " model.teacher out"
        )


def check_listener(
    setting: str,
    listener: ContentEncoder | SpeakerEncoder | None,
    spec: AudioSpec,
    loss: str,
    weights: Mapping[str, Scheduled],
) -> None:
    """Refuse a listener that no loss uses, or that does not take waveforms as they are.

    Raises:
        ConfigurationError: names the setting and the loss.
        SpecMismatchError: if it takes audio of another rate; names both.
    """
    if listener is None:
        return
    name = type(listener).__name__
    if not weights.get(loss):
        raise ConfigurationError(
            f"model.{setting} is set, but the loss {loss} has no weight; give it one (model.weights.{loss}), or leave"
            f" model.{setting} out"
        )
    if listener.takes != "audio":
        raise ConfigurationError(f"model.{setting} is {name}, which takes features; name one that takes audio")
    if listener.sample_rate not in (None, spec.sample_rate):
        raise SpecMismatchError(
            f"model.{setting}, {name}, takes audio at {listener.sample_rate} Hz, and this model has {spec.sample_rate}"
        )


def check_cross_speaker(weights: Mapping[str, Scheduled], swap: Schedule, *, may_swap: bool, warmup: int) -> None:
    """Refuse loss weights that apply to no row of the batch.

    Rows are converted to another speaker only with a discriminator or a teacher, and not in the first ``warmup`` steps.

    Raises:
        ConfigurationError: names the setting or the losses, and what to do.
    """
    weighed = {name for name, weight in weights.items() if weight}
    if swap.greatest and not may_swap:
        raise ConfigurationError(
            f"model.swap is {swap}, but cross-speaker rows need a discriminator or a teacher, and there is neither; add"
            " one, or set model.swap to 0"
        )
    of_own = [name for name in ("reconstruction", "spectral", "mel", "feature_matching") if name in weighed]
    if min(swap.values) == 1 and not warmup and of_own:
        raise ConfigurationError(
            "model.swap is 1: every row is converted to another speaker from the first step on, so that"
            f" {' and '.join(of_own)} would train nothing; set model.swap below 1, or the weights to 0"
        )
    of_cross = [name for name in ("content", "statistics") if name in weighed]
    others = weighed - {*ADVERSARIAL, *of_cross}
    if swap.greatest and warmup and of_cross and not others:
        raise ConfigurationError(
            f"steps.warmup is {warmup}, in which there are no cross-speaker rows, so that {' and '.join(of_cross)}"
            " would train nothing; set it to 0, or give another loss a weight, such as reconstruction"
        )


def begun_with_depth(generator: Generator, depth: Counted) -> Schedule:
    """Let the generator begin with its first blocks, and give the schedule by which others join.

    Raises:
        ConfigurationError: if the generator cannot grow, has fewer blocks, or would lose some again.
    """
    schedule = Schedule.of("model.depth", depth, 1, 10_000, whole=True)
    if list(schedule.values) != sorted(schedule.values):
        raise ConfigurationError(f"model.depth is {schedule}; blocks join and stay: let the numbers rise")
    for blocks in reversed(schedule.values):
        generator.use_depth(int(blocks))
    generator.use_depth(int(schedule.values[0]), fresh=True)
    return schedule


def check_detail(
    detail: Scheduled | None, weights: Mapping[str, Scheduled], discriminator: Discriminator | None
) -> None:
    """Refuse targets of less detail beside losses of waveforms, which would have all of it.

    Raises:
        ConfigurationError: names the loss or the discriminator.
    """
    if detail is None:
        return
    of_waveforms = [name for name in ("spectral", "mel") if weights.get(name)]
    if discriminator is not None and discriminator.takes == "audio":
        of_waveforms.append(type(discriminator).__name__)
    if of_waveforms:
        raise ConfigurationError(
            f"model.detail smooths features, but {of_waveforms[0]} compares waveforms, which keep their detail; leave"
            " one of the two out"
        )


def check_private(private: bool, swap: Schedule) -> None:
    """Refuse to convert rows to another speaker where a step takes each speaker alone.

    Raises:
        ConfigurationError: names both settings.
    """
    if private and swap.greatest:
        raise ConfigurationError(
            f"model.swap is {swap}, but with model.steps.privacy each speaker's gradient is of own recordings alone,"
            " so that there is no other to convert to; set it to 0"
        )


def check_augmentation(transforms: Iterable[AudioTransform]) -> None:
    """Refuse transforms of whole recordings.

    Raises:
        ConfigurationError: names the transform, and the command that takes it.
    """
    for transform in transforms:
        if transform.stage != "training":
            raise ConfigurationError(
                f"{type(transform).__name__} works on whole recordings, not on training batches;"
                f" give it to lvc prepare --transform {type(transform).__name__}"
            )


def check_transforms(augmentation: Iterable[AudioTransform], content_transforms: Sized, voice: VoiceModel) -> None:
    """Refuse transforms that would train something wrong, or have no effect.

    Raises:
        ConfigurationError: names the transform or the setting, and what to do.
    """
    for transform in augmentation:
        if voice.needs_reference and not transform.keeps_voice:
            raise ConfigurationError(
                f"{type(transform).__name__} would change the speaker of the crops but not of their references; leave"
                " it out of model.augmentation (data.speeds changes recordings and references alike)"
            )
    encoder = voice.content_encoder
    if len(content_transforms) and (encoder is None or encoder.takes == "audio"):
        what = "there is no content encoder" if encoder is None else f"{type(encoder).__name__} takes audio"
        raise ConfigurationError(
            f"model.content_transforms change the features given to the content encoder, but {what}; set it to null"
        )


def check_stored_features(stored: bool, transforms: Sized) -> None:
    """Refuse to change the audio of crops whose features are read from the cache.

    Raises:
        ConfigurationError: names both settings.
    """
    if stored and len(transforms):
        raise ConfigurationError(
            "data.cached_features gives features of the recordings as they are, but model.augmentation changes them;"
            " set one of the two aside"
        )


def check_way_back(discriminator: Discriminator | None, vocoder: Vocoder) -> None:
    """Refuse a waveform discriminator whose gradients could not reach the generator.

    Raises:
        ConfigurationError: names both, and what can be used instead.
    """
    if discriminator is not None and discriminator.takes == "audio" and "differentiable" not in vocoder.capabilities:
        raise ConfigurationError(
            f"{type(discriminator).__name__} takes waveforms, but {type(vocoder).__name__} is not differentiable;"
            " use a discriminator of features, or Waveform features with the vocoder Unframe"
        )
