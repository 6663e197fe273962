"""The coach with the weights that ship, on what the model that ships says: a planted error is found."""

from importlib.resources import files

import pytest

import lightning_voiceclone as lvc
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.inference.coaching import Coach
from lightning_voiceclone.networks.phone_classifier import SHIPPED, PhoneScores
from lightning_voiceclone.testing.signals import speech_like

pytestmark = pytest.mark.slow
TEXT = "Please sell me seven red roses."
PLANTED = TEXT.replace("sell", '<phoneme alphabet="x-arpabet" ph="TH EH1 L">sell</phoneme>')


@pytest.fixture(scope="module")
def coach():
    model = lvc.load_model("default")
    return Coach(model.synthesizer(model.speaker((speech_like(3.0).audio, 16000))), PhoneScores())


@pytest.fixture(scope="module")
def attempt(coach):
    return coach.synthesizer.say(TEXT)


def test_its_weights_are_small():
    assert (files("lightning_voiceclone") / SHIPPED).stat().st_size < 3e5


def test_a_planted_error_is_found_and_only_its_neighbours_change(coach, attempt):
    right, wrong = coach.assess(TEXT, attempt), coach.assess(PLANTED, attempt)
    assert right.tempo == pytest.approx(1, abs=0.15)
    at = [one.phoneme for one in right.phonemes].index("S")
    assert not right.phonemes[at].flagged
    assert (wrong.phonemes[at].phoneme, wrong.phonemes[at].nearest, wrong.phonemes[at].flagged) == ("TH", "S", True)
    assert [one.score for one in wrong.phonemes[at + 2 :]] == [one.score for one in right.phonemes[at + 2 :]]


def test_an_attempt_at_another_text_is_refused(coach, attempt):
    with pytest.raises(RecordingError, match="does not seem to say this text"):
        coach.assess("Nobody knew what to think of our old house.", attempt)
