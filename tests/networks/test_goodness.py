"""Goodness of phonemes: by hand, pronunciations that are chosen, and what one wrong phoneme changes."""

import pytest
import torch

from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.networks.aligner import CLASSES, classes
from lightning_voiceclone.networks.goodness import goodness, said

LENGTH = 8  # frames of a phoneme


def scores_of(phonemes, silence=6):
    """Logarithms of probabilities (T, 40) of phonemes of 8 frames each, and silence around them."""
    labels = torch.tensor([0] * silence + [kind for kind in classes(phonemes) for _ in range(LENGTH)] + [0] * silence)
    draw = torch.Generator().manual_seed(0)
    logits = torch.randn(len(labels), len(CLASSES), generator=draw) + 6 * torch.eye(len(CLASSES))[labels]
    return logits.log_softmax(1)


def test_it_is_the_mean_over_its_frames_less_the_greatest_mean_of_another_phoneme():
    scores = torch.full((4, len(CLASSES)), -9.0)
    scores[:, 0] = -0.1  # silence is no other phoneme
    scores[:, CLASSES.index("T")] = torch.tensor([-1.0, -2.0, -3.0, -7.0])
    scores[:, CLASSES.index("D")] = torch.tensor([-9.0, -3.0, -2.0, -9.0])
    (found,) = goodness(scores, [(CLASSES.index("T"), 0, 3)])
    assert found.nearest == "D"
    assert found.value == pytest.approx(-2 + 14 / 3)


def test_the_pronunciation_that_is_said_is_chosen_and_its_phonemes_are_good():
    words = [["W", "IH1", "DH"], ["IY1", "V", "N"]]
    scores = scores_of([*words[0], *words[1]])
    others = [["AY1", "V", "N"], ["IY1", "V", "AH0", "N"]]
    chosen, path = said(scores, [[["W", "IH1", "TH"], words[0]], [*others, words[1]]])
    assert chosen == words
    assert [first for _, first, _ in path] == [6 + LENGTH * at for at in range(6)]
    assert min(one.value for one in goodness(scores, path)) > 3


def test_a_wrong_phoneme_has_a_low_value_and_names_the_one_in_its_place_and_others_keep_theirs():
    right = ["S", "IH1", "T", "R", "OW1", "K", "M", "AE1", "P"]
    scores = scores_of(right)
    path = said(scores, [[right]])[1]
    before = goodness(scores, path)
    wrong = [*right[:3], "L", *right[4:]]
    after = goodness(scores, said(scores, [[wrong]])[1])
    assert after[3].value < -3
    assert after[3].nearest == "R"
    assert [one.value for one in after[:2]] == [one.value for one in before[:2]]
    assert [one.value for one in after[5:]] == [one.value for one in before[5:]]


def test_more_phonemes_than_frames_are_refused_and_a_pronunciation_that_is_too_long_is_not_chosen():
    scores = scores_of(["T", "UW1"], silence=0)
    with pytest.raises(RecordingError, match="16 frames for 17 phonemes"):
        said(scores, [[["T"] * 17]])
    assert said(scores, [[["T", "UW1"], ["T", "IH0"] * 20]])[0] == [["T", "UW1"]]
