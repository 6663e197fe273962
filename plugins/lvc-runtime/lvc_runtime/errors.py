"""The error that a user can fix."""


class RuntimeFailure(Exception):  # noqa: N818 (a failure that is explained, not a bug)
    """What is wrong, with the value, what was expected, and the remedy, in one line."""
