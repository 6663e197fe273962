"""What a user can mend: errors that the command prints as one line, with no traceback."""

import difflib
from collections.abc import Iterable


class LVCError(Exception):
    """Something a user can mend; its text says what is wrong, with the offending value, and how to mend it."""


class ConfigurationError(LVCError):
    """A value of the configuration that cannot work, or that would have no effect."""


class RecordingError(LVCError):
    """A recording that cannot be used, with the reason."""


class SpecMismatchError(LVCError):
    """Two parts that do not speak of the same features; names the differing field and both values."""


class PluginError(LVCError):
    """A plugin that is missing, fails to import, or shares its name with another package's."""


class UndefinedMeasureError(LVCError):
    """A measure that has no answer for a case of this kind, with the reason; nothing is wrong with the case."""


def nearest(name: str, names: Iterable[str]) -> str:
    """`` (did you mean X?)`` where one of ``names`` is close to ``name``, else nothing."""
    by_lower = {candidate.lower(): candidate for candidate in names}
    match = difflib.get_close_matches(name.lower(), list(by_lower), n=1, cutoff=0.6)
    return f" (did you mean {by_lower[match[0]]}?)" if match else ""
