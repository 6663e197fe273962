"""The one inventory of tokens that text encoders take: padding, pauses, and the phonemes of ARPAbet with stress.

The numbers are fixed: a trained text encoder depends on them. New tokens may only be added at the end.
"""

import unicodedata
from collections.abc import Iterable

PAD, WORD, BREAK = "<pad>", " ", "<break>"  # nothing; between two words; a pause of stated length
MARKS = (",", ";", ":", ".", "?", "!", "…", "—", "(", ")", '"')
VOWELS = ("AA", "AE", "AH", "AO", "AW", "AY", "EH", "ER", "EY", "IH", "IY", "OW", "OY", "UH", "UW")
CONSONANTS = ("B", "CH", "D", "DH", "F", "G", "HH", "JH", "K", "L", "M", "N", "NG", "P", "R", "S", "SH", "T", "TH",
              "V", "W", "Y", "Z", "ZH")  # fmt: skip
PHONEMES = (*CONSONANTS, *(f"{vowel}{stress}" for vowel in VOWELS for stress in "012"))
TOKENS = (PAD, WORD, *MARKS, BREAK, *PHONEMES)
NUMBER = {token: number for number, token in enumerate(TOKENS)}

# IPA, longest first when it is read; vowels without stress. What English lacks has the nearest of its phonemes.
IPA = {
    "b": "B", "tʃ": "CH", "t͡ʃ": "CH", "ʧ": "CH", "d": "D", "ð": "DH", "f": "F", "ɡ": "G", "g": "G", "h": "HH",
    "dʒ": "JH", "d͡ʒ": "JH", "ʤ": "JH", "k": "K", "l": "L", "ɫ": "L", "m": "M", "n": "N", "ŋ": "NG", "p": "P",
    "ɹ": "R", "r": "R", "s": "S", "ʃ": "SH", "t": "T", "ɾ": "T", "θ": "TH", "v": "V", "w": "W", "j": "Y", "z": "Z",
    "ʒ": "ZH", "ʔ": "T", "x": "K", "ç": "HH", "ʁ": "R", "β": "V", "ɣ": "G", "ɲ": "N Y", "ʎ": "L Y", "ɥ": "W", "c": "K",
    "ʀ": "R", "ɟ": "G", "ɻ": "R", "ɭ": "L", "ʂ": "SH", "ʐ": "ZH", "ɕ": "SH", "ʑ": "ZH", "ts": "T S", "pf": "P F",
    "ɱ": "M", "ʍ": "W", "ɬ": "L", "χ": "K",
    "ɑ": "AA", "ɑː": "AA", "a": "AA", "aː": "AA", "æ": "AE", "ʌ": "AH", "ə": "AH", "ɐ": "AH", "ᵊ": "AH", "ɔ": "AO",
    "ɔː": "AO", "ɒ": "AA", "aʊ": "AW", "aɪ": "AY", "ɛ": "EH", "ɛː": "EH", "ɝ": "ER", "ɚ": "ER", "ɜː": "ER", "ɜ": "ER",
    "ɜːɹ": "ER", "ɜɹ": "ER", "əɹ": "ER", "eɪ": "EY", "e": "EY", "eː": "EY", "ɪ": "IH", "ᵻ": "IH", "ɨ": "IH", "i": "IY",
    "iː": "IY", "oʊ": "OW", "əʊ": "OW", "o": "OW", "oː": "OW", "ɔɪ": "OY", "ɔø": "OY", "ɔʏ": "OY",
    "ʊ": "UH", "u": "UW", "uː": "UW", "y": "UW",
    "yː": "UW", "ø": "ER", "øː": "ER", "œ": "ER", "ɯ": "UW", "ɤ": "UH", "ɑ̃": "AA N", "ɔ̃": "AO N", "ɛ̃": "AE N",
    "œ̃": "AH N", "ʏ": "UH", "ɘ": "AH", "ɵ": "UH", "ɶ": "AA", "ä": "AA", "ɪː": "IY", "æː": "AE", "ʊː": "UW",
}  # fmt: skip
LONGEST = max(map(len, IPA))
IGNORED = set(" .ːʰʲʷˠˑ|‿-ʼ")  # length, syllables, links: nothing that English distinguishes; combining marks likewise
NAMES_OF_ALPHABETS = ("ipa", "x-arpabet")


def parse_arpabet(text: str) -> tuple[str, ...]:
    """Phonemes of ARPAbet, separated by blanks; a vowel without a number has the primary stress if it is the first.

    Raises:
        ValueError: names what is no phoneme.
    """
    found: list[str] = []
    for word in text.upper().split():
        if word in VOWELS:
            word += "1" if not any(one[-1] == "1" for one in found) else "0"
        if word not in NUMBER or word in MARKS:
            raise ValueError(f"{word!r} is no phoneme of ARPAbet; there are {' '.join((*CONSONANTS, *VOWELS))}, and a"
                             " vowel is followed by its stress: 1, 2 or 0")  # fmt: skip
        found.append(word)
    if not found:
        raise ValueError("there is no phoneme")
    return tuple(found)


def parse_ipa(text: str) -> tuple[str, ...]:
    """Phonemes of IPA, with ˈ and ˌ before a stressed syllable; the nearest English ones of other languages'.

    Raises:
        ValueError: names the first symbol that is not known.
    """
    found: list[str] = []
    stress, place = "0", 0
    while place < len(text):
        if text[place] in "ˈˌ'":
            stress = "2" if text[place] == "ˌ" else "1"
            place += 1
            continue
        size = next((size for size in range(LONGEST, 0, -1) if text[place : place + size] in IPA), 0)
        if not size and text[place] not in IGNORED and not unicodedata.combining(text[place]):
            raise ValueError(f"{text[place]!r} (U+{ord(text[place]):04X}) is no symbol of IPA that is known")
        for phoneme in IPA[text[place : place + size]].split() if size else ():
            if phoneme in VOWELS:
                phoneme, stress = phoneme + stress, "0"
            found.append(phoneme)
        place += size or 1
    if not found:
        raise ValueError("there is no phoneme")
    return tuple(found)


def numbers(tokens: Iterable[str]) -> list[int]:
    """Numbers of tokens."""
    return [NUMBER[token] for token in tokens]
