"""Styles in the training of a text encoder: their vectors, and how high a speaker usually speaks."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import Script
from lightning_voiceclone.core.interfaces import StyleEncoder
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.training.script_cache import ScriptCache

MOST_RECORDINGS = 8  # of a speaker, for the usual register


def style_vectors(encoder: StyleEncoder, target: Script, values: Sequence[str]) -> Tensor:
    """Style vectors (B, S) of recordings; zeros for those whose style is not known.

    Args:
        encoder: that is trained with the text encoder.
        target: scripts of the recordings.
        values: of the column ``style``, for an encoder that takes values; empty where unknown.
    """
    if encoder.takes == "script":
        vectors: Tensor = encoder(target)
        return vectors
    device = target.content.device
    known = [index for index, value in enumerate(values) if value]
    if not known:
        return torch.zeros(len(values), encoder.channels, device=device)
    found = encoder(torch.stack([encoder.read(values[index]) for index in known]).to(device))
    return found.new_zeros(len(values), encoder.channels).index_put((torch.tensor(known, device=device),), found)


def check_styles(encoder: StyleEncoder, values: Sequence[str]) -> None:
    """Refuse, before training, styles that the encoder cannot read, or recordings without any.

    Args:
        encoder: that is to be trained.
        values: all styles that recordings have.

    Raises:
        ConfigurationError: if there are none, or names the first that is none.
    """
    if encoder.takes == "script":
        return
    if not values:
        raise ConfigurationError(
            f"{type(encoder).__name__} takes the styles of the column style, but no recording has one; name a table"
            " with such a column (--data.corpus Table), or take GlobalStyleTokens, which needs none"
        )
    for value in values:
        try:
            encoder.read(value)
        except ConfigurationError as error:
            raise ConfigurationError(f"the column style of the recordings: {error}") from error


class UsualRegisters:
    """How high each speaker usually speaks, so that the pitch of a recording is high or low for who speaks.

    Args:
        scripts: of recordings.
    """

    def __init__(self, scripts: ScriptCache) -> None:
        self._scripts = scripts
        self._found: dict[str, Tensor | None] = {}

    def given(self, script: Script, speaker: str, data: Any) -> Script:
        """A script of a recording with its speaker's register: the geometric mean of those of several recordings.

        Args:
            script: one row; returned as it is where it has no register, or no recording of the speaker is voiced.
            speaker: as batches name it.
            data: ``VoiceDataModule`` of the recordings.
        """
        if script.register is None:
            return script
        if speaker not in self._found:
            registers = [self._scripts.script(audio).register for audio in data.of_speaker(speaker, MOST_RECORDINGS)]
            voiced = [one for one in registers if one is not None and one.isfinite().all()]
            self._found[speaker] = torch.cat(voiced).log2().mean()[None].exp2() if voiced else None
        register = self._found[speaker]
        return script if register is None else replace(script, register=register)
