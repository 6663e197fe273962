"""Styles in speech from text: recordings, labels, pictures and vectors, and what is refused."""

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.styles import style_vector
from lightning_voiceclone.networks.style_encoders.labels import StyleLabels
from lightning_voiceclone.networks.style_encoders.tokens import GlobalStyleTokens
from lightning_voiceclone.networks.text_encoders.parallel import ParallelTextEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.styles import PictureStyleEncoder, styled_speech
from lightning_voiceclone.testing.text_encoders import TableTextEncoder
from lightning_voiceclone.testing.voices import STREAMER, small_streaming_voice

SMALL = {"width": 64, "hidden": 32, "layers": 1, "frame_layers": 1}
TEXT = "Hello there."


def model(styles):
    """A model whose text encoder takes such styles."""
    torch.manual_seed(0)
    encoder = ParallelTextEncoder(STREAMER, **SMALL, style_encoder=styles)
    return Converter(small_streaming_voice(text_encoder=encoder.eval()), note=lambda line: None)


@pytest.fixture(scope="module")
def tokens():
    torch.manual_seed(0)
    return model(GlobalStyleTokens(channels=8, tokens=3, heads=2, width=8, layers=1))


@pytest.fixture(scope="module")
def labels():
    return model(StyleLabels(channels=4))


@pytest.fixture(scope="module")
def speaker(labels):
    return labels.speaker((speech_like(2.0).audio, 16000))  # the same encoders in all models


def vector(converter, style):
    return style_vector(converter, converter.voice.text_encoder, style)


def test_a_label_changes_what_is_spoken_and_none_changes_nothing(labels, speaker):
    neutral, happy = (labels.synthesizer(speaker, style=style) for style in (None, "happy"))
    plain = labels.voice.text_encoder
    style, plain.style = plain.style, None  # as one that takes no style
    try:
        without = labels.say(TEXT, speaker).samples
    finally:
        plain.style = style
    assert torch.equal(neutral.say(TEXT), without)
    spoken = happy.say(TEXT)
    assert len(spoken) != len(without) or (spoken - without).abs().max() > 1e-3
    assert torch.equal(spoken, labels.say(TEXT, speaker, style="happy").samples)
    assert happy.identity != neutral.identity  # so that a book in another style is rendered anew


def test_a_recording_is_a_style_by_path_and_by_samples(tokens, tmp_path):
    audio = styled_speech("fast", seed=1, tokens=20).audio.numpy()
    soundfile.write(tmp_path / "a.wav", audio, 16000, subtype="FLOAT")
    by_path, by_samples = vector(tokens, str(tmp_path / "a.wav")), vector(tokens, (audio, 16000))
    assert by_path.shape == (1, 8)
    torch.testing.assert_close(by_path, by_samples)
    other = vector(tokens, (styled_speech("slow", seed=1, tokens=20).audio.numpy(), 16000))
    assert (by_path - other).abs().max() > 1e-4


def test_a_style_encoder_of_pictures_can_be_plugged_in(speaker, tmp_path):
    pictures = model(PictureStyleEncoder())
    for name, power in (("dark", 3), ("bright", 0.3)):
        np.save(tmp_path / f"{name}.npy", np.random.default_rng(0).random((8, 8)) ** power)
    dark, bright = (pictures.synthesizer(speaker, style=tmp_path / f"{name}.npy") for name in ("dark", "bright"))
    assert not torch.equal(dark._prompt.style, bright._prompt.style)
    encoder = pictures.voice.text_encoder.style_encoder
    read = encoder(encoder.read(str(tmp_path / "dark.npy"))[None])[0]
    by_vector = pictures.synthesizer(speaker, style=read)
    assert torch.equal(by_vector.say(TEXT), dark.say(TEXT))
    with pytest.raises(ConfigurationError, match=r"there is no picture at 'none\.npy'"):
        pictures.synthesizer(speaker, style="none.npy")


def test_what_is_no_style_is_refused_in_a_line(tokens, labels, speaker, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(16000), 16000)
    soundfile.write(tmp_path / "short.wav", speech_like(0.4).audio, 16000)
    plain = Converter(small_streaming_voice(text_encoder=TableTextEncoder(STREAMER)), note=lambda line: None)
    sound = (speech_like(1.0).audio, 16000)
    cases = [
        (plain, "happy", ConfigurationError, "there is a style ('happy'), but this model's text encoder,"
         " TableTextEncoder, takes none"),
        (plain, sound, ConfigurationError, "there is a style (a recording)"),
        (labels, "hapy", ConfigurationError, "no style is called 'hapy' (did you mean happy?); there are neutral,"
         " happy, sad, angry"),
        (labels, sound, ConfigurationError, "the style is a recording, but StyleLabels takes a value"),
        (labels, torch.zeros(5), ConfigurationError, "of the shape (5,), but ParallelTextEncoder takes (4,) finite"),
        (labels, torch.full((4,), torch.nan), ConfigurationError, "the style vector is not finite"),
        (tokens, "happy", ConfigurationError, "the style is 'happy', and there is no such file; GlobalStyleTokens"),
        (tokens, str(tmp_path / "silent.wav"), RecordingError, "silent.wav is silent"),
        (tokens, str(tmp_path / "short.wav"), RecordingError, "lasts 0.40 s, at least 0.5 s are needed"),
    ]  # fmt: skip
    for converter, style, kind, words in cases:
        with pytest.raises(kind) as error:
            converter.synthesizer(speaker, style=style)
        assert words in str(error.value)
        assert "\n" not in str(error.value)
