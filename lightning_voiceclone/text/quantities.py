"""Rules for money, units, phone numbers and all that is written in digits."""

import re
from collections.abc import Sequence

from lightning_voiceclone.text import numbers
from lightning_voiceclone.text.scanning import Item, Rule, Scanned, words
from lightning_voiceclone.text.tables import (
    CODES,
    CURRENCIES,
    DIRECTIONS,
    FRACTIONS,
    SCALES,
    STATES,
    STREETS,
    UNITS,
)

Match = re.Match[str]
NAMED_BY_NUMBER = set("Boeing Flight flight Route Highway Airbus Interstate".split())  # 747: seven forty seven
NUMBER = r"(?:\d{1,3}(?:,\d{3})+|\d+)(?:\.\d+)?|\.\d+"
END = r"(?![\w])"
BIG = r"thousand|million|billion|trillion"
UNIT = "|".join(re.escape(unit) for unit in sorted(UNITS, key=len, reverse=True))
SIGN = "|".join(re.escape(sign) for sign in sorted(CURRENCIES, key=len, reverse=True))


def _phone(match: Match, _: Scanned) -> Sequence[Item] | None:
    found: list[Item] = []
    for piece in re.finditer(r"\+|\d+", match[0]):
        if piece[0] in ("800", "888", "877"):
            said = [numbers.ONES[int(piece[0][0])], "hundred"] if piece[0] == "800" else numbers.spelled(piece[0])
        else:
            said = ["plus"] if piece[0] == "+" else numbers.spelled(piece[0])
        start = match.start() + piece.start()
        found += [Item(word, start, match.start() + piece.end()) for word in said]
        found += [Item(",", match.start() + piece.end(), match.start() + piece.end(), "punctuation")]
    found.pop()
    return [item for at, item in enumerate(found) if item.text != "," or found[at - 1].text != "plus"]


def _amount(number: str, scale: str | None, names: tuple[str, ...], single: bool) -> list[str]:
    """Words of an amount of money without its sign."""
    unit, units, *small = names
    scaled = SCALES.get((scale or "").lower(), (scale or "").lower())
    whole, _, cents = number.replace(",", "").partition(".")
    whole = whole or "0"
    if scaled or len(cents) not in (0, 2):
        return [*numbers.decimal(number), *([scaled] if scaled else []), *(unit if single else units).split()]
    said: list[str] = []
    if whole.strip("0") or not int(cents or 0):
        said = numbers.cardinal(whole) + (unit if single or whole == "1" else units).split()
    if int(cents or 0):
        name = small[0] if int(cents) == 1 else small[1]
        said += (["and"] if said else []) + [*numbers.cardinal(str(int(cents))), name]
    return said


