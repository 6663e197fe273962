"""A voice with a text encoder: chosen by name, saved, and loaded again."""

from dataclasses import replace

import pytest
import torch

from lightning_voiceclone.checkpoints.part_folder import load_part, save_part
from lightning_voiceclone.checkpoints.text_encoder_choice import set_text_encoder, text_dims
from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import AlignmentError, ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.text_encoders.parallel import ParallelTextEncoder
from lightning_voiceclone.testing.voices import small_voice

WIDTHS = Dims(20, content=4, speaker=8, pitch=True, energy=True)
TOKENS, LENGTHS = torch.tensor([[20, 1, 30, 5]]), torch.tensor([4])


@pytest.fixture
def folder(tmp_path, capsys):
    voice = small_voice(WIDTHS)
    save_voice(voice, tmp_path / "voice")
    torch.manual_seed(1)
    encoder = ParallelTextEncoder(text_dims(voice), width=64, hidden=32, layers=1, frame_layers=1)
    save_part(encoder, voice.spec, tmp_path / "text")
    return tmp_path


def test_widths_are_the_voices():
    assert text_dims(small_voice(WIDTHS)) == WIDTHS
    assert text_dims(small_voice(Dims(20, noise=2))) == Dims(20)


@pytest.mark.parametrize("bits", [32, 8])
def test_a_saved_voice_has_its_text_encoder(folder, bits):
    words = ["--text-encoder", str(folder / "text"), "--output", str(folder / "new"), "--bits", str(bits)]
    assert main(["save", str(folder / "voice"), *words]) == 0
    ours = load_part(folder / "text", "text_encoders")(TOKENS, LENGTHS)
    theirs = load_voice(folder / "new").text_encoder(TOKENS, LENGTHS)
    assert theirs.content.shape == ours.content.shape
    torch.testing.assert_close(theirs.content, ours.content, **({} if bits == 32 else {"rtol": 0.3, "atol": 0.3}))
    assert main(["save", str(folder / "new"), "--part", "text_encoder", "--output", str(folder / "part")]) == 0
    again = load_part(folder / "part", "text_encoders")(TOKENS, LENGTHS)
    assert torch.equal(again.content, theirs.content)


def test_a_text_encoder_that_cannot_align_one_phoneme_is_taken(folder, monkeypatch):
    def fails(*_):
        raise AlignmentError("no end is predicted within 1.02 s")

    monkeypatch.setattr(ParallelTextEncoder, "durations", fails)
    voice = load_voice(folder / "voice")
    set_text_encoder(voice, str(folder / "text"))
    assert voice.text_encoder is not None


def test_a_text_encoder_of_other_content_or_features_is_refused(folder):
    voice = load_voice(folder / "voice")
    other = ParallelTextEncoder(Dims(20, content=5), width=64, hidden=32, layers=1, frame_layers=1)
    save_part(other, voice.spec, folder / "other")
    with pytest.raises(SpecMismatchError, match="channels of the content is 4 in the model but 5"):
        set_text_encoder(voice, str(folder / "other"))
    save_part(voice.content_encoder, voice.spec, folder / "content")
    with pytest.raises(ConfigurationError, match="not of text_encoders"):
        set_text_encoder(voice, str(folder / "content"))
    save_part(load_part(folder / "text", "text_encoders"), MelSpectrogram(n_mels=21).spec, folder / "bands")
    with pytest.raises(SpecMismatchError, match="21"):
        set_text_encoder(voice, str(folder / "bands"))
    with pytest.raises(ConfigurationError, match="no content encoder"):
        set_text_encoder(small_voice(Dims(20, noise=2)), str(folder / "text"))


@pytest.mark.parametrize(("dims", "message"), [
    (replace(WIDTHS, speaker=5), r"cannot take a speaker of this voice \(8 numbers\)"),
    (replace(WIDTHS, pitch=False), "the voice takes f0, voicing, which the text encoder"),
    (replace(WIDTHS, energy=False), "the voice takes energy, which the text encoder"),
], ids=["speaker", "pitch", "energy"])  # fmt: skip
def test_a_text_encoder_of_another_speaker_or_without_prosody_is_refused(folder, dims, message):
    voice = load_voice(folder / "voice")
    save_part(ParallelTextEncoder(dims, width=64, hidden=32, layers=1, frame_layers=1), voice.spec, folder / "other")
    with pytest.raises(SpecMismatchError, match=message) as caught:
        set_text_encoder(voice, str(folder / "other"))
    assert "\n" not in str(caught.value)


def test_options_that_have_no_effect_are_refused(folder, capsys):
    part = ["--part", "content_encoder", "--text-encoder", str(folder / "text"), "--output", str(folder / "new")]
    assert main(["save", str(folder / "voice"), *part]) == 2
    assert "--text-encoder has no effect on the content_encoder" in capsys.readouterr().err
    assert main(["save", str(folder / "text"), "--text-encoder", "default", "--output", str(folder / "new")]) == 2
    assert "holds a vocoder or an encoder" in capsys.readouterr().err
