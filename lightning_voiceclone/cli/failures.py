"""What Lightning, torch and the parser raise, in the project's words where a user can mend it."""

from collections.abc import Iterator
from contextlib import contextmanager

from lightning.pytorch.utilities.exceptions import MisconfigurationException

from lightning_voiceclone.cli.parser_errors import shortened
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.training import ranks
from lightning_voiceclone.utils.lightning_internals import raised_while_restoring


def in_our_words(error: Exception) -> LVCError | None:
    """What a user can mend of an exception; None if it is nobody's but ours to mend."""
    if isinstance(error, MisconfigurationException):
        return ConfigurationError(str(error))
    if own := _own_error(error) if isinstance(error, ValueError | TypeError) else ranks.lost_process(error):
        return own
    if "loading state_dict" in str(error):
        told = shortened(str(error).partition("\n")[2].strip())
        return ConfigurationError(
            f"the weights of the checkpoint are not those of this configuration: {told}; use the configuration that it"
            " was made with (config.yaml beside it), or begin with its voice by --model.start"
        )
    if raised_while_restoring(error):
        return ConfigurationError(
            f"the checkpoint is not one that this training can go on from ({type(error).__name__}:"
            f" {shortened(str(error))}); use another one, or begin with its weights alone by --model.start"
        )
    return None


@contextmanager
def told() -> Iterator[None]:
    """What other packages say of the settings they are given, as errors that a user can mend."""
    try:
        yield
    except (MisconfigurationException, ValueError, TypeError) as error:
        raise _own_error(error) or ConfigurationError(shortened(str(error))) from error


def _own_error(error: BaseException | None) -> LVCError | None:
    """The project's own error among the causes of another."""
    while error is not None and not isinstance(error, LVCError):
        error = error.__cause__ or error.__context__
    return error
