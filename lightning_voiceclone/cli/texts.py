"""What the commands that take a text share: its options, and the front end that they ask for."""

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from lightning_voiceclone.errors import ConfigurationError

if TYPE_CHECKING:
    from lightning_voiceclone.text.frontend import FrontEnd

MOST_BYTES = 8 << 20
STANDARD_INPUT = "-"


def add_text_options(parser: argparse.ArgumentParser, name: str = "text") -> None:
    """Add the text, as an argument or as the option of that name, and what its pronunciation depends on."""
    parser.add_argument(name, nargs=None if name.startswith("-") else "?", metavar="TEXT",
                        help="what is to be said, perhaps with markup (docs/text.md); - is standard input")  # fmt: skip
    parser.add_argument("--text-file", metavar="FILE", help="read it from a file, UTF-8; - is standard input")
    parser.add_argument("--lexicon", metavar="FILE", help="own pronunciations, which come first: lines of a word, a tab"
                        " and its phonemes, in ARPAbet or /IPA/")  # fmt: skip
    parser.add_argument("--language", default="en-us", help="another than English is pronounced by espeak-ng, with the"
                        " nearest English phonemes: such as de (extra espeak)")  # fmt: skip


def front_end_of(options: argparse.Namespace) -> "FrontEnd":
    """The front end of the options.

    Raises:
        LVCError: if the lexicon cannot be read, or espeak-ng is not installed.
    """
    from lightning_voiceclone.text.frontend import FrontEnd
    from lightning_voiceclone.text.lexicon import read_lexicon

    lexicon = read_lexicon(options.lexicon) if options.lexicon else None
    return FrontEnd(lexicon, language=options.language)


def text_of(options: argparse.Namespace) -> str:
    """The text: given, of a file, or of standard input.

    Raises:
        ConfigurationError: if there is none or two, or it is too long.
        TextError: for another encoding than UTF-8 and UTF-16.
    """
    if (options.text is None) == (options.text_file is None):
        raise ConfigurationError("give either a text or --text-file FILE")
    path = STANDARD_INPUT if options.text == STANDARD_INPUT else options.text_file
    return options.text if path is None else _read(path)


def _read(path: str) -> str:
    from lightning_voiceclone.text.lexicon import decode
    from lightning_voiceclone.utils.reading import bounded_bytes

    if path == STANDARD_INPUT:
        data = sys.stdin.buffer.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ConfigurationError(f"standard input has more than {MOST_BYTES >> 20} MiB; split it into parts")
        return decode(data, "standard input")
    return decode(bounded_bytes(Path(path), MOST_BYTES, "split it into parts"), path)
