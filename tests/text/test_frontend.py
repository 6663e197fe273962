"""Phonemes: where each came from, tokens, homographs, lexicon, other languages, and texts that cannot be spoken."""

import random
import sys
import time

import pytest

from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.text import dictionary, inventory, letter_to_sound
from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.inflection import inflected
from lightning_voiceclone.text.lexicon import decode, read_lexicon
from lightning_voiceclone.text.normalization import TextError, normalize
from lightning_voiceclone.text.pronounced import Pause


@pytest.fixture(scope="module")
def front():
    return FrontEnd()


def said(front, text, word):
    return [" ".join(one.phonemes) for one in front.pronounce(text).words if one.spoken == word]


def test_origins(front):
    words = {word.spoken: word for word in front.pronounce("The blorptions of CNN's voicecloning, in 1999").words}
    assert {name: word.origin for name, word in words.items()} == {
        "the": "dictionary", "blorptions": "letters", "of": "dictionary", "c": "letter", "n": "letter", "n's": "letter",
        "voicecloning": "rule", "in": "dictionary", "nineteen": "dictionary", "ninety": "dictionary",
        "nine": "dictionary"}  # fmt: skip
    assert words["n's"].phonemes == ("EH1", "N", "Z")
    assert words["voicecloning"].phonemes == ("V", "OY1", "S", "K", "L", "OW2", "N", "IH0", "NG")


def test_tokens_are_phonemes_boundaries_and_marks(front):
    spoken = front.pronounce("Hi there, <break time='1s'/>you!")
    names = [inventory.TOKENS[token] for token in spoken.tokens]
    assert names == ["HH", "AY1", " ", "DH", "EH1", "R", ",", "<break>", "Y", "UW1", "!"]
    assert spoken.owners == [0, 0, 1, 1, 1, 1, 2, 3, 4, 4, 5]
    assert all(0 < token < len(inventory.TOKENS) for token in spoken.tokens)


def test_the_inventory_is_fixed():
    assert (len(inventory.TOKENS), len(inventory.PHONEMES)) == (83, 69)
    assert [inventory.NUMBER[name] for name in ("<pad>", " ", ".", "<break>", "B", "ZH", "AA0", "UW2")] == [
        0, 1, 5, 13, 14, 37, 38, 82]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "word", "phonemes"),
    [
        ("I will read it.", "read", "R IY1 D"), ("She has read it.", "read", "R EH1 D"),
        ("He read it.", "read", "R EH1 D"), ("I read it yesterday.", "read", "R EH1 D"),
        ("They record it.", "record", "R AH0 K AO1 R D"), ("The record is old.", "record", "R EH1 K ER0 D"),
        ("We live here.", "live", "L IH1 V"), ("A live show", "live", "L AY1 V"),
        ("Close the door.", "close", "K L OW1 Z"), ("It is close to us.", "close", "K L OW1 S"),
        ("a lead pipe", "lead", "L EH1 D"), ("Lead the way.", "lead", "L IY1 D"),
        ("You use it.", "use", "Y UW1 Z"), ("The use of it", "use", "Y UW1 S"),
        ("I used to sing.", "used", "Y UW1 S T"), ("It was used to sing.", "used", "Y UW1 Z D"),
        ("The wind is cold.", "wind", "W IH1 N D"), ("Wind up the clock.", "wind", "W AY1 N D"),
        ("They separate it.", "separate", "S EH1 P ER0 EY2 T"), ("a separate room", "separate", "S EH1 P ER0 IH0 T"),
        ("The apple", "the", "DH IY0"), ("The pear", "the", "DH AH0"),
    ],
)  # fmt: skip
def test_homographs(front, text, word, phonemes):
    assert said(front, text, word)[0] == phonemes


@pytest.mark.parametrize(
    ("word", "phonemes"),
    [("foo's", "F UW1 Z"), ("blips", "B L IH1 P S"), ("blipping", "B L IH1 P IH0 NG"), ("blipped", "B L IH1 P T"),
     ("unblip", "AH0 N B L IH1 P"), ("fooblip", None)],
)  # fmt: skip
def test_forms_of_known_words(word, phonemes):
    known = {"foo": ("F", "UW1"), "blip": ("B", "L", "IH1", "P")}
    found = inflected(word, known.get)
    assert (" ".join(found) if found else None) == phonemes


