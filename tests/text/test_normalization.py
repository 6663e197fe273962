"""Written text to spoken words: two tables that were written before the rules, places, and hostile texts."""

import csv
import time
from pathlib import Path

import pytest

from lightning_voiceclone.text.normalization import MOST_CHARACTERS, TextError, normalize

FOLDER = Path(__file__).parent
# What the rules get wrong, each with the reason in docs/text.md.
KNOWN_FAILURES = {
    "We need 12 V and 5 A.",
    "Psalm 23:4",
    "The PIN is 4482.",
    "He said no. 10 people left.",
    "E=mc2",
}


def table(name):
    with (FOLDER / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def spoken(text):
    return " ".join(item.text for item in normalize(text) if item.kind != "punctuation")


def test_at_least_99_percent_of_the_fixtures_are_right():
    rows = [*table("normalisation.tsv"), *table("normalisation_later.tsv")]
    wrong = {row["text"] for row in rows if spoken(row["text"]) != row["spoken"]}
    assert len(rows) >= 500
    assert wrong == KNOWN_FAILURES
    assert len(wrong) <= 0.01 * len(rows)


def test_every_item_stands_for_characters_of_the_text():
    for row in [*table("normalisation.tsv"), *table("normalisation_later.tsv")]:
        text = row["text"]
        items = normalize(text)
        assert all(0 <= item.start <= item.end <= len(text) for item in items), text
        assert all(text[item.start : item.end].strip() for item in items if item.kind != "punctuation"), text


def test_places_of_a_sentence():
    text = "Dr. Lee paid $3.50 on May 5, 2021."
    places = [(item.text, text[item.start : item.end]) for item in normalize(text)]
    assert places == [
        ("doctor", "Dr."), ("lee", "Lee"), ("paid", "paid"),
        *[(word, "$3.50") for word in ("three", "dollars", "and", "fifty", "cents")],
        ("on", "on"), ("may", "May"), ("fifth", "5"), (",", ","),
        ("twenty", "2021"), ("twenty", "2021"), ("one", "2021"), (".", "."),
    ]  # fmt: skip


def test_an_empty_line_ends_a_sentence_and_a_line_break_does_not():
    assert [item.text for item in normalize("Title\n\nfirst\nsecond")] == ["title", ".", "first", "second"]


@pytest.mark.parametrize(
    ("text", "first", "count"),
    [("1" * 40, "one", 40), ("9" * 15, "nine", 24), ("0123", "zero", 4), ("a" * 200, "a" * 200, 1)],
)
def test_long_numbers_are_read_digit_by_digit(text, first, count):
    items = normalize(text)
    assert (items[0].text, len(items)) == (first, count)


def test_characters_without_a_name_are_kept_as_unknown():
    unknown = [(item.text, item.start) for item in normalize("a 😀 b \x07 Привет") if item.kind == "unknown"]
    assert unknown == [("😀", 2), ("\x07", 6), *[(letter, 8 + at) for at, letter in enumerate("Привет")]]


UNITS = ["1,", "A.", "-", "hello world ", "'", "a'", "A&", "aA", "( ", "$1 ", "1/", "a.b.", "\n", "e\u0301", "May 5, ",
         "a@", "I", "$", "1-", "www.", "http://", "😀", "日", "\x00", "1:", "5'", '5"', "1 1/2 ", "<"]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("unit", UNITS)
def test_time_grows_with_the_length_alone(unit):
    """Ten times the length takes some ten times the time; a rule that looks ahead without bound takes a hundred."""
    ratios = []
    for _ in range(3):  # a busy machine, or the garbage collector, may slow one down
        seconds = []
        for size in (2_000, 20_000):
            text = unit * (size // len(unit))
            start = time.process_time()
            normalize(text)
            seconds.append(time.process_time() - start)
        ratios.append(seconds[1] / (seconds[0] + 0.0025))
        if ratios[-1] < 40:
            return
    raise AssertionError(f"ten times the length took {ratios} times the time")


def test_a_text_that_is_too_long_is_refused():
    with pytest.raises(TextError, match=r"2,000,001 characters; at most 2,000,000"):
        normalize("a" * (MOST_CHARACTERS + 1))


@pytest.mark.parametrize(("text", "spoken"), [
    ("$.00", "zero dollars"), ("€.50", "fifty cents"), ("May 05, 2021", "may fifth , twenty twenty one"),
    ("05 May 2021", "the fifth of may twenty twenty one"), ("09 am", "nine a m"),
])  # fmt: skip
def test_zeros_in_front_are_not_spoken(text, spoken):
    assert " ".join(item.text for item in normalize(text)) == spoken


@pytest.mark.parametrize("text", ["1/" + "1" * 5000, "1" * 5000 + "/3", "$" + "9" * 5000])
def test_numbers_beyond_pythons_limit_of_digits_are_read(text):
    assert len(normalize(text)) > 4999


def test_an_inch_mark_within_a_quotation_ends_it_and_the_marks_are_counted_once():
    assert [item.text for item in normalize('a 5" nail')] == ["a", "five", "inch", "nail"]
    assert [item.text for item in normalize('He said "take 5" twice')] == [
        "he",
        "said",
        '"',
        "take",
        "five",
        '"',
        "twice",
    ]
    start = time.process_time()
    normalize('5" ' * 100_000)
    assert time.process_time() - start < 20
