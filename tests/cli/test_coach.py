"""``lvc coach``: its three files, and what it refuses."""

import json
import os
import threading

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.networks import phone_classifier
from lightning_voiceclone.networks.aligner import CLASSES, classes
from lightning_voiceclone.networks.phone_classifier import PhoneClassifier
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.text_encoders import TableTextEncoder
from lightning_voiceclone.testing.voices import STREAMER, small_streaming_voice

pytestmark = pytest.mark.slow


class Scores:
    """Of any attempt: K AE T in the first 0.3 s, and silence."""

    def __init__(self):
        self.classifier = PhoneClassifier(6, 4)
        self.classifier.native[:] = torch.linspace(0, 16, 33)

    def __call__(self, audio):
        labels = [kind for kind in classes(["K", "AE1", "T"]) for _ in range(10)]
        labels += [0] * (len(audio) // 160 - len(labels))
        logits = 8 * torch.eye(len(CLASSES))[labels]
        logits[:10, CLASSES.index("G")] = 4.0
        return logits.log_softmax(1)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("coach")
    save_voice(small_streaming_voice(text_encoder=TableTextEncoder(STREAMER)), folder / "voice")
    soundfile.write(folder / "me.wav", speech_like(2.0).audio, 16000)
    soundfile.write(folder / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(folder / "noise.wav", 0.1 * np.random.default_rng(0).normal(size=32000), 16000)
    soundfile.write(folder / "long.wav", np.tile(speech_like(2.0).audio, 31), 16000)
    (folder / "empty.wav").touch()
    return folder


@pytest.fixture
def coach(files, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(phone_classifier, "PhoneScores", Scores)

    def run(text, attempt, *words):
        return main(["coach", "--text", text, "--attempt", str(files / attempt), "--output", "out", "--checkpoint",
                     str(files / "voice"), *words])  # fmt: skip

    return run


def test_three_files_and_a_line_for_what_is_wrong(coach, capsys, tmp_path):
    assert coach("Cat.", "me.wav") == 0
    assert capsys.readouterr().out.startswith("out: 0 of 3 phonemes flagged, mean score ")
    assert {path.name for path in (tmp_path / "out").iterdir()} == {"report.json", "report.png", "sentence.wav"}
    assert soundfile.info("out/sentence.wav").samplerate == 16000
    (tmp_path / "own.tsv").write_text("cat\tG AE1 T\n")
    assert coach("Cat.", "me.wav", "--lexicon", "own.tsv") == 0
    assert capsys.readouterr().out.splitlines()[1].split()[1:5] == ["cat", "G", "0%", "K"]
    (word,) = json.loads((tmp_path / "out/report.json").read_text())["words"]
    assert [one["flagged"] for one in word["phonemes"]] == [True, False, False]


def test_an_attempt_may_be_a_pipe(coach, files, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    data = (files / "me.wav").read_bytes()
    writer = threading.Thread(target=lambda: (tmp_path / "pipe").write_bytes(data))
    writer.start()
    assert coach("Cat.", tmp_path / "pipe") == 0
    writer.join()


@pytest.mark.parametrize(("text", "attempt", "message"), [
    ("Cat.", "silent.wav", "is silent"),
    ("Cat.", "noise.wav", "no speech found in"),
    ("Cat.", "long.wav", "lasts 62 s; it may last 60 s at most"),
    ("Cat.", "empty.wav", "empty.wav"),
    ("Zoo view moon.", "me.wav", "does not seem to say this text"),
    ("Cat. " * 100, "me.wav", "200 frames for 300 phonemes"),
    ("...", "me.wav", "the text has no word"),
])  # fmt: skip
def test_what_cannot_be_assessed_is_one_line(coach, capsys, tmp_path, text, attempt, message):
    assert coach(text, attempt) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("lvc: error: ")
    assert message in error
    assert not list(tmp_path.iterdir())


def test_an_output_that_would_replace_an_input_is_refused(coach, capsys, files, tmp_path):
    (tmp_path / "out").mkdir()
    soundfile.write(tmp_path / "out/sentence.wav", speech_like(2.0).audio, 16000)
    assert coach("Cat.", "me.wav", "--reference", "out/sentence.wav") == 2
    assert "sentence.wav" in capsys.readouterr().err
