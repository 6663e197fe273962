"""The subset of SSML: what it does, and errors with their place."""

import pytest

from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.markup import is_markup, parse
from lightning_voiceclone.text.normalization import TextError
from lightning_voiceclone.text.pronounced import Pause, Word


def words(text):
    return [(word.spoken, round(word.rate, 4), round(word.pitch, 4)) for word in FrontEnd().pronounce(text).words]


def test_prosody_multiplies_and_ends_with_its_element():
    text = (
        '<speak>one <prosody rate="120%">two <prosody rate="0.5" pitch="+12st">three</prosody></prosody> four</speak>'
    )
    assert words(text) == [("one", 1, 1), ("two", 1.2, 1), ("three", 0.6, 2), ("four", 1, 1)]
    assert words('<prosody pitch="-50%">low</prosody>') == [("low", 1, 0.5)]


@pytest.mark.parametrize(
    ("attributes", "seconds"), [('time="250ms"', 0.25), ('time="1.5s"', 1.5), ('strength="strong"', 0.8), ("", 0.4)]
)
def test_a_break_has_its_seconds_and_its_place(attributes, seconds):
    items = FrontEnd().pronounce(f"One,<break {attributes}/> two.").items
    assert [item.seconds if isinstance(item, Pause) else item.spoken for item in items] == [
        "one",
        None,
        seconds,
        "two",
        None,
    ]
    assert items[2].start == len("One,")


def test_text_around_a_tag_is_normalised_together_and_keeps_its_places():
    text = 'Dr. <prosody rate="fast">Smith &amp; Co.</prosody> has 3 cats'
    found = FrontEnd().pronounce(text)
    assert [(word.spoken, text[word.start : word.end]) for word in found.words] == [
        ("doctor", "Dr."), ("smith", "Smith"), ("and", "&amp;"), ("company", "Co."), ("has", "has"), ("three", "3"),
        ("cats", "cats")]  # fmt: skip


def test_elements_that_replace_their_text():
    found = FrontEnd().pronounce(
        '<sub alias="World Wide Web">WWW</sub> <phoneme alphabet="x-arpabet" ph="T AH0 M AA1 T OW0">tomato</phoneme>'
        ' <phoneme ph="ˈviːvi">x</phoneme> <say-as interpret-as="digits">12</say-as>'
        ' <say-as interpret-as="characters">ab1</say-as> <say-as interpret-as="ordinal">3</say-as>'
    )
    assert " ".join(word.spoken for word in found.words) == "world wide web tomato x one two a b one third"
    by_word = {word.spoken: word for word in found.words}
    assert by_word["tomato"].phonemes == ("T", "AH0", "M", "AA1", "T", "OW0")
    assert by_word["tomato"].origin == by_word["x"].origin == "markup"
    assert by_word["x"].phonemes == ("V", "IY1", "V", "IY0")
    assert (by_word["a"].origin, by_word["a"].phonemes) == ("letter", ("EY1",))


def test_a_paragraph_ends_a_sentence():
    items = FrontEnd().pronounce("<speak><p>one</p><p>two</p></speak>").items
    assert [item.spoken if isinstance(item, Word) else item.mark for item in items] == ["one", ".", "two", "."]


@pytest.mark.parametrize(
    ("text", "place", "words"),
    [
        ("Hello <b>you</b>", "line 1, column 7", "<b> is no markup that is known"),
        ("One.\nTwo <audio src='x'/>", "line 2, column 5", "<audio>"),
        ("<break length='1s'/>", "line 1, column 1", "no attribute 'length'"),
        ("<break time='90s'/>a", "line 1, column 1", "from 0s to 60s"),
        ("<break time='soon'/>a", "line 1, column 1", "'soon'"),
        ("<break>a</break>", "line 1, column 8", "must be empty"),
        ("a <prosody rate='9'>b</prosody>", "line 1, column 3", "from 0.25 to 4"),
        ("<prosody rate='4'><prosody rate='2'>b</prosody></prosody>", "line 1, column 19", "8 times"),
        ("<prosody pitch='+50st'>b</prosody>", "line 1, column 1", "-24st to +24st"),
        ("<phoneme ph='ʘ'>b</phoneme>", "line 1, column 1", "U+0298"),
        ("<phoneme alphabet='x-sampa' ph='a'>b</phoneme>", "line 1, column 1", "ipa or x-arpabet"),
        ("<phoneme>b</phoneme>", "line 1, column 1", "needs the attribute 'ph'"),
        ("<sub alias='x'></sub>", "line 1, column 16", "has no text"),
        ("<sub alias='x'>a<break/></sub>", "line 1, column 17", "may hold text alone"),
        ("<say-as interpret-as='verse'>b</say-as>", "line 1, column 1", "'verse'"),
        ("<prosody>b", "line 1, column 11", "not well formed"),
        ("a <b", "line 1, column 5", "not well formed"),
        ("<break/> & more", "line 1, column 11", "&amp;"),
        ("<!DOCTYPE speak [<!ENTITY x 'y'>]><speak>&x;</speak>", "line 1, column 3", "not well formed"),
        ("<?xml version='1.0'?><!DOCTYPE speak><speak>a</speak>", "line 1", ""),
        ("<speak><?php x ?>a</speak>", "line 1, column 8", "declaration or an instruction"),
        ("<break/>&nbsp;a", "line 1, column 9", "undefined entity"),
        ("<s>" * 40 + "a" + "</s>" * 40, "line 1", "deeper than 32"),
        ("<sub alias='x'>" + "a" * 2000 + "</sub>", "line 1", "1000 characters"),
        ("<s>\ud800</s>", "line 1, column 4", "surrogate"),
    ],
)
def test_wrong_markup_is_one_line_with_its_place(text, place, words):
    with pytest.raises(TextError) as caught:
        parse(text)
    message = str(caught.value)
    assert message.startswith(place), message
    assert words in message
    assert "\n" not in message


def test_a_doctype_before_speak_is_refused():
    with pytest.raises(TextError, match="not well formed"):
        parse("<speak>a</speak><!DOCTYPE x>")


@pytest.mark.parametrize("text", ["1 < 2", "a & b", "R&B", "x <= y", "5 <6"])
def test_signs_of_plain_text_are_no_markup(text):
    assert not is_markup(text)
    assert FrontEnd().pronounce(text).words


def test_characters_that_are_no_single_english_letter():
    spoken = FrontEnd().pronounce('<say-as interpret-as="characters">aß1</say-as>')
    assert [word.spoken for word in spoken.words] == ["a", "s", "s", "one"]


@pytest.mark.parametrize("number", ["3.5", "-5", "12 apples"])
def test_what_is_no_whole_number_is_not_read_as_another_one(number):
    with pytest.raises(TextError, match="needs a whole number, not"):
        FrontEnd().pronounce(f'<say-as interpret-as="cardinal">{number}</say-as>')
