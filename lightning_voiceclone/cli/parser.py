"""The parser of ``lvc fit`` and its like: recipes and options of parts, with errors in one line."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NoReturn

from lightning.pytorch.cli import LightningArgumentParser

from lightning_voiceclone.cli.class_paths import refusals
from lightning_voiceclone.cli.parser_errors import ParsingError, explain
from lightning_voiceclone.core.deprecation import current_argument, current_arguments
from lightning_voiceclone.errors import ConfigurationError


@contextmanager
def _refusals_are_errors_of_parsing() -> Iterator[None]:
    try:
        yield
    except ConfigurationError as error:  # which jsonargparse would take for a value of a wrong type
        raise ParsingError("", str(error)) from error


class PluginParser(LightningArgumentParser):
    """Reports errors in one line; for an unknown name, with the nearest match and all that exist."""

    made: type | None = None  # the class whose arguments this parser reads

    def add_class_arguments(self, class_type: type, nested_key: str | None = None, *more: Any, **named: Any) -> Any:
        """As the parser does; the arguments of a named class have a parser of their own, without a nested key."""
        if nested_key is None:
            self.made = class_type
        return super().add_class_arguments(class_type, nested_key, *more, **named)

    def parse_args(self, args: Any = None, *more: Any, **named: Any) -> Any:
        """As the parser does, with the names that arguments have now; null comes from outer parsers as None."""
        if args is not None:
            with _refusals_are_errors_of_parsing():
                words = [self._renamed(str(word)) for word in args]
            args = [re.sub(r"^(--[\w.]+=)None$", r"\1null", word) for word in words]
        return super().parse_args(args, *more, **named)

    def parse_object(self, obj: Any, *more: Any, **named: Any) -> Any:
        """As the parser does, with the names that arguments have now."""
        if self.made is not None and hasattr(self.made.__init__, "deprecations"):  # type: ignore[misc]
            given = obj if isinstance(obj, dict) else dict(obj.items(branches=True, nested=False))
            with _refusals_are_errors_of_parsing():
                obj = type(obj)(**current_arguments(self.made, given))
        return super().parse_object(obj, *more, **named)

    def _renamed(self, word: str) -> str:
        """An option of the class by the name that it has now."""
        found = re.match(r"--(\w+)", word)
        if self.made is None or found is None:
            return word
        return f"--{current_argument(self.made, found[1])}{word[found.end() :]}"

    def validate(self, namespace: Any, *more: Any, **named: Any) -> None:
        """As the parser does, and check that every named class is of the kind that its option expects.

        The arguments of a class have a parser of this class too, so that nested names are checked likewise.

        Raises:
            ParsingError: for the first class of another kind.
        """
        super().validate(namespace, *more, **named)
        for option, text in refusals(self, namespace):
            raise ParsingError(option, text)

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """End with the message.

        Raises:
            ParsingError: always.
        """
        raise explain(self, str(ex or message), ex) from ex
