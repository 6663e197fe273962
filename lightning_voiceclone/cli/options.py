"""Command-line parser of the commands that do not train."""

import argparse
import math
import re
import sys
from typing import NoReturn

from lightning_voiceclone.errors import ConfigurationError, nearest

NUMBERS = {"int": "a whole number", "float": "a number"}  # what argparse calls the types
DEVICES = re.compile(r"cpu|mps|(cuda|xpu)(:\d+)?")


def device(name: str) -> str:
    """The type of an option ``--device``; whether this computer has the device is seen when it is used.

    Raises:
        argparse.ArgumentTypeError: if it is no device's name.
    """
    if not DEVICES.fullmatch(name):
        known = ("cpu", "cuda", "cuda:1", "mps", "xpu")
        meant = " (did you mean cuda?)" if name.lower().startswith(("gpu", "nvidia")) else nearest(name, known)
        raise argparse.ArgumentTypeError(f"is {name!r}{meant}, but must be one of {', '.join(known)}")
    return name


def add_speaker_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command that converts takes: ``--reference``, ``--seed`` and ``--device``."""
    parser.add_argument("--reference", nargs="+", default=[], metavar="FILE",
                        help="target speaker: recordings of one speaker, at least 0.5 s each; several or longer ones"
                        " sound closer. Or one .voice file. Models of lvc adapt need none")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="random seed, for models that use noise (default: 0)")
    parser.add_argument("--device", type=device, default="cpu",
                        help="device to compute on: cpu, cuda, cuda:1, mps (default: cpu)")  # fmt: skip


def check_for_onnx(options: argparse.Namespace, **most: int) -> None:
    """Refuse options that ``--engine onnx`` cannot apply; ``most`` are the greatest numbers of values of lists.

    Raises:
        ConfigurationError: names the option and its value.
    """
    for name, usual in {"jobs": 1, "vocoder": None, "device": "cpu", "seed": 0}.items():
        if (given := getattr(options, name, usual)) != usual:
            raise ConfigurationError(f"--{name} is {given}, which --engine onnx cannot apply; leave it out")
    for name, number in most.items():
        if (count := len(getattr(options, name))) > number:
            raise ConfigurationError(f"--{name} has {count} values, but --engine onnx takes {number}; leave the others"
                                     " out")  # fmt: skip


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
        options, left = super().parse_known_args(words, namespace)
        for action in self._actions:
            value = getattr(options, action.dest, None)
            if isinstance(value, float) and not math.isfinite(value):
                self.error(f"argument {action.option_strings[0]}: invalid float value: '{value}'")
        return options, left

    def error(self, message: str) -> NoReturn:
        """End with the message.

        Raises:
            ConfigurationError: always.
        """
        raise ConfigurationError(f"{self._explained(message)}; {self.prog} --help lists what there is")

    def _explained(self, message: str) -> str:
        """A message of argparse with the value, what is expected and the nearest name."""
        if found := re.match(r"unrecognized arguments: (-\S*)", message):
            word = found[1].partition("=")[0]
            return f"there is no option {word}{nearest(word, self._options())}"
        if found := re.match(r"argument (\S+): invalid (\w+) value: '(.*)'", message):
            return f"{found[1]} is {found[3]!r}, but must be {NUMBERS.get(found[2], found[2])}"
        if found := re.match(r"argument (\S+): invalid choice: '?(.*?)'? \(", message):
            names = [str(choice) for action in self._actions if found[1] in action.option_strings
                     for choice in action.choices or ()]  # fmt: skip
            return f"{found[1]} is {found[2]!r}{nearest(found[2], names)}, but must be one of {', '.join(names)}"
        if found := re.match(r"argument (\S+): (.+)", message):
            return f"{found[1]} {found[2]}"
        return message

    def _options(self) -> list[str]:
        """All option strings, such as --help and -h."""
        return [option for action in self._actions for option in action.option_strings]
