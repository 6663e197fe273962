"""``lvc phonemes``."""

import json
import sys
from pathlib import Path

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.utils.terminal import printable, table

MOST_BYTES = 8 << 20
COLUMNS = ("written", "spoken", "origin", "phonemes")


def run(argv: list[str]) -> int:
    """Print how a text is to be spoken: words, their phonemes, and where each came from."""
    parser = CommandParser("lvc phonemes", description="Print how an English text is to be spoken: the words with their"
                                     " phonemes (ARPAbet), and where these came from: markup, lexicon, dictionary,"
                                     " letter (its name), rule (another form of a word of the dictionary), or letters"
                                     " (guessed from the spelling).")  # fmt: skip
    parser.add_argument(
        "text", nargs="?", metavar="TEXT", help="what is to be said, perhaps with markup (docs/text.md)"
    )
    parser.add_argument("--text-file", metavar="FILE", help="read it from a file, UTF-8; - is standard input")
    parser.add_argument("--lexicon", metavar="FILE", help="own pronunciations, which come first: lines of a word, a tab"
                        " and its phonemes, in ARPAbet or /IPA/")  # fmt: skip
    parser.add_argument("--language", default="en-us", help="another than English is pronounced by espeak-ng, with the"
                        " nearest English phonemes: such as de (extra espeak)")  # fmt: skip
    parser.add_argument("--json", action="store_true", help="print all of it, with places and tokens, as JSON")
    options = parser.parse_args(argv)
    if (options.text is None) == (options.text_file is None):
        raise ConfigurationError("give either a text or --text-file FILE")
    from lightning_voiceclone.text.frontend import FrontEnd, describe
    from lightning_voiceclone.text.lexicon import read_lexicon

    text = options.text if options.text is not None else _read(options.text_file)
    lexicon = read_lexicon(options.lexicon) if options.lexicon else None
    spoken = FrontEnd(lexicon, language=options.language).pronounce(text)
    for one in spoken.skipped[:10]:
        print(f"lvc: warning: {printable(describe(one.character, one.start))} is not spoken", file=sys.stderr)
    if len(spoken.skipped) > 10:
        print(f"lvc: warning: {len(spoken.skipped) - 10} more characters are not spoken", file=sys.stderr)
    if options.json:
        print(json.dumps(spoken.as_dict(), ensure_ascii=False))
    else:
        heading = [column.upper() for column in COLUMNS]
        print(table([heading, *([printable(cell) for cell in row] for row in spoken.explained())]))
    return 0


def _read(path: str) -> str:
    from lightning_voiceclone.text.lexicon import decode
    from lightning_voiceclone.utils.reading import bounded_bytes

    if path == "-":
        data = sys.stdin.buffer.read(MOST_BYTES + 1)
        if len(data) > MOST_BYTES:
            raise ConfigurationError(f"standard input has more than {MOST_BYTES >> 20} MiB; split it into parts")
        return decode(data, "standard input")
    return decode(bounded_bytes(Path(path), MOST_BYTES, "split it into parts"), path)
