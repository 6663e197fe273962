"""The options of a command that does not train."""

import argparse
import re
from typing import NoReturn

from lightning_voiceclone.errors import ConfigurationError, nearest


class CommandParser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the nearest option where one is misspelt."""

    def error(self, message: str) -> NoReturn:
        """End with the message.

        Raises:
            ConfigurationError: always.
        """
        options = [option for action in self._actions for option in action.option_strings]
        if found := re.match(r"unrecognized arguments: (-\S*)", message):
            word = found[1].partition("=")[0]
            message = f"there is no option {word}{nearest(word, options)}"
        raise ConfigurationError(f"{message}; {self.prog} --help lists what there is")
