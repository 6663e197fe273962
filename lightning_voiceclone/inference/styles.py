"""The style vector of what a user names: a recording, a label, or the vector itself."""

import os
from typing import Protocol

import torch
from torch import Tensor

from lightning_voiceclone.core.audio_checks import require_audible
from lightning_voiceclone.core.interfaces import StyleEncoder, TextEncoder
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.long_file import Converts
from lightning_voiceclone.inference.recordings import Recording, path_of
from lightning_voiceclone.inference.screening import LONGEST_SECONDS
from lightning_voiceclone.utils.reading import excerpt
from lightning_voiceclone.voice.compatibility import LEAST_REFERENCE_SECONDS

Style = Recording | Tensor


class Reads(Converts, Protocol):
    """A converter that reads recordings."""

    def read(self, recording: Recording, name: str) -> tuple[str, Tensor]:
        """A recording's name, ``name`` for samples, and samples (N,) at the model's rate."""


@torch.inference_mode()
def style_vector(converter: Reads, encoder: TextEncoder, style: Style) -> Tensor:
    """The vector (1, S) of a style, as a text encoder takes it.

    Args:
        converter: that reads recordings, as ``Converter``.
        encoder: of the converter's model.
        style: of an encoder of scripts a recording of anyone, of which the first minute counts; of one of values such a
            value, as a label; or a vector (S,) or (1, S).

    Raises:
        ConfigurationError: if the encoder takes no style, not of this type, or not this one; says what it takes.
        RecordingError: if the recording cannot be read, or is too short, silent or not finite.
    """
    styles, name = encoder.style_encoder, type(encoder).__name__
    if styles is None:
        raise ConfigurationError(
            f"there is a style ({_shown(style)}), but this model's text encoder, {name}, takes none; leave it out, or"
            " name a model whose text encoder was trained with a style encoder (docs/text.md)"
        )
    if isinstance(style, Tensor):
        return _checked(style, styles.channels, name).to(converter.device)
    return (_of_recording if styles.takes == "script" else _of_value)(converter, styles, style)


def _checked(vector: Tensor, channels: int, name: str) -> Tensor:
    if tuple(vector.shape) not in ((channels,), (1, channels)) or not vector.isfinite().all():
        what = f"of the shape {tuple(vector.shape)}" if vector.isfinite().all() else "not finite"
        raise ConfigurationError(
            f"the style vector is {what}, but {name} takes ({channels},) finite numbers; take the style encoder with"
            " which it was trained"
        )
    return vector.detach().float().reshape(1, channels)


def _of_recording(converter: Reads, encoder: StyleEncoder, style: Recording) -> Tensor:
    path = path_of(style)
    if path is not None and not os.path.exists(path):
        raise ConfigurationError(
            f"the style is {_shown(style)}, and there is no such file; {type(encoder).__name__} takes the style of a"
            " recording"
        )
    name, audio = converter.read(style, "the style")
    audio = audio[: round(LONGEST_SECONDS * converter.sample_rate)]
    require_audible(audio, converter.voice.spec, name, LEAST_REFERENCE_SECONDS)
    return encoder(converter.voice.script(audio, converter.sample_rate, speaker=False))


def _of_value(converter: Reads, encoder: StyleEncoder, style: Recording) -> Tensor:
    if isinstance(style, tuple):
        raise ConfigurationError(f"the style is a recording, but {type(encoder).__name__} takes a value, as a label")
    return encoder(encoder.read(os.fspath(style))[None].to(converter.device))


def _shown(style: Style) -> str:
    if isinstance(style, Tensor):
        return "a vector"
    path = path_of(style)
    return "a recording" if path is None else excerpt(repr(os.fspath(path)), 80)
