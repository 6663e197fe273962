"""Checkpoints that were made before the tree was rearranged (commit 31cb9ac), and what they give."""

import json
from pathlib import Path

import pytest
import torch

from lightning_voiceclone.checkpoints.part_folder import load_part
from lightning_voiceclone.checkpoints.vocoder_choice import load_vocoder
from lightning_voiceclone.checkpoints.voice_folder import load_voice
from lightning_voiceclone.features.prosody import Pitch
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.testing.signals import speech_like

FOLDER = Path(__file__).with_name("made_before")
EXPECTED = json.loads((FOLDER / "expected.json").read_text())


def check(name, values, every):
    expected = EXPECTED[name]
    torch.testing.assert_close(values[..., ::every].flatten(), torch.tensor(expected[f"every {every}th"]),
                               rtol=0, atol=1e-4)  # fmt: skip
    assert float(values.double().square().mean().sqrt()) == pytest.approx(expected["rms"], abs=1e-4)


def speech(seconds, speaker):
    return torch.from_numpy(speech_like(seconds, speaker=speaker, seed=speaker).audio)


@pytest.mark.slow
def test_a_voice(monkeypatch):
    # Pitch was computed in single precision then; in double the samples differ by 1.4e-4.
    computed = Pitch._normalised_difference
    monkeypatch.setattr(Pitch, "_normalised_difference", lambda self, frames: [
        found.float() for found in computed(self, frames.float())])  # fmt: skip
    voice = load_voice(FOLDER / "voice.ckpt")
    cloned = voice.convert(speech(1.0, 1), voice.prompt([speech(2.0, 2)], 16000), 16000)
    assert len(cloned) == EXPECTED["voice"]["samples"]
    check("voice", cloned, 500)


def test_a_vocoder():
    features = MelSpectrogram(n_mels=20, n_fft=320, win_length=320)(speech(1.0, 1)[None])
    audio = load_vocoder(FOLDER / "vocoder.ckpt")(features)[0]
    assert len(audio) == EXPECTED["vocoder"]["samples"]
    check("vocoder", audio, 500)


def test_an_encoder():
    content = load_part(FOLDER / "student.ckpt", "content_encoders")(MelSpectrogram(n_mels=20)(speech(1.0, 1)[None]))[0]
    assert list(content.shape) == EXPECTED["student"]["shape"]
    check("student", content, 10)
