"""A page in one file: style and script are inside it, so that it opens from a disk without a network."""

import html
from pathlib import Path

from lightning_voiceclone.utils.terminal import printable

FOLDER = Path(__file__).parent


def escape(text: str) -> str:
    """Text of any origin as HTML, also within quotes, with control characters as visible escapes."""
    return html.escape(printable(text, lines=True))


def base_style() -> str:
    """The style that all pages share: colours for light and dark screens, cards, lists of figures."""
    return (FOLDER / "base.css").read_text("utf-8")


def document(title: str, body: str, *, style: str = "", script: str = "") -> str:
    """A whole page.

    Args:
        title: plain text, escaped here.
        body: HTML of the header, the main part and the footer.
        style: after the shared one.
        script: run after the body has been read; none where empty.
    """
    scripted = f"<script>\n{script}</script>\n" if script else ""
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{base_style()}{style}</style>
</head>
<body>
{body}
{scripted}</body>
</html>
"""
