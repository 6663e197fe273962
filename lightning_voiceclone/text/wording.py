"""Rules for words, abbreviations, acronyms, Roman numerals, names of places in the net, symbols and punctuation."""

import re
import unicodedata
from collections.abc import Sequence

from lightning_voiceclone.text import dictionary, numbers
from lightning_voiceclone.text.letter_names import LETTER_NAMES
from lightning_voiceclone.text.scanning import Item, Rule, Scanned, is_letter, plain_word, words
from lightning_voiceclone.text.tables import (
    ABBREVIATIONS,
    APOSTROPHES,
    BARE,
    BEFORE_NUMBER,
    DAY_NAMES,
    DIRECTIONS,
    MONARCHS,
    MONTH_NAMES,
    NEEDS_PERIOD,
    NUMBERED,
    OTHER,
    SHORT_WORDS,
    SPOKEN_CAPITALS,
    STREETS,
    SYMBOLS,
)

Match = re.Match[str]
ROMAN = re.compile(r"M{0,3}(?:CM|CD|D?C{0,3})(?:XC|XL|L?X{0,3})(?:IX|IV|V?I{0,3})")
BEFORE_MORE = {"min", "max", "est", "al"}  # abbreviations only where something follows
VOWELS = set("aeiouy")
NET = {"www": "w w w", "http": "h t t p", "https": "h t t p s", "js": "j s", "io": "i o", "ai": "a i", "uk": "u k",
       "eu": "e u", "us": "u s", "py": "p y", "html": "h t m l", "pdf": "p d f"}  # fmt: skip
NET_MARKS = {".": "dot", "/": "slash", "-": "dash", "_": "underscore", "@": "at", ":": "colon", "?": "question mark",
             "=": "equals", "&": "and", "%": "percent", "+": "plus", "#": "hash", "~": "tilde"}  # fmt: skip
# Marks of punctuation by the name that the inventory has for them.
PUNCTUATION = {",": ",", ";": ";", ":": ":", ".": ".", "?": "?", "!": "!", "…": "…", "—": "—", "–": "—", "―": "—"} | {
    "。": ".", "、": ",", "，": ",", "！": "!", "？": "?", "¿": "", "¡": "", "(": "(", ")": ")", "[": "(", "]": ")",
    "{": "(", "}": ")", '"': '"', "“": '"', "”": '"', "„": '"', "«": '"', "»": '"', "‟": '"',
}  # fmt: skip
# What is written between words, or around them, and has neither sound nor pause.
SILENT = set("'’‘‚`´-‐‑/\\|*_^•·\u00ad\u200b\u200c\u200d\u2060\ufeff\ufe0e\ufe0f\u200e\u200f")


def _net(match: Match, _: Scanned) -> Sequence[Item] | None:
    found: list[Item] = []
    text = match["address"]
    for piece in re.finditer(r"[^\W\d_]+|\d+|[^\w]|_", text):
        lower = plain_word(piece[0])
        if piece[0].isalpha() and not re.fullmatch("[a-z]+", lower):
            return None  # no address, as far as it can be spoken
        if lower.isalpha():
            said = NET.get(lower) or (lower if VOWELS & set(lower) and len(lower) > 1 else " ".join(lower))
        else:
            said = " ".join(numbers.plain(lower)) if lower.isdecimal() else NET_MARKS.get(lower, "")
        start = match.start("address") + piece.start()
        end = match.start("address") + piece.end()
        found += [Item(word, start, end, "letter" if is_letter(word) else "word") for word in said.split()]
    return found


def _hash(match: Match, _: Scanned) -> Sequence[Item] | None:
    if match[1].isdecimal():
        return words(["number", *numbers.cardinal(match[1])], match)
    tag = plain_word(match[1])
    return [*words("hashtag", match), *words(tag, match, 1)] if re.fullmatch("[a-z]+", tag) else None


def _other(match: Match, _: Scanned) -> Sequence[Item] | None:
    said = OTHER.get(match[0].lower())
    return words(said, match) if said else None


