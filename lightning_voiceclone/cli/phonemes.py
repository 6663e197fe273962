"""``lvc phonemes``."""

import json
import sys

from lightning_voiceclone.cli.options import CommandParser
from lightning_voiceclone.cli.texts import add_text_options, front_end_of, text_of
from lightning_voiceclone.utils.terminal import printable, table

COLUMNS = ("written", "spoken", "origin", "phonemes")


def run(argv: list[str]) -> int:
    """Print how a text is to be spoken: words, their phonemes, and where each came from."""
    parser = CommandParser("lvc phonemes", description="Print how an English text is to be spoken: the words with their"
                                     " phonemes (ARPAbet), and where these came from: markup, lexicon, dictionary,"
                                     " letter (its name), rule (another form of a word of the dictionary), or letters"
                                     " (guessed from the spelling).")  # fmt: skip
    add_text_options(parser)
    parser.add_argument("--json", action="store_true", help="print all of it, with places and tokens, as JSON")
    options = parser.parse_args(argv)
    text = text_of(options)
    from lightning_voiceclone.text.frontend import describe

    spoken = front_end_of(options).pronounce(text)
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
