"""What is said alike is written alike."""

import pytest

from lightning_voiceclone.evaluation.recognizers.text_normalization import cardinal, normalize, ordinal, year


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("Mr. Hale, and MRS. HALE!", "mister hale and missus hale"),
        ("I don\u2019t -- 'quote' it", "i don't quote it"),
        ("It cost £1,250 in 1848.", "it cost one thousand two hundred fifty pounds in eighteen forty eight"),
        ("50% of $1", "fifty percent of one dollar"),
        ("the 21st, 12th and 3rd", "the twenty first twelfth and third"),
        ("rock & roll", "rock and roll"),
        ("well-known", "well known"),
        ("Mister Drake", "mister drake"),
        ("1,250 men of 1250", "one thousand two hundred fifty men of twelve fifty"),
        (" ... ", ""),
    ],
)
def test_normalize(written, said):
    assert normalize(written) == said
    assert normalize(said) == said


def test_numbers():
    assert cardinal(0) == "zero"
    assert cardinal(1_000_001) == "one million one"
    assert cardinal(40_219) == "forty thousand two hundred nineteen"
    assert cardinal(10**12) == "one" + " zero" * 12
    assert [ordinal(n) for n in (1, 5, 8, 9, 20, 100)] == ["first", "fifth", "eighth", "ninth", "twentieth",
                                                           "one hundredth"]  # fmt: skip
    assert [year(n) for n in (1900, 1905, 1666)] == ["nineteen hundred", "nineteen oh five", "sixteen sixty six"]
