"""Conversion of samples as they come in, at the loudness of the source."""

import numpy as np
import torch
from torch import Tensor

from lightning_voiceclone.core.conditions import SpeakerPrompt
from lightning_voiceclone.core.streaming import State
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.inference.level import RunningLevel
from lightning_voiceclone.voice.compatibility import check_can_convert
from lightning_voiceclone.voice.model import VoiceModel
from lightning_voiceclone.voice.options import RenderOptions
from lightning_voiceclone.voice.segments import conversion_of
from lightning_voiceclone.voice.statistics import NAME, RunningStatistics, Statistics, WholeStatistics
from lightning_voiceclone.voice.streaming import ChunkedConversion

KEPT = (NAME, "level.")  # beginnings of the names of what is known of the source


class Stream:
    """Convert a source while it comes in: :meth:`push` samples of any number, take samples as soon as there are any.

    ::

        with model.stream(speaker) as stream:
            for samples in microphone:
                for chunk in stream.push(samples):
                    play(chunk)
            for chunk in stream.flush():
                play(chunk)

    ``prompt`` and ``options`` (but for speed) can be set between two pushes; they take effect at the next frame that is
    generated. ``state`` is a plain mapping of tensors, batch first: a copy of it, set again,
    goes on from there, in this stream or another one of the same model, options and kind.

    Args:
        voice: the model.
        prompt: target speaker, a row for each row of the batch.
        options: seed, pitch shift, speed and guidance.
        known: statistics of the source and the gain, as of :func:`known_of`; None to follow them while it runs.
    """

    def __init__(
        self,
        voice: VoiceModel,
        prompt: SpeakerPrompt,
        options: RenderOptions = RenderOptions(),  # noqa: B008 (frozen)
        *,
        known: State | None = None,
    ) -> None:
        check_can_convert(voice, options)
        self._voice, self._prompt, self._options = voice, prompt, options
        rate = voice.spec.frame_rate
        statistics: Statistics = RunningStatistics(rate, voice.generator.context.grid)
        self._conversion = conversion_of(voice, statistics if known is None else WholeStatistics())
        self._level = RunningLevel(rate)
        self._ended = False
        self.state = self._conversion.init_state(len(prompt.lengths), known)

    def __enter__(self) -> "Stream":
        """The stream itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End it; what :meth:`flush` was not called for is dropped."""
        self._ended = True

    @property
    def prompt(self) -> SpeakerPrompt:
        """The target speaker, a row for each row of the batch; may be set at any time."""
        return self._prompt

    @prompt.setter
    def prompt(self, prompt: SpeakerPrompt) -> None:
        if len(prompt.lengths) != len(self._prompt.lengths):
            raise ConfigurationError(
                f"the prompt has {len(prompt.lengths)} rows, but the stream {len(self._prompt.lengths)}; give as many"
            )
        self._prompt = prompt

    @property
    def options(self) -> RenderOptions:
        """Seed, pitch shift, speed and guidance; may be set at any time, but for the speed."""
        return self._options

    @options.setter
    def options(self, options: RenderOptions) -> None:
        check_can_convert(self._voice, options)
        if options.speed != self._options.speed:
            raise ConfigurationError(
                f"the speed is {options.speed:g}, but the stream began with {self._options.speed:g}; begin another one"
            )
        self._options = options

    @property
    def waits(self) -> list[tuple[int, int]]:
        """Of each stage, how many frames after a chunk it waits for, and at whose multiples its chunks end."""
        assert isinstance(self._conversion, ChunkedConversion)
        return self._conversion.waits

    def push(self, samples: Tensor | np.ndarray) -> list[Tensor]:
        """Convert the next samples.

        Args:
            samples: (N,), or (B, N) for a batch, floating-point in [-1, 1] at the model's rate; any N, also 0.

        Returns:
            Chunks (M,), or (B, M), in order: none while the parts' context is not there yet.

        Raises:
            RecordingError: if samples are not finite or have another shape. The stream is then as it was: zeros can
                be pushed in their place.
            ConfigurationError: if the stream has ended.
        """
        return self._converted(self._checked(samples), final=False)

    def flush(self) -> list[Tensor]:
        """End the source, and return what is left, as :meth:`push` does.

        Raises:
            ConfigurationError: if the stream has ended.
        """
        made = self._converted(self._checked(torch.zeros(len(self._prompt.lengths), 0)), final=True)
        self._ended = True
        return made

    def restart(self, *, forget: bool = False) -> None:
        """Begin anew after a gap in the source: what is held is dropped; what is known of the source is kept.

        Args:
            forget: begin as a new stream instead.

        Raises:
            ConfigurationError: if the stream has ended.
        """
        self._check_open()
        kept = {name: value for name, value in self.state.items() if name.startswith(KEPT) and not forget}
        self.state = self._conversion.init_state(len(self._prompt.lengths), kept)

    def _check_open(self) -> None:
        if self._ended:
            raise ConfigurationError("this stream has ended; begin another one with the model's stream()")

    def _checked(self, samples: Tensor | np.ndarray) -> Tensor:
        self._check_open()
        given = torch.from_numpy(samples) if isinstance(samples, np.ndarray) else samples
        rows = len(self._prompt.lengths)
        if not given.is_floating_point() or given.shape[:-1] not in ((rows,), () if rows == 1 else (rows,)):
            raise RecordingError(
                f"a stream of {rows} row(s) was given {tuple(given.shape)} of {given.dtype}; push floating-point"
                f" samples {'(N,)' if rows == 1 else f'({rows}, N)'} in [-1, 1]"
            )
        if not given.isfinite().all():
            raise RecordingError("samples of the stream are NaN or infinite; push zeros in their place")
        return given.reshape(rows, -1).to(self._prompt.lengths.device, torch.float32)

    def _converted(self, samples: Tensor, *, final: bool) -> list[Tensor]:
        made, state = self._conversion.push(samples, self.state, self._prompt, self._options, final=final)
        if not made:
            self.state = state
            return []
        out, self.state = self._level.apply(made["samples"], made["power"], state)
        return [out.cpu() if len(out) > 1 else out[0].cpu()]
