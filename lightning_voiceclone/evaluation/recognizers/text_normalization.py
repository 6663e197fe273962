"""The text normaliser of error rates, ``english-1``: different spellings of the same words become equal.

Lower case; numbers, ordinals, years, percentages and sums of money in words; mister, missus, doctor and saint for
their abbreviations; no punctuation but apostrophes inside words; British spellings are left as they are.
"""

import re

NORMALIZER = "english-1"
ONES = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve",
    "thirteen", "fourteen", "fifteen", "sixteen", "seventeen", "eighteen", "nineteen",
)  # fmt: skip
TENS = ("zero", "ten", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety")
SCALES = ((10**9, "billion"), (10**6, "million"), (1000, "thousand"), (100, "hundred"))
ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
ABBREVIATIONS = {"mr": "mister", "mrs": "missus", "dr": "doctor", "st": "saint"}
MONEY = {"$": "dollar", "£": "pound", "€": "euro"}


def normalize(text: str) -> str:
    """Words, separated by single spaces."""
    text = text.lower().replace("\u2019", "'").replace("\u2018", "'")
    for short, long in ABBREVIATIONS.items():
        text = re.sub(rf"\b{short}\b\.?", long, text)
    text = re.sub(r"([$£€])(\d[\d,]*)", _money, text.replace("&", " and "))
    text = re.sub(r"\d{1,3}(?:,\d{3})+", lambda found: cardinal(_integer(found[0])), text)  # no year has a comma
    text = re.sub(r"(\d+)\s*%", r"\1 percent", text)
    text = re.sub(r"(\d+)(?:st|nd|rd|th)\b", lambda found: ordinal(int(found[1])), text)
    text = re.sub(r"\b(1[1-9]\d\d)\b", lambda found: year(int(found[1])), text)
    text = re.sub(r"\d+", lambda found: f" {cardinal(int(found[0]))} ", text)
    text = re.sub(r"[^a-z' ]+", " ", text)
    return " ".join(word for word in (word.strip("'") for word in text.split()) if word)


def _money(found: re.Match[str]) -> str:
    number = _integer(found[2])
    return f"{cardinal(number)} {MONEY[found[1]]}{'' if number == 1 else 's'} "


def _integer(digits: str) -> int:
    return int(digits.replace(",", ""))


def cardinal(number: int) -> str:
    """A number in words, without "and"; digit by digit from a trillion on."""
    if number < 20:
        return ONES[number]
    if number < 100:
        return TENS[number // 10] + (f" {ONES[number % 10]}" if number % 10 else "")
    if number >= 1000 * SCALES[0][0]:
        return " ".join(ONES[int(digit)] for digit in str(number))
    size, name = next((size, name) for size, name in SCALES if number >= size)
    rest = f" {cardinal(number % size)}" if number % size else ""
    return f"{cardinal(number // size)} {name}{rest}"


def ordinal(number: int) -> str:
    """As 21: twenty first."""
    *before, last = cardinal(number).split()
    if last not in ORDINALS:
        last = last[:-1] + "ieth" if last.endswith("y") else last + "th"
    return " ".join([*before, ORDINALS.get(last, last)])


def year(number: int) -> str:
    """1100 to 1999 as they are read: eighteen forty eight, nineteen hundred, nineteen oh five."""
    century, rest = divmod(number, 100)
    if rest == 0:
        return f"{cardinal(century)} hundred"
    return f"{cardinal(century)} {'oh ' if rest < 10 else ''}{cardinal(rest)}"
