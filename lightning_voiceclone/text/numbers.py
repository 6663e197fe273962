"""Numbers as American English words."""

ONES = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
).split()
TENS = "ten twenty thirty forty fifty sixty seventy eighty ninety".split()
SCALES = ("", "thousand", "million", "billion", "trillion")
MOST_DIGITS = 15  # of a number that is named; a longer one is read digit by digit
IRREGULAR = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip
ROMAN = {"I": 1, "V": 5, "X": 10, "L": 50, "C": 100, "D": 500, "M": 1000}


def _below_thousand(number: int) -> list[str]:
    hundreds, rest = divmod(number, 100)
    words = [ONES[hundreds], "hundred"] if hundreds else []
    if rest >= 20:
        words.append(TENS[rest // 10 - 1])
        rest %= 10
    return words + ([ONES[rest]] if rest else [])


def cardinal(digits: str) -> list[str]:
    """Words of a whole number of digits, with or without commas: ``1,234``, or digit by digit with leading zeros."""
    digits = digits.replace(",", "")
    if len(digits) > MOST_DIGITS or (digits.startswith("0") and len(digits) > 1):
        return spelled(digits)
    number = int(digits)
    if not number:
        return ["zero"]
    words: list[str] = []
    for power in range(len(SCALES) - 1, -1, -1):
        part = number // 1000**power % 1000
        if part:
            words += [*_below_thousand(part), *([SCALES[power]] if power else [])]
    return words


def spelled(digits: str) -> list[str]:
    """One word a digit."""
    return [ONES[int(digit)] for digit in digits]


def ordinal(digits: str) -> list[str]:
    """Words of the ordinal of a whole number."""
    *first, last = cardinal(digits)
    return [*first, ordinal_word(last)]


def ordinal_word(word: str) -> str:
    """The ordinal of a number's last word."""
    if word in IRREGULAR:
        return IRREGULAR[word]
    return word[:-1] + "ieth" if word.endswith("y") else word + "th"


def decimal(text: str) -> list[str]:
    """Words of a number that may have a sign, commas and decimals: ``-1,234.5``; without "zero" for ``.5``."""
    sign = ["minus"] if text[0] in "-−" else []
    whole, _, fraction = text.lstrip("-−").partition(".")
    words = cardinal(whole) if whole else []
    return sign + words + (["point", *spelled(fraction)] if fraction else [])


def year(digits: str) -> list[str]:
    """Words of a year of four digits: nineteen oh five, two thousand eight, twenty ten."""
    century, rest = divmod(int(digits), 100)
    if century % 10 == 0 and rest < 10:
        return cardinal(digits)
    first = _below_thousand(century)
    if not rest:
        return [*first, "hundred"]
    return first + (["oh", ONES[rest]] if rest < 10 else _below_thousand(rest))


def is_year(digits: str) -> bool:
    """Whether four digits without a comma are read in pairs."""
    return len(digits) == 4 and (1010 <= int(digits) <= 2099 or (digits[2:] == "00" and digits[1] != "0"))


def plain(digits: str) -> list[str]:
    """Words of digits in running text: as a year where that is usual; ``1,000`` is none."""
    return year(digits) if is_year(digits) else cardinal(digits)


def house(digits: str) -> list[str]:
    """Words of a house number: one twenty three, sixteen hundred."""
    number = int(digits)
    if len(digits) == 3 and digits[1] != "0":
        return [ONES[number // 100], *_below_thousand(number % 100)]
    return year(digits) if len(digits) == 4 and digits[1:] != "000" else cardinal(digits)


def plural(words: list[str]) -> list[str]:
    """Plural of the last word of a number or a name: nineteen sixties, two sixths."""
    *first, last = words
    ending = last[:-1] + "ies" if last.endswith("y") else last + ("es" if last.endswith(("x", "ch", "s")) else "s")
    return [*first, ending]


def fraction(numerator: str, denominator: str) -> list[str]:
    """Words of a fraction: one half, three quarters, five sixteenths."""
    one = int(numerator) == 1
    if int(denominator) in (2, 4):
        name = ["half" if int(denominator) == 2 else "quarter"]
        many = ["halves"] if int(denominator) == 2 else ["quarters"]
    else:
        name = ordinal(denominator)
        many = plural(name)
    return cardinal(numerator) + (name if one else many)


def roman(numeral: str) -> int:
    """Value of a Roman numeral in capitals."""
    values = [ROMAN[letter] for letter in numeral]
    return sum(-v if i + 1 < len(values) and v < values[i + 1] else v for i, v in enumerate(values))
