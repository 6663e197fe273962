"""A user's own pronunciations: a file of lines ``word<TAB>phonemes``, which come before those of the dictionary."""

import os
import re

from lightning_voiceclone.text.inventory import parse_arpabet, parse_ipa
from lightning_voiceclone.text.normalization import TextError
from lightning_voiceclone.text.scanning import plain_word
from lightning_voiceclone.utils.reading import bounded_bytes, excerpt

MOST_BYTES = 64 << 20
Pronunciation = tuple[str, ...]


def read_lexicon(path: str | os.PathLike[str]) -> dict[str, Pronunciation]:
    """Pronunciations by word in small letters: of several lines for one word the last.

    Each line is a word, a tab, and its phonemes in ARPAbet (``V OY1 S``) or, between slashes, in IPA (``/vɔɪs/``). A
    line that begins with # is a comment.

    Raises:
        TextError: for a line that is no such line, or if there is none; names the file and the line.
        OSError: if the file cannot be read.
    """
    return {word: said[-1] for word, said in read_variants(path).items()}


def read_variants(path: str | os.PathLike[str]) -> dict[str, list[Pronunciation]]:
    """All pronunciations of each word of a lexicon, in the order of its lines.

    Raises:
        TextError: as :func:`read_lexicon`.
        OSError: as :func:`read_lexicon`.
    """
    name = os.fspath(path)
    text = decode(bounded_bytes(path, MOST_BYTES, "split the lexicon"), name)
    found: dict[str, list[Pronunciation]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.startswith("#"):
            continue
        written, tab, said = line.partition("\t")
        word = plain_word(written.strip())
        if not tab or not re.fullmatch(r"[a-z]+(?:'[a-z]+)*'?", word):
            raise TextError(
                f"{name}, line {number}: {excerpt(line, 60)!r} is no word, a tab and its phonemes, such as"
                " 'voice<TAB>V OY1 S'; a word has letters and apostrophes alone"
            )
        said = said.strip()
        try:
            phonemes = parse_ipa(said[1:-1]) if said[:1] == said[-1:] == "/" else parse_arpabet(said)
        except ValueError as error:
            raise TextError(f"{name}, line {number}: {excerpt(said, 60)!r}: {error}") from None
        found.setdefault(word, []).append(phonemes)
    if not found:
        raise TextError(f"{name} has no line of a word, a tab and its phonemes; leave it out, or write one")
    return found


def decode(data: bytes, name: str) -> str:
    """Text of UTF-8, or of UTF-16 with its mark.

    Raises:
        TextError: for another encoding; names the first byte that is none.
    """
    encoding = "utf-16" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise TextError(
            f"{name} is not {encoding.removesuffix('-sig').upper()}: byte {error.start} is 0x{data[error.start]:02x};"
            " save it as UTF-8"
        ) from None
