"""Pronunciations of a word that are accepted, besides the one that is spoken."""

from collections.abc import Mapping, Sequence

from lightning_voiceclone.text import dictionary, homographs
from lightning_voiceclone.text.pronounced import Word

Pronunciation = tuple[str, ...]


def accepted(word: Word, own: Mapping[str, Sequence[Pronunciation]] | None = None) -> list[Pronunciation]:
    """A word's own pronunciation, and those as good: all lines of a lexicon, or of the dictionary.

    Of a word whose pronunciations mean different things (read, live), only the one that is meant is accepted; likewise
    for <phoneme>. Those that differ by stress alone count once.

    Args:
        word: as the front end gives it.
        own: all pronunciations of the lexicon, by word (``lexicon.read_variants``).
    """
    found: list[Pronunciation] = [word.phonemes]
    if word.origin == "lexicon":
        found += (own or {}).get(word.spoken, [])
    elif word.origin == "dictionary" and not homographs.has_senses(word.spoken):
        found += dictionary.english().pronunciations(word.spoken)
    first: dict[Pronunciation, Pronunciation] = {}
    for one in found:
        first.setdefault(tuple(phoneme.rstrip("012") for phoneme in one), one)
    return list(first.values())
