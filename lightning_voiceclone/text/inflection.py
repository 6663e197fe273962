"""Sounds of a word that the dictionary has in another form: plurals, possessives, -ed, -ing, compounds."""

from collections.abc import Callable, Iterator, Sequence

Known = Callable[[str], tuple[str, ...] | None]
HISSING = {"S", "Z", "SH", "ZH", "CH", "JH"}
VOICELESS = {"P", "T", "K", "F", "TH"}
SUFFIXES = {"ing": ("IH0", "NG"), "ly": ("L", "IY0"), "ness": ("N", "AH0", "S"), "less": ("L", "AH0", "S"),
            "er": ("ER0",), "ers": ("ER0", "Z"), "able": ("AH0", "B", "AH0", "L"), "ment": ("M", "AH0", "N", "T"),
            "ful": ("F", "AH0", "L")}  # fmt: skip
PREFIXES = {"un": ("AH0", "N"), "re": ("R", "IY0"), "non": ("N", "AA0", "N"), "pre": ("P", "R", "IY0"),
            "over": ("OW2", "V", "ER0"), "under": ("AH2", "N", "D", "ER0"), "anti": ("AE2", "N", "T", "IY0"),
            "mis": ("M", "IH0", "S"), "dis": ("D", "IH0", "S")}  # fmt: skip
LEAST_STEM = 3
LEAST_PART = 4  # letters of each part of a compound


def inflected(word: str, known: Known) -> tuple[str, ...] | None:
    """Phonemes of a form of a known word; None where it is none."""
    word = word.removesuffix("'")
    if word.endswith("'s"):
        stem = known(word[:-2]) or inflected(word[:-2], known)
        return (*stem, *plural_sound(stem)) if stem else None
    return known(word) or next(_forms(word, known), None) or _compound(word, known)


def _forms(word: str, known: Known) -> Iterator[tuple[str, ...]]:
    """Phonemes of a word as each known word with an ending or a beginning."""
    for endings, changed, sound in ((("es", "s"), "ies", plural_sound), (("ed",), "ied", past_sound)):
        for stem in filter(None, map(known, _stems(word, endings, changed))):
            yield (*stem, *sound(stem))
    for suffix, sounds in SUFFIXES.items():
        for stem in filter(None, map(known, _stems(word, (suffix,), ""))):
            yield (*stem, *sounds)
    for prefix, sounds in PREFIXES.items():
        rest = known(word[len(prefix) :]) if word.startswith(prefix) and len(word) - len(prefix) >= LEAST_PART else None
        if rest:
            yield (*sounds, *rest)


def plural_sound(phonemes: Sequence[str]) -> tuple[str, ...]:
    """Sound of the ending -s after phonemes."""
    if phonemes[-1] in HISSING:
        return ("IH0", "Z")
    return ("S",) if phonemes[-1] in VOICELESS else ("Z",)


def past_sound(phonemes: Sequence[str]) -> tuple[str, ...]:
    """Sound of the ending -ed after phonemes."""
    if phonemes[-1] in ("T", "D"):
        return ("IH0", "D")
    return ("T",) if phonemes[-1] in VOICELESS | {"S", "SH", "CH"} else ("D",)


def _stems(word: str, endings: Sequence[str], changed: str) -> list[str]:
    """What a word may be a form of: without the ending, with y or a silent e again, without a doubled letter."""
    found = [word[:-3] + "y"] if changed and word.endswith(changed) and len(word) > 5 else []
    for ending in endings:
        stem = word[: -len(ending)] if word.endswith(ending) else ""
        if len(stem) < LEAST_STEM or (ending == "es" and not stem.endswith(("s", "x", "z", "ch", "sh"))):
            continue
        found.append(stem)
        if ending[0] in "eia" and ending != "es":
            found += [stem + "e", *([stem[:-1]] if stem[-1] == stem[-2] else [])]
    return found


def _compound(word: str, known: Known) -> tuple[str, ...] | None:
    """Two known words in one; the stress of the second becomes secondary."""
    for at in range(len(word) - LEAST_PART, LEAST_PART - 1, -1):
        first, second = known(word[:at]), known(word[at:])
        if first and second:
            return (*first, *(phoneme.replace("1", "2") for phoneme in second))
    return None
