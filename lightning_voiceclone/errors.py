"""What a user can mend: errors that the command prints as one line, with no traceback."""

import difflib
from collections.abc import Iterable

SIGNALLED = 128  # and the number of the signal that ended a command: its exit status, 130 for Ctrl-C
LEAST_LETTERS = 3  # of an abbreviation; fewer would be one of nearly anything


class LVCError(Exception):
    """Something a user can mend; its text says what is wrong, with the offending value, and how to mend it."""


class ConfigurationError(LVCError):
    """A value of the configuration that cannot work, or that would have no effect."""


class RecordingError(LVCError):
    """A recording that cannot be used, with the reason; ``index`` is its place among those read together, if known."""

    index: int | None = None


class AlignmentError(LVCError):
    """Attention that does not follow its text, so that what it gives would lack words or repeat them; says where."""


class SpecMismatchError(LVCError):
    """Two parts that do not speak of the same features; names the differing field and both values."""


class PluginError(LVCError):
    """A plugin that is missing, fails to import, or shares its name with another package's."""


class UndefinedMeasureError(LVCError):
    """A measure that has no answer for a case of this kind, with the reason; nothing is wrong with the case."""


class NotFiniteError(LVCError):
    """A loss, a gradient or a weight that is infinite or no number; names it."""


def check_range(name: str, value: float | None, least: float, most: float, *, unset: str = "") -> None:
    """Refuse a number outside of a range, which includes its ends; infinity and what is no number are outside of all.

    Args:
        name: of the setting.
        value: of it.
        least: that it may be.
        most: that it may be.
        unset: what null means, for the message; empty where it cannot be null.

    Raises:
        ConfigurationError: names the setting, its value and the range.
    """
    if value is None and unset:
        return
    if value is None or not least <= value <= most:
        given, lower, upper = ("null" if number is None else f"{number:,.15g}" for number in (value, least, most))
        raise ConfigurationError(
            f"{name} is {given}; it must be from {lower} to {upper}{f', or null for {unset}' if unset else ''}"
        )


def nearest(name: str, names: Iterable[str]) -> str:
    """`` (did you mean X?)`` where one of ``names`` is close to ``name``, or is abbreviated by it, else nothing."""
    by_lower = {candidate.lower(): candidate for candidate in names}
    word = name.lower()
    longer = [candidate for candidate in by_lower if _abbreviates(word, candidate)]
    match = difflib.get_close_matches(word, longer or list(by_lower), n=1, cutoff=0.0 if longer else 0.6)
    return f" (did you mean {by_lower[match[0]]}?)" if match else ""


def _abbreviates(word: str, name: str) -> bool:
    """Whether a name begins as the word does, and has all of its letters in that order."""
    letters = iter(name)
    return len(word) >= LEAST_LETTERS and word[0] == name[:1] and all(letter in letters for letter in word)
