"""What is spoken, and how: options, sentences with durations, and silence between them."""

from dataclasses import dataclass
from typing import NamedTuple

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.text.pronounced import Pause, Pronounced
from lightning_voiceclone.voice.options import SPEEDS, RenderOptions


@dataclass(frozen=True)
class SpeechOptions:
    """Manner of speaking.

    Args:
        rate: times as fast as the text encoder's own tempo; 0.25 to 4.
        pitch: semitones above the speaker's register; -24 to 24.
        seed: of the noise, for models that use it.

    Raises:
        ConfigurationError: if one is out of range.
    """

    rate: float = 1.0
    pitch: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not SPEEDS[0] <= self.rate <= SPEEDS[1]:
            raise ConfigurationError(
                f"rate is {self.rate:g}; it must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}, 1 keeps the tempo"
            )
        RenderOptions(seed=self.seed, pitch_shift=self.pitch)


class Planned(NamedTuple):
    """A sentence with the whole frames of each of its tokens."""

    spoken: Pronounced
    durations: tuple[int, ...]

    @property
    def frames(self) -> int:
        """Of all tokens."""
        return sum(self.durations)

    @property
    def break_frames(self) -> int:
        """Of the breaks of stated length, which no rate changes."""
        items = [self.spoken.items[owner] for owner in self.spoken.owners]
        return sum(count for item, count in zip(items, self.durations, strict=True)
                   if isinstance(item, Pause) and item.seconds is not None)  # fmt: skip


@dataclass(frozen=True)
class Piece:
    """Silence, and a sentence after it.

    Args:
        gap: samples of silence.
        spoken: the sentence; None for silence alone.
        tempo: factor of the rate of speaking, for this sentence alone.
    """

    gap: int
    spoken: Pronounced | None
    tempo: float = 1.0