def _money(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    names = CURRENCIES[match["sign"]]
    single = scanned.attributive(match.start(), match.end()) and "." not in match["number"].rstrip("0")[-3:-2]
    sign = ["minus"] if match["minus"] else []
    if match["last"]:
        named = match["again"] is not None
        first = _amount(match["number"], None, names, False) if named else numbers.decimal(match["number"])
        return words(first, match, "number") + words(["to", *_amount(match["last"], None, names, False)], match, "last")
    return words(sign + _amount(match["number"], match["scale"], names, single), match)


def _cents(match: Match, _: Scanned) -> Sequence[Item] | None:
    return words([*numbers.decimal(match[1]), "cent" if match[1] == "1" else "cents"], match)


def _code(match: Match, _: Scanned) -> Sequence[Item] | None:
    one, many = CODES[match[2]]
    return words(numbers.decimal(match[1]), match, 1) + words(one if match[1] == "1" else many, match, 2)


def _measure(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    one, many = UNITS[match["unit"]]
    if match["unit"] == "in." and scanned.after(match.end())[:1].isupper():
        return None
    single = match["number"] in ("1", "-1") or scanned.attributive(match.start(), match.end())
    if match["unit"] == "mph" and scanned.after(match.end()) in ("zone", "limit", "wind", "winds", "gusts"):
        single = True
    found = words(numbers.decimal((match["minus"] or "") + match["number"]), match, "number")
    if match["last"]:
        found += words(["to", *numbers.decimal(match["last"])], match, "last")
    return found + words(one if single and not match["last"] else many, match, "unit")


def _feet(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    feet = words([*numbers.cardinal(match[1]), "foot" if match[1] == "1" else "feet"], match, 1)
    return feet + words([*numbers.decimal(match[2]), "inch" if match[2] == "1" else "inches"], match, 2)


def _inches(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    if scanned.quotes_before(match.start()) % 2:  # it closes a quotation
        return None
    single = match[1] == "1" or scanned.attributive(match.start(), match.end())
    return words([*numbers.decimal(match[1]), "inch" if single else "inches"], match)


def _fraction(match: Match, _: Scanned) -> Sequence[Item] | None:
    whole, top, bottom = match["whole"], match["top"], match["bottom"]
    if len(top) > 3 or len(bottom) > 3 or not 2 <= int(bottom) <= 100 or not 0 < int(top) < int(bottom):
        return None
    if not whole:
        return words(numbers.fraction(top, bottom), match)
    part = ["a", *numbers.fraction(top, bottom)[1:]] if top == "1" else numbers.fraction(top, bottom)
    return [*words(numbers.cardinal(whole), match, "whole"), *_article([*words(["and", *part], match, "top")])]


def _article(items: list[Item]) -> list[Item]:
    return [Item(item.text, item.start, item.end) for item in items]


def _sign_fraction(match: Match, _: Scanned) -> Sequence[Item] | None:
    top, bottom = FRACTIONS[match[2]].split("/")
    if not match[1]:
        return words(numbers.fraction(top, bottom), match)
    part = ["a", *numbers.fraction(top, bottom)[1:]] if top == "1" else numbers.fraction(top, bottom)
    return words(numbers.cardinal(match[1]), match, 1) + _article(words(["and", *part], match, 2))


def _range(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    return words(numbers.plain(match[1]), match, 1) + words(["to", *numbers.plain(match[2])], match, 2)


def _decade(match: Match, _: Scanned) -> Sequence[Item] | None:
    digits = match[1]
    if len(digits) == 4:
        return words(numbers.plural(numbers.year(digits)), match) if digits.endswith("0") else None
    return words(numbers.plural(numbers.cardinal(digits)), match)


def _house(match: Match, _: Scanned) -> Sequence[Item] | None:
    found = words(numbers.house(match["number"]), match, "number")
    found += words(match["letter"].lower(), match, "letter") if match["letter"] else []
    return found + (words(DIRECTIONS[match["side"]], match, "side") if match["side"] else [])


def _state(match: Match, _: Scanned) -> Sequence[Item] | None:
    if match[1] not in STATES:
        return None
    found = words(STATES[match[1]], match, 1) + words(numbers.spelled(match[2]), match, 2)
    return found + (words(numbers.spelled(match[3]), match, 3) if match[3] else [])


def _version(match: Match, _: Scanned) -> Sequence[Item] | None:
    first, *rest = match[0].split(".")
    said = numbers.cardinal(first)
    for part in rest:
        said += ["point", *numbers.cardinal(part)]
    return words(said, match)


def _power(match: Match, _: Scanned) -> Sequence[Item] | None:
    power = match[2].lstrip("-−")
    sign = ["minus"] if power != match[2] else []
    return words(numbers.decimal(match[1]), match, 1) + words(["to", "the", *sign, *numbers.ordinal(power)], match, 2)


def _letters(match: Match, _: Scanned) -> Sequence[Item] | None:
    return words(numbers.plain(match[1]), match, 1) + words(" ".join(match[2].lower()), match, 2)


def _number(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    minus = ["minus"] if match["minus"] else []
    number = match["number"]
    if "." in number or "," in number or minus:
        said = numbers.decimal(number)
    elif number in ("911", "411") and scanned.before(match.start()).lower() in ("dial", "call", "called", "calling"):
        said = numbers.spelled(number)
    elif len(number) == 3 and scanned.before(match.start()) in NAMED_BY_NUMBER:
        said = numbers.house(number)
    else:
        said = numbers.plain(number)
    scale = [match["big"].lower()] if match["big"] else []
    return words(minus + said, match, "number") + (words(scale, match, "big") if scale else [])


def _times(match: Match, _: Scanned) -> Sequence[Item] | None:
    return words(numbers.decimal(match[1]), match, 1) + words("times", match, 2)


def _by(match: Match, _: Scanned) -> Sequence[Item] | None:
    return [
        *words(numbers.decimal(match[1]), match, 1),
        *words("by", match, 2),
        *words(numbers.plural(numbers.decimal(match[3])) if match[4] else numbers.decimal(match[3]), match, 3),
    ]


def _ordinal(match: Match, _: Scanned) -> Sequence[Item] | None:
    return words(numbers.ordinal(match[1]), match)


MINUS = r"(?:(?<![\w.)])(?P<minus>[-−]))?"
DASH = r"\s?[-–—]\s?"

RULES: list[Rule] = [
    (re.compile(pattern), function)
    for pattern, function in (
        (r"(?:\+1[ .-]?|1-)?\(?\d{3}\)?[ .-]\d{3}[.-]?[ ]?\d{4}(?![\w-])", _phone),
        (r"\+\d{1,3}(?:[ -]\d{2,4}){2,4}(?![\w-])", _phone),
        (r"\d{3}-\d{4}(?![\w-])", _phone),
        (rf"{MINUS}(?P<sign>{SIGN})\s?(?P<number>{NUMBER})"
         rf"(?:{DASH}(?P<again>{SIGN})?(?P<last>{NUMBER}))?(?:\s?(?P<scale>{BIG}|(?i:mn|bn|tn|[kmbt])){END})?(?!\w)",
         _money),
        (rf"({NUMBER})\s?¢", _cents),
        (rf"({NUMBER})\s?({'|'.join(CODES)}){END}", _code),
        (r"(\d{1,2})'\s?(\d{1,2}(?:\.\d+)?)\"", _feet),
        (r"(\d+(?:\.\d+)?)\"", _inches),
        (rf"['’]?(\d0|\d\d\d0)['’]?s{END}", _decade),
        (rf"(?P<number>\d{{1,5}})(?P<letter>[A-Z])?(?:\s+(?P<side>NE|NW|SE|SW|[NSEW])\b\.?)?"
         rf"(?=(?:\s+(?:[A-Z][\w'’]*|\d+(?:st|nd|rd|th))){{1,3}}\s+(?:{STREETS})\b)", _house),
        (rf"{MINUS}(?P<number>{NUMBER})(?:{DASH}(?P<last>{NUMBER}))?\s?(?P<unit>{UNIT})(?![\w/²³])", _measure),
        (rf"(?:(?P<whole>\d+)\s)?(?P<top>\d+)/(?P<bottom>\d+){END}", _fraction),
        (rf"(\d*)\s?([{''.join(FRACTIONS)}])", _sign_fraction),
        (rf"(\d[\d,]{{0,30}})(?:st|nd|rd|th){END}", _ordinal),
        (rf"([A-Z]{{2}}),?\s+(\d{{5}})(?:-(\d{{4}}))?{END}", _state),
        (rf"\d+(?:\.\d+){{2,5}}{END}", _version),
        (r"ca?\.\s(?=\d{3,4}\b)", lambda m, _: words("circa", m)),
        (rf"({NUMBER})\^([-−]?\d{{1,3}}){END}", _power),
        (rf"(\d+(?:\.\d+)?)([x×]){END}", _times),
        (rf"(\d+(?:\.\d+)?)\s?(x)\s?(\d+(?:\.\d+)?)(s)?{END}", _by),
        (r"(\d{1,3}(?:,\d{3}){0,4}|\d{1,6})[-–—](\d{1,3}(?:,\d{3}){1,4}|\d{1,6})(?![\w-]|[.,]\d)", _range),
        (rf"(\d+):(\d+){END}", _range),
        (rf"(\d+)([A-Z]{{1,2}}){END}", _letters),
        (rf"{MINUS}(?P<number>{NUMBER})(?:\s+(?P<big>{BIG}){END})?", _number),
    )
]  # fmt: skip
