"""Command-line parser of the commands that do not train."""

import argparse
import re
import sys
from typing import NoReturn

from lightning_voiceclone.errors import ConfigurationError, nearest


class CommandParser(argparse.ArgumentParser):
    """Reports errors in one line, with the nearest option for a misspelt one."""

    def parse_known_args(self, args=None, namespace=None):  # type: ignore[no-untyped-def, override]
        """As argparse's, but a misspelt option is reported before the required one that is missing because of it.

        Raises:
            ConfigurationError: names the nearest option.
        """
        words = list(sys.argv[1:] if args is None else args)
        known = self._options()
        for word in words[: words.index("--")] if "--" in words else words:
            name = word.partition("=")[0]
            if name.startswith("--") and " " not in word and not any(option.startswith(name) for option in known):
                self.error(f"unrecognized arguments: {name}")
        return super().parse_known_args(words, namespace)

    def error(self, message: str) -> NoReturn:
        """End with the message.

        Raises:
            ConfigurationError: always.
        """
        if found := re.match(r"unrecognized arguments: (-\S*)", message):
            word = found[1].partition("=")[0]
            message = f"there is no option {word}{nearest(word, self._options())}"
        raise ConfigurationError(f"{message}; {self.prog} --help lists what there is")

    def _options(self) -> list[str]:
        """All option strings, such as --help and -h."""
        return [option for action in self._actions for option in action.option_strings]
