"""Options of rendering a script, and their ranges."""

from dataclasses import dataclass

from lightning_voiceclone.core.validation import check_seed
from lightning_voiceclone.errors import ConfigurationError

SPEEDS = (0.25, 4.0)
SHIFTS = (-24.0, 24.0)
GREATEST_GUIDANCE = 2.0  # above it no output sounds like speech


@dataclass(frozen=True)
class RenderOptions:
    """Options of :meth:`~lightning_voiceclone.voice.model.VoiceModel.render`.

    Args:
        seed: of the noise; the same seed gives the same samples.
        pitch_shift: semitones above the register of the prompt, or of the script where the prompt has none; -24 to 24.
        speed: times as fast as the script; 0.25 to 4.
        guidance: how far the output is extrapolated away from the script's own speaker, 0 to 2. None for the model's
            own setting, which is ignored where the script has no speaker.

    Raises:
        ConfigurationError: if one is out of range; names it and the range.
    """

    seed: int = 0
    pitch_shift: float = 0.0
    speed: float = 1.0
    guidance: float | None = None

    def __post_init__(self) -> None:
        check_seed(self.seed)
        if not SPEEDS[0] <= self.speed <= SPEEDS[1]:
            raise ConfigurationError(
                f"speed is {self.speed:g}; it must be from {SPEEDS[0]:g} to {SPEEDS[1]:g}, 1 keeps the tempo"
            )
        if not SHIFTS[0] <= self.pitch_shift <= SHIFTS[1]:
            raise ConfigurationError(
                f"pitch_shift is {self.pitch_shift:g} semitones; it must be from {SHIFTS[0]:g} to {SHIFTS[1]:g},"
                " 0 keeps the pitch"
            )
        if self.guidance is not None:
            check_guidance_range(self.guidance)


def check_guidance_range(guidance: float) -> None:
    """Reject guidance that is out of range.

    Raises:
        ConfigurationError: names the range.
    """
    if not 0 <= guidance <= GREATEST_GUIDANCE:
        raise ConfigurationError(f"guidance is {guidance:g}; it must be from 0, for none, to {GREATEST_GUIDANCE:g}")
