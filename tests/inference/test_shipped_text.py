"""The model that ships for text: what it needs is there, it fits, and it speaks."""

from pathlib import Path

import pytest
import torch

import lightning_voiceclone as lvc
from lightning_voiceclone.checkpoints.voice_folder import voice_path
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.text.frontend import FrontEnd

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model():
    return lvc.load_model("default")


@pytest.fixture(scope="module")
def speaker(model):
    made = speech_like(3.0)
    return model.speaker((made.audio, made.sample_rate))


def test_its_weights_are_small():
    folder = voice_path("default")
    assert (folder / "weights.safetensors").stat().st_size < 7.5e6
    assert (folder.parent / "text/weights.safetensors").stat().st_size < 5e6
    assert (voice_path("default") / "MODEL_CARD.md").is_file()
    assert voice_path("other") == Path("other")


def test_it_speaks_the_same_again_and_longer_texts_for_longer(model, speaker):
    one = model.say("Good morning.", speaker)
    assert one.sample_rate == 16000
    assert torch.as_tensor(one.samples).isfinite().all()
    assert 0.4 < len(one.samples) / 16000 < 2.0
    assert torch.equal(torch.as_tensor(model.say("Good morning.", speaker).samples), torch.as_tensor(one.samples))
    more = model.say("Good morning. The train leaves at half past nine from platform two.", speaker)
    assert len(more.samples) > 3 * len(one.samples)


def test_each_phoneme_has_a_frame_at_four_times_the_tempo(model):
    encoder = model.voice.text_encoder
    tokens = torch.tensor([FrontEnd().pronounce("She sells sea shells by the sea shore.").tokens])
    durations = encoder.durations(tokens, torch.tensor([tokens.shape[1]]))
    phonemes = tokens >= encoder.phonemes
    assert (durations[phonemes] >= 1).all()
    assert 10 * durations.sum() < 6000  # ms
    script = encoder(tokens, torch.tensor([tokens.shape[1]]), speed=4.0)
    assert int(script.lengths) >= int(phonemes.sum())


def test_it_converts_recordings_too(model, speaker):
    source = speech_like(2.0, speaker=1)
    made = model.convert((source.audio, source.sample_rate), speaker)
    assert abs(len(made.samples) - 32000) <= 160
