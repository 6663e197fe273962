"""Rules for dates and times."""

import re
from collections.abc import Sequence

from lightning_voiceclone.text import numbers
from lightning_voiceclone.text.scanning import Item, Rule, Scanned, words
from lightning_voiceclone.text.tables import MONTH_NAMES, MONTHS

Match = re.Match[str]
END = r"(?![\w])"
MONTH = r"(?P<month>(?i:" + "|".join(sorted(MONTH_NAMES, key=len, reverse=True)) + r"))\.?"
HALF = r"(?P<half>[AaPp]\.?[Mm]\b\.?)"


def _iso_date(match: Match, _: Scanned) -> Sequence[Item] | None:
    return _date(match, int(match[2]), match[3], match[1], (2, 3, 1))


def _slash_date(match: Match, _: Scanned) -> Sequence[Item] | None:
    full = match[3] if len(match[3]) == 4 else ("20" if int(match[3]) < 50 else "19") + match[3]
    return _date(match, int(match[1]), match[2], full, (1, 2, 3))


def _date(match: Match, month: int, day: str, year: str, groups: tuple[int, int, int]) -> Sequence[Item] | None:
    if not (1 <= month <= 12 and 1 <= int(day) <= 31):
        return None
    return [
        *words(MONTHS[month - 1], match, groups[0]),
        *words(numbers.ordinal(str(int(day))), match, groups[1]),
        *words(numbers.year(year), match, groups[2]),
    ]


def _month_day(match: Match, _: Scanned) -> Sequence[Item] | None:
    name = MONTH_NAMES[match["month"].lower()]
    if match["month"].islower() or not 1 <= int(match["day"]) <= 31:
        return None
    found = [*words(name, match, "month"), *words(numbers.ordinal(str(int(match["day"]))), match, "day")]
    if match["year"]:
        found += [Item(",", match.end("day"), match.end("day") + 1, "punctuation")] if match["comma"] else []
        found += words(numbers.year(match["year"]), match, "year")
    return found


def _day_month(match: Match, _: Scanned) -> Sequence[Item] | None:
    name = MONTH_NAMES[match["month"].lower()]
    if match["month"].islower() or not 1 <= int(match["day"]) <= 31:
        return None
    year = words(numbers.year(match["year"]), match, "year") if match["year"] else []
    day = words(["the", *numbers.ordinal(str(int(match["day"]))), "of"], match, "day")
    return [*day, *words(name, match, "month"), *year]


def _month_year(match: Match, _: Scanned) -> Sequence[Item] | None:
    if match["month"].islower():
        return None
    return words(MONTH_NAMES[match["month"].lower()], match, "month") + words(
        numbers.year(match["year"]), match, "year"
    )


def _time(match: Match, scanned: Scanned) -> Sequence[Item] | None:
    hour, minute, half = int(match["hour"]), match["minute"], match["half"]
    if hour > 24 or int(minute) > 59:
        return None
    found = words(numbers.cardinal(str(hour)), match, "hour")
    if int(minute):
        early = ["oh"] if minute[0] == "0" else []
        found += words([*early, *numbers.cardinal(str(int(minute)))], match, "minute")
    elif not half and hour != 0:
        found += words("o'clock" if hour <= 12 else "hundred", match, "minute")
    return found + (words(f"{half[0].lower()} m", match, "half") if half else [])


def _hour(match: Match, _: Scanned) -> Sequence[Item] | None:
    if int(match["hour"]) > 12:
        return None
    hour = words(numbers.cardinal(str(int(match["hour"]))), match, "hour")
    return hour + words(f"{match['half'][0].lower()} m", match, "half")


def _duration(match: Match, _: Scanned) -> Sequence[Item] | None:
    if int(match[2]) > 59 or int(match[3]) > 59:
        return None
    found: list[Item] = []
    for group, name in ((1, "hour"), (2, "minute"), (3, "second")):
        said = numbers.cardinal(str(int(match[group])))
        joined = ["and"] if group == 3 else []
        found += words([*joined, *said, name if said == ["one"] else f"{name}s"], match, group)
    return found


RULES: list[Rule] = [
    (re.compile(pattern), function)
    for pattern, function in (
        (rf"(\d{{4}})-(\d\d)-(\d\d){END}", _iso_date),
        (rf"(\d{{1,2}})/(\d{{1,2}})/(\d{{4}}|\d\d){END}", _slash_date),
        (rf"{MONTH}\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?(?P<comma>,)?(?:\s+(?P<year>\d{{4}}))?(?![\w:%]|[.,]\d)",
         _month_day),
        (rf"(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\s+{MONTH}(?:,?\s+(?P<year>\d{{4}}))?{END}", _day_month),
        (rf"{MONTH}\s+(?P<year>\d{{4}}){END}", _month_year),
        (r"24/7" + END, lambda m, _: words("twenty four seven", m)),
        (r"9/11" + END, lambda m, _: words("nine eleven", m)),
        (rf"(\d{{1,2}}):(\d\d):(\d\d){END}", _duration),
        (rf"(?P<hour>\d{{1,2}}):(?P<minute>\d\d)(?:\s?{HALF})?{END}", _time),
        (rf"(?P<hour>\d{{1,2}})\s?{HALF}{END}", _hour),
        (r"(?<=[\w.])\s?[-–—]\s?(?=\d{1,2}(?::\d\d|\s?[ap]\.?m))", lambda m, _: words("to", m)),
    )
]  # fmt: skip
