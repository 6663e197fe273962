"""A model as a live converter, computed by torch."""

from dataclasses import replace
from typing import Any

import numpy as np

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.live.converters import ModelConverter, Samples
from lightning_voiceclone.inference.speaker import Speaker
from lightning_voiceclone.voice.compatibility import check_can_convert


class VoiceConverter(ModelConverter):
    """A model as a live converter.

    Args:
        model: the model.
        speaker: of whom the voice is; None for the one to whom the model was adapted.
        options: seed, pitch_shift and guidance, as of :class:`~lightning_voiceclone.voice.options.RenderOptions`.

    Raises:
        ConfigurationError: if the model needs the whole recording, or an option is out of range.
    """

    def __init__(self, model: Converter, speaker: Speaker | None = None, **options: Any) -> None:
        super().__init__()
        check_can_stream(model)
        self.model, self.sample_rate, self.latency = model, model.sample_rate, model.voice.latency
        self._stream = model.stream(*([] if speaker is None else [speaker]), **options)

    def speaker(self, *paths: str) -> Speaker:
        """As of :class:`ModelConverter`."""
        return self.model.speaker(*paths)

    def change(self, speaker: Speaker | None = None, **options: Any) -> None:
        """As of :class:`ModelConverter`."""
        if speaker is not None:
            prompt = self.model.prompt_of(speaker)
            self._changes.append(lambda: setattr(self._stream, "prompt", prompt))
        if options:
            check_can_convert(self.model.voice, replace(self._stream.options, **options))
            self._changes.append(lambda: setattr(self._stream, "options", replace(self._stream.options, **options)))

    def _converted(self, samples: Samples) -> Samples:
        made = self._stream.push(samples)
        return np.concatenate([np.asarray(chunk) for chunk in made]) if made else np.zeros(0, np.float32)

    def _waits(self) -> tuple[int, list[tuple[int, int]]]:
        return self.model.voice.spec.hop_length, self._stream.waits

    def _restart(self, *, forget: bool) -> None:
        self._stream.restart(forget=forget)


def check_can_stream(model: Converter) -> None:
    """Reject a model that needs the whole recording.

    Raises:
        ConfigurationError: names the parts.
    """
    if np.isfinite(model.voice.latency):
        return
    voice = model.voice
    parts = [part for part in (*voice.extractors, voice.content_encoder, voice.generator, voice.vocoder) if part]
    whole = [type(part).__name__ for part in parts if not np.isfinite(part.context.right)]
    raise ConfigurationError(
        f"this model cannot be used live: {', '.join(whole)} need(s) the whole recording; use a model of parts with a"
        " finite context, such as CausalContentEncoder, ConvGenerator and Vocos"
    )