def _saint(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    before, after = scanned.before(match.start()), scanned.after(match.end())
    road = bool(before) and (before[0].isupper() or before[0].isdigit()) and not after[:1].isupper()
    said = {"St": ("saint", "street"), "Dr": ("doctor", "drive")}[match[1]][road]
    return words(said, match) + _stop(match, scanned, road)


def _stop(match: Match, scanned: Scanned, ends: bool) -> list[Item]:
    """A period that also ends the sentence: at the end of the text, or before a capital where ``ends``."""
    rest = scanned.text[match.end() : match.end() + 80]
    if match[0].endswith(".") and (not rest.strip() or (ends and re.match(r"\s+[A-Z]", rest))):
        return [Item(".", match.end() - 1, match.end(), "punctuation")]
    return []


def _abbreviation(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    word, period = match["word"].lower(), match["period"]
    following = scanned.text[match.end() : match.end() + 4].lstrip(" \t")
    said = _with_period(match, scanned, following) if period else ""
    if not said and word in ABBREVIATIONS and (word not in NEEDS_PERIOD if period else word in BARE - NEEDS_PERIOD):
        said = ABBREVIATIONS[word]
    ends = word in ("jr", "sr", "inc", "ltd", "co", "corp", "etc")
    return words(said, match) + _stop(match, scanned, ends) if said else None


def _with_period(match: Match, scanned: Scanned, following: str) -> str:
    """What stands for a word with a period that is an abbreviation only here; empty where it is none."""
    written, word = match["word"], match["word"].lower()
    if word in BEFORE_NUMBER and following[:1].isdecimal():
        return BEFORE_NUMBER[word]
    if written[0].isupper() and word in DAY_NAMES:
        return DAY_NAMES[word]
    if written[0].isupper() and word in MONTH_NAMES and word != "may":
        return MONTH_NAMES[word]
    if written in DIRECTIONS and re.match(rf"\s+[A-Z]\w+\s+(?:{STREETS})\b", scanned.text[match.end() :][:60]):
        return DIRECTIONS[written]
    followed = following[:1].isupper() if word in ("ft", "mt") else following[:1].isalnum() or word not in BEFORE_MORE
    return ABBREVIATIONS[word] if word in NEEDS_PERIOD & ABBREVIATIONS.keys() and followed else ""


def _initials(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    letters = [Item(match[0][at].lower(), match.start() + at, match.start() + at + 1, "letter")
               for at in range(len(match[0])) if match[0][at].isalpha()]  # fmt: skip
    if match[0].upper() in ("A.D.", "B.C.", "U.S.") or len(letters) > 1 or scanned.after(match.end())[:1].isupper():
        return letters + _stop(match, scanned, False)
    return None


def _roman(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    numeral = match[0]
    if not ROMAN.fullmatch(numeral) or scanned.shouted:
        return None
    value, before = str(numbers.roman(numeral)), scanned.before(match.start())
    after = scanned.after(match.end()).lower()
    if after in ("century", "dynasty", "olympiad"):
        return words(numbers.ordinal(value), match)
    if before.lower() in MONARCHS and before[0].isupper():
        return words(["the", *numbers.ordinal(value)], match)
    if before.lower() in NUMBERED or (len(numeral) > 1 and set(numeral) <= set("IVX")):
        return words(numbers.cardinal(value), match)
    return None


def _joined_letters(match: Match, _: Scanned) -> Sequence[Item] | None:
    """AT&T, R&B: letters and the word and."""
    return [
        Item("and" if letter == "&" else letter.lower(), match.start() + at, match.start() + at + 1,
             "word" if letter == "&" else "letter")
        for at, letter in enumerate(match[0])
    ]  # fmt: skip


def _letters_before_digits(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    if len(match[1]) > 3:
        return None
    return _spell(match, match[1], match.start(1))


def _spell(match: Match, letters: str, start: int, ending: str = "") -> list[Item]:
    """Names of letters; ``ending`` ('s) belongs to the last."""
    items = [Item(plain_word(letter), start + at, start + at + 1, "letter") for at, letter in enumerate(letters)]
    if ending:
        last = items.pop()
        items.append(Item(f"{last.text}'s", last.start, match.end(), "letter"))
    return items


def _capitals(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    letters, ending = match[1], match[2]
    lower = letters.lower()
    if scanned.shouted or (lower in SPOKEN_CAPITALS):
        return None
    if len(letters) == 1:
        if letters in "AI" or ending:
            return None
        return _spell(match, letters, match.start(1))
    if lower in SHORT_WORDS and not ending:
        return None
    said = dictionary.english().pronunciations(lower)
    if len(letters) <= 3 or (said and _sounds_spelled(lower, said)) or (not said and len(letters) <= 5):
        return _spell(match, letters, match.start(1), ending)
    return None


def _sounds_spelled(word: str, said: Sequence[Sequence[str]]) -> bool:
    names = [sound.rstrip("012") for letter in word for sound in LETTER_NAMES[letter]]
    return any([sound.rstrip("012") for sound in one] == names for one in said)


def _camel(match: Match, _: Scanned) -> Sequence[Item] | None:
    """Capitals inside of a word: iPhone, iOS, JavaScript."""
    if match[0].islower() or match[0].isupper() or match[0].istitle():
        return None
    if match[0][0].isupper() and match[0].lower() in dictionary.english():
        return None
    found: list[Item] = []
    for piece in re.finditer(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+", match[0]):
        start, end = match.start() + piece.start(), match.start() + piece.end()
        if len(piece[0]) == 1 or (piece[0].isupper() and len(piece[0]) <= 3):
            found += _spell(match, piece[0], start)
        else:
            found.append(Item(piece[0].lower(), start, end))
    return found


def _leading_apostrophe(match: Match, _: Scanned) -> Sequence[Item] | None:
    text = plain_word(match[0])
    return [Item(text, *match.span())] if text in APOSTROPHES else None


def _word(match: Match, _: Scanned) -> Sequence[Item] | None:
    text = plain_word(match[0])
    if not re.fullmatch(r"[a-z]+(?:'[a-z]+)*", text):
        return [Item(c, match.start() + at, match.start() + at + 1, "unknown")
                for at, c in enumerate(match[0]) if not re.fullmatch("[a-z']*", plain_word(c))]  # fmt: skip
    return [Item(text, *match.span())]


def _dash(match: Match, _: Scanned) -> Sequence[Item] | None:
    return [Item("—", *match.span(), "punctuation")]


def _minus(match: Match, _: Scanned) -> Sequence[Item] | None:
    return words("minus", match)


def _mark(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    character = match[0][0]
    if character in PUNCTUATION:
        name = PUNCTUATION[character] if character != "." or len(match[0]) < 3 else "…"
        return [Item(name, *match.span(), "punctuation")] if name else []
    if character in SYMBOLS:
        return words(SYMBOLS[character], match)
    if character in SILENT or unicodedata.combining(character):
        return []
    return [Item(each, match.start() + at, match.start() + at + 1, "unknown") for at, each in enumerate(match[0])]


RULES: list[Rule] = [
    (re.compile(pattern), function)
    for pattern, function in (
        (r"(?:https?://)?(?P<address>(?:(?<=//)|www\.)[\w.-]{1,250}(?:/[\w./?=&%+#~-]{0,1000})?(?<![.?]))", _net),
        (r"(?P<address>[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5})", _net),
        (r"(?P<address>[A-Za-z][\w-]{0,62}(?:\.[A-Za-z][\w-]{0,62}){0,3}"
         r"\.(?:com|org|net|edu|gov|io|js|py|html|pdf|txt|exe|jpg|png))(?![\w])", _net),
        (r"([CF])#(?!\w)", lambda m, _: words(f"{m[1].lower()} sharp", m)),
        (r"#(\w{1,100})", _hash),
        (r"w/o?(?!\w)|(?:a\.k\.a\.|[Pp]h\.?[Dd]\.?|[PpEeIi]\.[Oo]\.|[Ee]\.g\.|[Ii]\.e\.)(?![\w])", _other),
        (r"\b(St|Dr)\b\.?", _saint),
        (r"(?P<word>[A-Za-z]{1,6})(?P<period>\.)?(?![\w'’])", _abbreviation),
        (r"(?:[A-Za-z]\.){2,10}(?!\w)|[A-Z]\.(?=\s)", _initials),
        (r"(?<![\w'’])[IVXLCDM]{1,12}(?![\w'’])", _roman),
        (r"[A-Z](?:&[A-Z])+(?!\w)|[A-Z]{2}&[A-Z](?!\w)", _joined_letters),
        (r"([A-Z]{1,4})(?=-?\d)", _letters_before_digits),
        (r"([A-Z]{1,20})(['’]?s)?(?!['’]?\w)", _capitals),
        (r"[A-Za-z]{2,40}(?![\w'’])", _camel),
        (r"['’‘][a-z]{1,6}(?:['’])?(?!\w)", _leading_apostrophe),
        (r"[^\W\d_][^\W\d_\u0300-\u036f]*(?:[\u0300-\u036f]+[^\W\d_]*)*(?:['’][^\W\d_]+)*", _word),
        (r"(?<=\d\s)[-–—](?=\s\d)", _minus),
        (r"-{2,}|[—–―]|(?<=\s)-(?=\s)", _dash),
        (r"\.{2,}|.", _mark),
    )
]  # fmt: skip
