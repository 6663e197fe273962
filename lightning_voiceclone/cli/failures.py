"""Translate exceptions of Lightning, torch and the parser into the project's errors, where a user can fix the cause."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_voiceclone.cli.parser_errors import shortened
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.training import ranks
from lightning_voiceclone.utils.files import explain_os_error
from lightning_voiceclone.utils.lightning_internals import raised_while_restoring


def as_own_error(error: Exception) -> LVCError | None:
    """The project's error for an exception whose cause a user can fix; None for a bug."""
    if isinstance(error, MisconfigurationException):
        return ConfigurationError(str(error))
    if own := _own_error(error) if isinstance(error, ValueError | TypeError) else ranks.lost_process(error):
        return own
    if "loading state_dict" in str(error):
        keys = shortened(str(error).partition("\n")[2].strip())
        return ConfigurationError(
            f"the weights of the checkpoint are not those of this configuration: {keys}; use the configuration that it"
            " was made with (config.yaml beside it), or start from its weights by --model.start"
        )
    if raised_while_restoring(error):
        return ConfigurationError(
            f"this training cannot be resumed from the checkpoint ({type(error).__name__}:"
            f" {shortened(str(error))}); use another one, or start from its weights alone by --model.start"
        )
    return None


@contextmanager
def translated() -> Iterator[None]:
    """Turn other packages' exceptions about settings into errors that a user can fix."""
    try:
        yield
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise _own_error(error) or ConfigurationError(shortened(str(error))) from error


def _own_error(error: BaseException | None) -> LVCError | None:
    """The project's own error among the causes of another, or one for a file that could not be opened."""
    while error is not None and not isinstance(error, LVCError):
        if isinstance(error, OSError) and error.filename is not None:
            return ConfigurationError(explain_os_error(error))
        error = error.__cause__ or error.__context__
    return error
