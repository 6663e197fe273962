"""What a combination of a voice's parts cannot do in training."""

from collections.abc import Iterable, Sized

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.interfaces import AudioTransform, ContentEncoder, Discriminator, Generator, Vocoder
from lightning_voiceclone.spec import AudioSpec


def absent_losses(spec: AudioSpec, content: ContentEncoder | None, generator: Generator) -> dict[str, str]:
    """Names of the losses that these parts do not have, each with the reason and, where there is one, the remedy."""
    absent = {}
    if "kl" not in generator.loss_names:
        absent["kl"] = "only a generator with a variational bottleneck, such as VAEGenerator, has that loss"
    if spec.kind != "waveform":
        absent["spectral"] = f"it compares waveforms, and the features are {spec.kind}; use reconstruction"
    if content is None:
        reason = "without a content encoder the voice is made from noise alone, and there is nothing to compare with"
        absent |= {"reconstruction": reason, "spectral": reason}
    return absent


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


def check_stored_features(stored: bool, transforms: Sized) -> None:
    """Refuse to change the audio of crops whose features are known already.

    Raises:
        ConfigurationError: names both settings.
    """
    if stored and len(transforms):
        raise ConfigurationError(
            "data.cached_features gives features of the recordings as they are, but model.augmentation changes them;"
            " set one of the two aside"
        )


def check_way_back(judge: Discriminator | None, vocoder: Vocoder) -> None:
    """Refuse a judge of waveforms from which no gradient could reach the generator.

    Raises:
        ConfigurationError: names both, and what can be used instead.
    """
    if judge is not None and judge.takes == "audio" and "differentiable" not in vocoder.capabilities:
        raise ConfigurationError(
            f"{type(judge).__name__} judges waveforms, but no gradient comes back through {type(vocoder).__name__};"
            " use a discriminator of features, or Waveform features with the vocoder Unframe"
        )