def test_the_lexicon_comes_first_and_serves_forms_too(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("# mine\nLVC\tEH1 L V IY1 S IY1\ntomato\t/təˈmɑːtoʊ/\nzyx\tZ IH K S\n", encoding="utf-8")
    front = FrontEnd(read_lexicon(path))
    words = {
        word.spoken: (" ".join(word.phonemes), word.origin) for word in front.pronounce("lvc tomato zyxing a").words
    }
    assert words["lvc"] == ("EH1 L V IY1 S IY1", "lexicon")
    assert words["tomato"] == ("T AH0 M AA1 T OW0", "lexicon")
    assert words["zyxing"] == ("Z IH1 K S IH0 NG", "rule")
    assert words["a"][1] == "dictionary"


def test_the_lexicon_serves_capitals(tmp_path):
    front = FrontEnd({"gif": ("JH", "IH1", "F"), "sql": ("S", "IY1", "K", "W", "AH0", "L")})
    assert said(front, "a GIF", "gif") == ["JH IH1 F"]
    assert said(front, "the SQL query", "sql") == ["S IY1 K W AH0 L"]


@pytest.mark.parametrize(
    ("line", "words"),
    [("voice V OY1 S", "no word, a tab"), ("voice\tV OI S", "'OI' is no phoneme"), ("two words\tT UW1", "letters and"),
     ("voice\t/vʘ/", "U+0298"), ("voice\t", "there is no phoneme"), ("voice\tV , S", "no phoneme")],
)  # fmt: skip
def test_a_wrong_line_of_a_lexicon_is_named(tmp_path, line, words):
    path = tmp_path / "own.tsv"
    path.write_text(f"ok\tOW1 K EY1\n{line}\n", encoding="utf-8")
    with pytest.raises(TextError) as caught:
        read_lexicon(path)
    assert "own.tsv, line 2" in str(caught.value)
    assert words in str(caught.value)


def test_encodings():
    assert decode("naïve".encode("utf-16"), "f") == decode("\ufeffnaïve".encode(), "f") == "naïve"
    with pytest.raises(TextError, match=r"f is not UTF-8: byte 2 is 0xef; save it as UTF-8"):
        decode("naïve".encode("latin-1"), "f")


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "empty"), (" \n\t", "empty"), ("?!...", "no word"), ("😀😀", "😀 (GRINNING FACE) at character 1"),
     ("Привет", "CYRILLIC CAPITAL LETTER PE"), ("Hello 日本 you", "日 (CJK UNIFIED IDEOGRAPH-65E5) at character 7"),
     ("\x07", "(U+0007) at character 1")],
)  # fmt: skip
def test_what_cannot_be_spoken_is_named(front, text, words):
    with pytest.raises(TextError) as caught:
        front.pronounce(text)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_signs_without_a_name_are_listed(front):
    spoken = front.pronounce("Good 👍🏽 day\x07 ♫")
    assert [word.spoken for word in spoken.words] == ["good", "day"]
    assert [(one.character, one.start) for one in spoken.skipped] == [("👍", 5), ("🏽", 6), ("\x07", 11), ("♫", 13)]


@pytest.mark.slow
@pytest.mark.parametrize("text", ["word " * 20_000, "x" * 100_000, "zyx" * 66, "7" * 40, "blorp, " * 14_000])
def test_long_texts_end_soon(front, text):
    start = time.process_time()
    assert front.pronounce(text).words
    assert time.process_time() - start < 10


PIECES = [
    *"aeiou bcdst ABCIVX 0123456789 .,:;-–/'\"$€%°#@&()!?\n\t   é½²\u0301\x00😀٣５ⅷßºﬁ日\ud800",
    *("St.", "Dr.", "Jan", "5 km", "1/2", "IV", "www.", "a@b.c", "<break/>", "<s>", "</s>", "&amp;", "<sub alias='x'>"),
    *("</sub>", "<prosody rate='2'>", "</prosody>"),
]


@pytest.mark.slow
def test_whatever_the_text_there_are_phonemes_and_places_or_one_line(front):
    draw = random.Random(2)
    refused = lines = 0
    for _ in range(200):
        text = "".join(draw.choice(PIECES) for _ in range(draw.randint(1, 30)))
        try:
            spoken = front.pronounce(text)
        except LVCError as error:
            refused += 1
            lines += str(error).count("\n")
            continue
        assert all(0 <= item.start <= item.end <= len(text) for item in spoken.items), text
        assert all(word.phonemes for word in spoken.words), text
    assert 0 < refused < 200
    assert lines == 0


@pytest.mark.parametrize("text", ["//é?", "#日 a", "é@b.c", "www.º.com"])
def test_letters_of_addresses_and_tags_are_those_that_can_be_spoken(text):
    items = normalize(text)
    assert all(item.kind == "unknown" or item.text[0] in "abcdefghijklmnopqrstuvwxyz" or item.kind == "punctuation"
               for item in items)  # fmt: skip


def test_of_several_marks_the_weightiest_counts_and_none_comes_first(front):
    marks = [
        item.mark
        for item in front.pronounce('... "Stop!" she said (quietly), and left?!').items
        if isinstance(item, Pause)
    ]
    assert marks == ["!", "(", ",", "?"]


def test_the_dictionary_and_the_model_of_letters_are_whole():
    assert len(dictionary.english()) == 126_052
    assert dictionary.english().pronunciations("read") == [("R", "EH1", "D"), ("R", "IY1", "D")]
    model = letter_to_sound.english()
    assert model.pronounce("blick") == ["B", "L", "IH1", "K"]
    assert model.pronounce("") == []
    phonemes = {phoneme for _, said in model.symbols for phoneme in said}
    assert phonemes <= set(inventory.PHONEMES)


def test_a_small_model_of_letters():
    symbols = [("a", ("AE1",)), ("b", ("B",)), ("b", ())]
    words = [(2, 3), (3, 2), (2, 3, 4)]
    grams = [{}, {}]
    for word in words:
        numbers = (1, *word, 0)
        for at in range(1, len(numbers)):
            for size in (0, 1):
                gram = numbers[at - size : at + 1]
                grams[size][gram] = grams[size].get(gram, 0) + 1
    model = letter_to_sound.Model.from_counts(symbols, grams, 1)
    assert model.pronounce("abb") == ["AE1", "B"]
    again = letter_to_sound.Model.unpack(model.pack())
    assert (again.scores, again.symbols, again.order) == (model.scores, model.symbols, model.order)


def test_another_language():
    pytest.importorskip("espeakng_loader", reason="espeakng-loader (the extra espeak) is not installed")
    spoken = FrontEnd(language="de").pronounce("Guten Tag, 2 Freunde")
    assert [(word.spoken, word.origin) for word in spoken.words] == [
        ("guten", "espeak"), ("tag", "espeak"), ("2", "espeak"), ("freunde", "espeak")]  # fmt: skip
    assert spoken.words[0].phonemes == ("G", "UW1", "T", "AH0", "N")
    with pytest.raises(LVCError, match="no language 'xx'"):
        FrontEnd(language="xx")


def test_another_language_without_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(LVCError, match=r"lightning-voiceclone\[espeak\]"):
        FrontEnd(language="de")
