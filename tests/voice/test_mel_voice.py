"""The voice of mel bands: what it is given it gives to the vocoder, and it converts no recording."""

import pytest
import torch

from lightning_voiceclone.checkpoints.voice_folder import load_voice, voice_path
from lightning_voiceclone.core.conditions import SpeakerPrompt
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.text_encoders import TableTextEncoder


@pytest.fixture(scope="module")
def voice():
    return load_voice("mel")


def test_it_is_small_and_has_a_card():
    assert (voice_path("mel") / "weights.safetensors").stat().st_size < 30_000
    assert (voice_path("mel") / "MODEL_CARD.md").is_file()


@pytest.mark.slow
@torch.inference_mode()
def test_what_it_gives_to_the_vocoder_is_the_content_to_the_bit(voice):
    audio = torch.from_numpy(speech_like(0.5).audio)
    script = voice.script(audio, 16000)
    analysis = voice.analyze(audio[None])
    assert torch.equal(script.content, analysis.features)
    assert torch.equal(voice.generator(voice.condition(script, SpeakerPrompt(script.lengths))), script.content)
    assert script.speaker is None


@pytest.mark.slow
def test_it_converts_no_recording_and_speaks_text(voice):
    recording = speech_like(1.0).audio, 16000
    model = Converter(voice, note=lambda line: None)
    speaker = model.speaker(recording)
    refusal = "LinearGenerator, takes no speaker: a recording would keep its own voice"
    with pytest.raises(ConfigurationError, match=refusal):
        model.convert(recording, speaker)
    with pytest.raises(ConfigurationError, match=refusal):
        model.stream(speaker)
    voice.text_encoder = TableTextEncoder(Dims(80, content=80))
    made = model.say("We go.", speaker)
    assert len(made.samples) > 1600
    assert torch.as_tensor(made.samples).isfinite().all()
