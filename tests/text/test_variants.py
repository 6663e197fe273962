"""Pronunciations that are accepted: of the dictionary, of a lexicon, and where only one is meant."""

from lightning_voiceclone.text.frontend import FrontEnd
from lightning_voiceclone.text.lexicon import read_lexicon, read_variants
from lightning_voiceclone.text.variants import accepted


def test_the_dictionary_has_several_for_a_word_and_stress_makes_no_other():
    either, the = FrontEnd().pronounce("Either the").words
    assert [" ".join(one) for one in accepted(either)] == ["IY1 DH ER0", "AY1 DH ER0"]
    assert {" ".join(one) for one in accepted(the)} == {"DH AH0", "DH IY0"}


def test_of_a_word_that_means_different_things_one_is_accepted():
    read = FrontEnd().pronounce("Yesterday I read it.").words[2]
    assert accepted(read) == [("R", "EH1", "D")]
    said = FrontEnd().pronounce('<phoneme alphabet="x-arpabet" ph="IY1 DH ER0">either</phoneme> way').words[0]
    assert accepted(said) == [("IY1", "DH", "ER0")]


def test_all_lines_of_a_lexicon_are_accepted_and_the_last_is_spoken(tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("data\tD EY1 T AH0\nnew\tN Y UW1\ndata\tD AE1 T AH0\n", encoding="utf-8")
    own = read_variants(path)
    assert own["data"] == [("D", "EY1", "T", "AH0"), ("D", "AE1", "T", "AH0")]
    assert read_lexicon(path)["data"] == ("D", "AE1", "T", "AH0")
    word = FrontEnd(read_lexicon(path)).pronounce("data").words[0]
    assert accepted(word, own) == [("D", "AE1", "T", "AH0"), ("D", "EY1", "T", "AH0")]
