"""Conversion of samples as they come in, at the loudness of the source."""

from dataclasses import dataclass, replace

import numpy as np

from lvc_runtime.chunks import Array, State
from lvc_runtime.conversion import Conversion, Parts
from lvc_runtime.errors import RuntimeFailure
from lvc_runtime.level import RunningLevel
from lvc_runtime.speaker import Speaker
from lvc_runtime.statistics import NAME, RunningStatistics, WholeStatistics

KEPT = (NAME, "level.")  # beginnings of the names of what is known of the source
RANGES = {"pitch_shift": (-24.0, 24.0), "speed": (0.25, 4.0), "guidance": (0.0, 2.0)}


@dataclass(frozen=True)
class Options:
    """Options of a conversion.

    Args:
        pitch_shift: semitones from the speaker's register; -24 to 24.
        speed: times as fast as the source; 0.25 to 4.
        guidance: how far output is extrapolated away from the source's speaker, 0 to 2; None for the model's own.

    Raises:
        RuntimeFailure: if one is out of range; names it and the range.
    """

    pitch_shift: float = 0.0
    speed: float = 1.0
    guidance: float | None = None

    def __post_init__(self) -> None:
        for name, (least, most) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not least <= value <= most:
                raise RuntimeFailure(f"{name} is {value:g}; it must be from {least:g} to {most:g}")

    def of(self, parts: Parts) -> "Options":
        """The same, with the guidance of a model where none was chosen.

        Raises:
            RuntimeFailure: if the model cannot apply one.
        """
        if self.pitch_shift and "f0" not in parts.needs:
            raise RuntimeFailure(f"pitch_shift is {self.pitch_shift:g}, but this model takes no pitch; set it to 0")
        if self.guidance and not parts.takes_guidance:
            raise RuntimeFailure(f"guidance is {self.guidance:g}, but this model takes no speaker; set it to 0")
        return self if self.guidance is not None else replace(self, guidance=parts.guidance)


class Stream:
    """Convert a source while it comes in: :meth:`push` samples of any number, play those that are returned.

    ``speaker`` and ``options`` (but for the speed) can be set between two pushes; they take effect at the next frame
    that is generated. ``state`` is a plain mapping of arrays: a copy of it, set again, goes on from there.

    Args:
        parts: of the model.
        speaker: the target.
        options: of the conversion.
        known: statistics of the source and the gain; None to follow them while it runs.

    Raises:
        RuntimeFailure: if a part needs the whole recording.
    """

    def __init__(self, parts: Parts, speaker: Speaker, options: Options, *, known: State | None = None) -> None:
        self._parts, self.speaker, self._options = parts, speaker, options.of(parts)
        running = RunningStatistics(parts.frame_rate, parts.contexts["generator"].grid, parts.speaker_channels)
        self._conversion = Conversion(parts, running if known is None else WholeStatistics())
        if waiting := self._conversion.waiting:
            raise RuntimeFailure(f"this model cannot be streamed: its {waiting[0]} needs the whole recording; convert a"
                                 " recording instead")  # fmt: skip
        self._level = RunningLevel(parts.frame_rate)
        self._ended = False
        self.state = self._conversion.init_state(known)

    def __enter__(self) -> "Stream":
        """The stream itself."""
        return self

    def __exit__(self, *error: object) -> None:
        """End it; what :meth:`flush` was not called for is dropped."""
        self._ended = True

    @property
    def options(self) -> Options:
        """Pitch shift, speed and guidance; may be set at any time, but for the speed."""
        return self._options

    @options.setter
    def options(self, options: Options) -> None:
        if options.speed != self._options.speed:
            raise RuntimeFailure(f"the speed is {options.speed:g}, but the stream began with {self._options.speed:g};"
                                 " begin another one")  # fmt: skip
        self._options = options.of(self._parts)

    @property
    def waits(self) -> list[tuple[int, int]]:
        """Of each stage, how many frames after a chunk it waits for, and at whose multiples its chunks end."""
        return self._conversion.waits

    def push(self, samples: Array) -> Array:
        """Convert the next samples (N,), floating-point in [-1, 1] at the model's rate; any N, also 0.

        Returns:
            Samples (M,), none while the parts' context is not there yet.

        Raises:
            RuntimeFailure: if samples are not finite or have another shape; the stream is then as it was.
        """
        return self._converted(self._checked(samples), final=False)

    def flush(self) -> Array:
        """End the source, and return what is left.

        Raises:
            RuntimeFailure: if the stream has ended.
        """
        made = self._converted(self._checked(np.zeros(0, np.float32)), final=True)
        self._ended = True
        return made

    def restart(self, *, forget: bool = False) -> None:
        """Begin anew after a gap in the source: what is held is dropped; what is known of the source is kept.

        Args:
            forget: begin as a new stream instead.

        Raises:
            RuntimeFailure: if the stream has ended.
        """
        self._check_open()
        kept = {name: value for name, value in self.state.items() if name.startswith(KEPT) and not forget}
        self.state = self._conversion.init_state(kept)

    def _check_open(self) -> None:
        if self._ended:
            raise RuntimeFailure("this stream has ended; begin another one with the model's stream()")

    def _checked(self, samples: Array) -> Array:
        self._check_open()
        if samples.dtype.kind != "f" or samples.ndim != 1:
            raise RuntimeFailure(f"a stream was given {samples.shape} of {samples.dtype}; push floating-point samples"
                                 " (N,) in [-1, 1]")  # fmt: skip
        if not np.isfinite(samples).all():
            raise RuntimeFailure("samples of the stream are NaN or infinite; push zeros in their place")
        return samples.astype(np.float32)

    def _converted(self, samples: Array, *, final: bool) -> Array:
        options = self._options
        made, state = self._conversion.push(
            samples, self.state, self.speaker, pitch_shift=options.pitch_shift, speed=options.speed,
            guidance=options.guidance or 0.0, final=final,
        )  # fmt: skip
        if not made:
            self.state = state
            return np.zeros(0, np.float32)
        out, self.state = self._level.apply(made["samples"][0], made["power"][0], state)
        return out
