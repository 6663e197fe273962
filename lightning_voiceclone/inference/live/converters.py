"""What converts the chunks of a live source: a model, or anything that gives samples for samples."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.speaker import Speaker
from lightning_voiceclone.inference.stream import Stream

Samples = NDArray[np.float32]
LEAST_REHEARSED_SECONDS = 1.0
WARMING = 3  # chunks that are slower, because memory is allocated
CONVERSIONS = 3  # that a rehearsal waits for
MARGIN = 1.2  # of the slowest chunk of a rehearsal
LONG_SECONDS = 0.3  # a look-ahead beyond it makes talking hard


class LiveConverter(Protocol):
    """Samples at ``sample_rate`` to samples at the same rate; the k-th belongs to the k-th of the source."""

    sample_rate: int

    def push(self, samples: Samples) -> Samples:
        """Samples (M,) that can be given after the next samples (N,) of the source; M may be 0."""

    def restart(self) -> None:
        """Begin anew after a gap: the next samples do not follow those before."""


class VoiceConverter:
    """A model that speaks in a speaker's voice. Options and speaker may be changed from another thread.

    Args:
        model: the model.
        speaker: of whom the voice is; None for the one to whom the model was adapted.
        options: seed, pitch_shift and guidance, as of :class:`~lightning_voiceclone.voice.options.RenderOptions`.

    Raises:
        ConfigurationError: if the model needs the whole recording, or an option is out of range.
    """

    def __init__(self, model: Converter, speaker: Speaker | None = None, **options: Any) -> None:
        check_can_stream(model)
        self.model, self.sample_rate = model, model.sample_rate
        self._stream: Stream = model.stream(*([] if speaker is None else [speaker]), **options)
        self._changes: list[Callable[[], None]] = []

    @property
    def latency(self) -> float:
        """Seconds of the source before which the model can give nothing."""
        return self.model.voice.latency

    def change(self, speaker: Speaker | None = None, **options: Any) -> None:
        """Speak in another voice, or with other options, from the next chunk on.

        Raises:
            ConfigurationError: if the speaker is of another model, or an option is out of range.
        """
        if speaker is not None:
            prompt = self.model.prompt_of(speaker)
            self._changes.append(lambda: setattr(self._stream, "prompt", prompt))
        if options:
            replace(self._stream.options, **options)
            self._changes.append(lambda: setattr(self._stream, "options", replace(self._stream.options, **options)))

    def push(self, samples: Samples) -> Samples:
        """As of :class:`LiveConverter`."""
        while self._changes:
            self._changes.pop(0)()
        made = self._stream.push(samples)
        return np.concatenate([np.asarray(chunk) for chunk in made]) if made else np.zeros(0, np.float32)

    def restart(self) -> None:
        """As of :class:`LiveConverter`; what is known of the source's register, level and voice is kept."""
        self._stream.restart()


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


@dataclass(frozen=True)
class Rehearsal:
    """What a converter needs, measured before it is used.

    Args:
        lookahead: greatest number of seconds of source that it holds beyond a chunk, when it gives samples.
        compute: seconds to allow for a chunk.
    """

    lookahead: float
    compute: float


def rehearse(
    converter: LiveConverter, chunk: float, timer: Callable[[], float] | None = None, *, latency: float = 0.0
) -> Rehearsal:
    """Convert some seconds of noise, to measure look-ahead and time; the converter is restarted after it.

    Args:
        converter: to measure.
        chunk: seconds.
        timer: gives the time in seconds; None to take the compute time as 0.
        latency: seconds of source before which nothing can be expected.

    Raises:
        ConfigurationError: if nothing comes out.
    """
    size, noise = round(chunk * converter.sample_rate), np.random.default_rng(0)
    pushed = given = conversions = held = 0
    times: list[float] = []
    least, most = (LEAST_REHEARSED_SECONDS + latency) * converter.sample_rate, (30 + 10 * latency) * (
        converter.sample_rate)  # fmt: skip
    while pushed < least or conversions < CONVERSIONS:  # the first chunk is a sample longer, as of the engine
        if pushed > most:
            raise ConfigurationError(f"nothing came out of the model in {pushed / converter.sample_rate:.0f} s")
        begin, count = timer() if timer else 0.0, size + (pushed == 0)
        made = len(converter.push(0.01 * noise.standard_normal(count).astype(np.float32)))
        times.append((timer() if timer else 0.0) - begin)
        held = max(held, pushed + count - given - size) if made else held
        conversions += made > 0
        pushed, given = pushed + count, given + made
    converter.restart()
    return Rehearsal(held / converter.sample_rate, MARGIN * max(times[WARMING:], default=0.0))


def lookahead_note(lookahead: float) -> str:
    """A warning of a look-ahead with which talking is hard; empty if it is short."""
    if lookahead <= LONG_SECONDS:
        return ""
    return (
        f"this model looks {lookahead:.1f} s ahead, so its voice comes at least that late; for a conversation, use a"
        " model that was trained for streams (CausalContentEncoder)"
    )
