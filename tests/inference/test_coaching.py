"""An attempt, phoneme by phoneme: scores, lengths, pitch, pronunciations, and what is refused; and its report."""

import json
import math

import numpy as np
import pytest
import torch
from PIL import Image

from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.inference.coach_report import as_json, draw, flagged_rows
from lightning_voiceclone.inference.coaching import Coach
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.networks.aligner import CLASSES, classes
from lightning_voiceclone.networks.phone_classifier import PhoneClassifier
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.text_encoders import TableTextEncoder
from lightning_voiceclone.testing.voices import STREAMER, small_streaming_voice

TEXT = "Think of either."
PHONEMES = ["TH", "IH1", "NG", "K", "AH1", "V", "IY1", "DH", "ER0"]
LENGTH, PAUSE = 10, 20  # frames of a phoneme, of the silence at both ends


class Planted:
    """Scores of an attempt that says certain phonemes, ten frames each; natives have a goodness of 0 to 16."""

    def __init__(self, phonemes):
        self.classifier = PhoneClassifier(6, 4)
        self.classifier.native[:] = torch.linspace(0, 16, 33)
        labels = [0] * PAUSE + [kind for kind in classes(phonemes) for _ in range(LENGTH)] + [0] * PAUSE
        logits = 8 * torch.eye(len(CLASSES))[labels]
        logits[torch.tensor(labels) == CLASSES.index("S"), CLASSES.index("TH")] = 4.0
        self.table = logits.log_softmax(1)

    def __call__(self, audio):
        return self.table


@pytest.fixture(scope="module")
def synthesizer():
    model = Converter(small_streaming_voice(text_encoder=TableTextEncoder(STREAMER)), note=lambda line: None)
    return model.synthesizer(model.speaker((speech_like(2.0).audio, 16000)))


def attempt(phonemes):
    """Samples (N,) of a tone of 100 Hz, an octave higher in the second phoneme."""
    frames = 2 * PAUSE + LENGTH * len(phonemes)
    f0 = np.full(frames * 160, 100.0)
    f0[(PAUSE + LENGTH) * 160 : (PAUSE + 2 * LENGTH) * 160] = 200.0
    phase = 2 * np.pi * np.cumsum(f0) / 16000
    return torch.from_numpy(sum(np.sin(k * phase) for k in (1, 2, 3)) / 6).float()


def assessed(synthesizer, phonemes, text=TEXT, own=None):
    return Coach(synthesizer, Planted(phonemes), own).assess(text, attempt(phonemes))


def test_what_is_said_right_has_high_scores_and_its_times(synthesizer):
    made = assessed(synthesizer, PHONEMES)
    assert [one.phoneme for one in made.phonemes] == PHONEMES
    assert [one.start for one in made.phonemes] == pytest.approx([0.2 + 0.1 * at for at in range(9)])
    assert not any(one.flagged for one in made.phonemes)
    assert [word.word.spoken for word in made.words] == ["think", "of", "either"]
    assert [" ".join(one) for one in made.words[2].accepted] == ["IY1 DH ER0", "AY1 DH ER0"]
    assert list(flagged_rows(made)) == []


def test_a_wrong_phoneme_is_flagged_alone_and_the_one_in_its_place_named(synthesizer):
    right, wrong = assessed(synthesizer, PHONEMES), assessed(synthesizer, ["S", *PHONEMES[1:]])
    assert [one.flagged for one in wrong.phonemes] == [True] + [False] * 8
    assert (wrong.phonemes[0].score, wrong.phonemes[0].nearest) == (0.0, "S")
    assert wrong.phonemes[2:] == right.phonemes[2:]
    assert next(flagged_rows(wrong))[:5] == ("0.20", "think", "TH", "0%", "S")


def test_another_accepted_pronunciation_is_right(synthesizer):
    made = assessed(synthesizer, [*PHONEMES[:6], "AY1", *PHONEMES[7:]])
    assert made.words[2].word.phonemes == ("AY1", "DH", "ER0")
    assert not any(one.flagged for one in made.phonemes)
    assert assessed(synthesizer, PHONEMES[:3], "think", {"think": [("TH", "IH1", "NG")]}).phonemes[-1].flagged


def test_lengths_and_pitch_beside_those_of_the_text_encoder(synthesizer):
    made = assessed(synthesizer, PHONEMES)
    # The text encoder gives vowels 100 ms and others 50: 650 ms for what the attempt says in 900.
    assert made.tempo == pytest.approx(650 / 900)
    assert made.phonemes[0].expected_seconds == pytest.approx(0.05 / made.tempo)
    assert sum(one.expected_seconds for one in made.phonemes) == pytest.approx(0.9)
    assert made.register == pytest.approx(100, rel=0.02)
    assert made.phonemes[1].pitch == pytest.approx(12, abs=0.3)
    assert made.phonemes[4].pitch == pytest.approx(0, abs=0.3)
    assert made.phonemes[1].expected_pitch == pytest.approx(0)
    assert made.phonemes[0].expected_pitch is None


def test_what_says_something_else_or_is_too_short_or_too_long_is_refused(synthesizer):
    with pytest.raises(RecordingError, match="does not seem to say this text: 0% of its phonemes"):
        assessed(synthesizer, ["M", "UW1", "Z", "L", "EY1", "B", "OW1", "R", "W"])
    with pytest.raises(RecordingError, match="it must have one for each"):
        assessed(synthesizer, PHONEMES, TEXT * 20)
    with pytest.raises(RecordingError, match="lasts 61 s; it may last 60 s at most"):
        Coach(synthesizer, Planted(PHONEMES)).assess(TEXT, torch.zeros(61 * 16000))


@pytest.mark.slow
def test_the_report_has_all_of_it_and_a_picture(synthesizer, tmp_path):
    made = assessed(synthesizer, ["S", *PHONEMES[1:]])
    listed = json.loads(as_json(made))
    assert (listed["flagged"], listed["text"], len(listed["words"])) == (1, TEXT, 3)
    first = listed["words"][0]["phonemes"][0]
    assert (first["phoneme"], first["flagged"], first["nearest"], first["seconds"]) == ("TH", True, "S", 0.1)
    assert listed["words"][0]["characters"] == [0, 5]
    draw(made, attempt(PHONEMES).numpy(), 16000, tmp_path / "a.png")
    with Image.open(tmp_path / "a.png") as image:
        assert image.size[0] >= 800
        assert len(image.convert("RGB").getcolors(1 << 20)) > 100
    assert math.isfinite(listed["score"])
