"""Text of files as a terminal, a table or a page may show it."""

import os
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

UNBROKEN = 1000  # columns of an output that is no terminal

# What moves a cursor, renames a window, ends a line or turns the direction of reading: C0 and C1 but the tab, marks of
# direction, separators of lines and paragraphs, invisible tags, and halves of characters (bytes that are no UTF-8).
_HIDDEN = (
    r"\x00-\x08\x0a-\x1f\x7f-\x9f\u00ad\u061c\u180e\u200b\u200e\u200f\u2028-\u202e\u2060-\u2069\ufeff\ufff9-\ufffb"
    r"\ud800-\udfff\U000e0000-\U000e0fff"
)
_ONE_LINE = re.compile(f"[{_HIDDEN}]")
_LINES = re.compile(f"[{_HIDDEN.replace('x0a', 'x0b')}]")


def printable(text: object, *, lines: bool = False) -> str:
    r"""Text with control characters as visible escapes: \x1b, \u202e, \n.

    Args:
        text: of any origin; what is no string is written as one.
        lines: whether line breaks stay.
    """
    return (_LINES if lines else _ONE_LINE).sub(_escape, str(text))


def table(rows: Sequence[Sequence[str]]) -> str:
    """Rows of cells as lines, in columns."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join("  ".join(text.ljust(width) for text, width in zip(row, widths, strict=True)).rstrip()
                     for row in rows)  # fmt: skip


def console() -> "Console":
    """A console on the standard output; where that is a file or a pipe, long lines are neither cut nor broken."""
    from rich.console import Console

    made = Console()
    return made if made.is_terminal or "COLUMNS" in os.environ else Console(width=UNBROKEN)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in "\n\r":
        return {"\n": r"\n", "\r": r"\r"}[match[0]]
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
