"""Texts as sentences: pauses, breaks, cuts, windows, and what has no word."""

import itertools

import pytest

from lightning_voiceclone.text import sentences
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.normalization import NoWordError, TextError
from lightning_voiceclone.text.pronounced import Word
from lightning_voiceclone.text.sentences import LONGEST, PARAGRAPH_SECONDS, SENTENCE_SECONDS, Sentences


@pytest.fixture(scope="module")
def front():
    return FrontEnd()


def said(sentence):
    items = () if sentence.spoken is None else sentence.spoken.items
    return " ".join(item.spoken if isinstance(item, Word) else item.mark for item in items)


def read(front, text):
    return [(said(one), one.pause, one.stated) for one in Sentences(front, text)]


def test_pauses_between_sentences_and_paragraphs(front):
    assert read(front, 'Hello, you. "How are you?" Fine\n\nNext') == [
        ("hello , you .", 0.0, False),
        ("how are you ?", SENTENCE_SECONDS, False),
        ("fine .", SENTENCE_SECONDS, False),
        ("next", PARAGRAPH_SECONDS, False),
    ]


def test_breaks_inside_a_sentence_stay_and_others_are_pauses(front):
    assert read(front, "<break time='300ms'/>Hi.<break time='1s'/><break time='500ms'/>You <break time='200ms'/> there"
                       " <break time='3s'/> now<break time='2s'/>") == [
        ("hi .", 0.3, True),
        ("you <break> there", 1.5, True),
        ("now", 3.0, True),
        ("", 2.0, True),
    ]  # fmt: skip
    assert read(front, "<p>One</p><p>Two</p>")[1] == ("two .", PARAGRAPH_SECONDS, False)


def test_a_long_sentence_is_cut_at_a_pause_or_between_words(front):
    made = list(Sentences(front, "one two three, " * 100))
    assert all(len(one.spoken.tokens) <= LONGEST for one in made)
    assert all(said(one).endswith(",") and one.pause == 0 for one in made[:-1])
    assert "".join(said(one) for one in made).count("two") == 100
    made = list(Sentences(front, "seven " * 300))
    assert sum(len(one.spoken.words) for one in made) == 300
    assert all(len(one.spoken.tokens) <= LONGEST for one in made)


def test_a_word_of_many_letters_is_spelled_in_pieces(front):
    made = list(Sentences(front, "x" * 200 + " is long."))
    assert sum(len(word.phonemes) for one in made for word in one.spoken.words) > 600
    assert all(len(one.spoken.tokens) <= LONGEST for one in made)
    assert {(word.start, word.end) for word in made[0].spoken.words} == {(0, 200)}


PROSE = ("Dr. Lee paid $3.50 on May 5, 2021. She read 12 books, and he will read them again! St. Louis is far;"
         " isn't it? ")  # fmt: skip


@pytest.mark.parametrize("window", [150, 333, 2000])
def test_reading_in_parts_gives_what_the_whole_gives(front, monkeypatch, window):
    monkeypatch.setattr(sentences, "WINDOW", window)
    monkeypatch.setattr(sentences, "FIRST_WINDOW", window)
    text = (PROSE * 5 + "\n\n") * 3 + PROSE
    words = [word for one in Sentences(front, text) for word in one.spoken.words]
    assert words == front.pronounce(text).words


def test_the_first_sentence_comes_before_the_rest_is_read(front):
    read_so_far, read = [], front.read

    class Counted(FrontEnd):
        def read(self, text, offset=0):
            read_so_far.append(len(text))
            return read(text, offset)

    first = next(iter(Sentences(Counted(), PROSE * 1000)))
    assert said(first).startswith("doctor lee paid three dollars")
    assert sum(read_so_far) <= 600


def test_errors_name_the_place_in_the_whole_text(front):
    text = PROSE * 40 + "Привет"
    made = iter(Sentences(front, text))
    assert said(next(made)).startswith("doctor")
    with pytest.raises(TextError, match=f"П .* at character {len(PROSE) * 40 + 1}"):
        list(made)


@pytest.mark.parametrize("text", ["", " \n", "...", "☃ 🙂", "* * *"])
def test_no_word_is_an_error(front, text):
    with pytest.raises(NoWordError):
        list(Sentences(front, text))


def test_paragraphs_without_words_are_passed_over(front):
    made = Sentences(front, "One.\n\n* * *\n\n☃\n\nTwo.")
    assert [said(one) for one in made] == ["one .", "two ."]
    assert [one.character for one in made.skipped] == ["☃"]


def test_text_without_blanks_or_ends_is_read_to_its_end(front):
    for text in ("ab," * 1500, "no end " * 500):
        words = itertools.chain.from_iterable(one.spoken.words for one in Sentences(front, text))
        assert max(word.end for word in words) >= len(text) - 2
