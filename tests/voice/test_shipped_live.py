"""The voice for live use that ships."""

import re

import pytest
import soundfile
import torch
from in_pieces import pushed, whole

from lightning_voiceclone.checkpoints.voice_folder import SHIPPED, load_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.voice.streaming import ChunkedConversion


@pytest.fixture(scope="module")
def voice():
    return load_voice("live")


def speech(seconds, speaker):
    return torch.from_numpy(speech_like(seconds, speaker=speaker).audio)


def test_it_looks_70_ms_ahead_and_is_small(voice):
    assert voice.latency == pytest.approx(0.07)
    assert not voice.guidance  # which would generate twice
    sizes = [path.stat().st_size for path in SHIPPED["live"].glob("*.safetensors")]
    assert sum(sizes) < 15.3e6


def test_it_has_the_speaker_encoder_of_the_one_for_files(voice):
    assert voice.speaker_encoder.weights_sha256 == load_voice("default").speaker_encoder.weights_sha256


@pytest.mark.slow
def test_chunks_of_20_ms_give_the_samples_of_the_whole(voice):
    source, prompt = speech(1.5, 1)[None], voice.prompt([speech(3.0, 5)], 16000)
    expected, known = whole(voice, source, prompt)
    made = pushed(ChunkedConversion(voice), source, prompt, 320, known=known)
    assert len(made) > 60
    torch.testing.assert_close(torch.cat(made, 1), expected, rtol=0, atol=1e-5)


@pytest.mark.slow
def test_lvc_live_needs_neither_checkpoint_nor_length_of_chunks(tmp_path, capsys):
    for name, speaker in (("a", 1), ("b", 5)):
        soundfile.write(tmp_path / f"{name}.wav", speech(2.0, speaker).numpy(), 16000)
    assert main(["live", "--input", f"{tmp_path}/a.wav", "--reference", f"{tmp_path}/b.wav",
                 "--output", f"{tmp_path}/c.wav", "--gate", "off"]) == 0  # fmt: skip
    made, rate = soundfile.read(tmp_path / "c.wav")
    assert abs(len(made) / rate - 2) < 0.5
    assert (made**2).mean() > 1e-6
    terms = re.search(r"chunk (\d+) \+ look-ahead (\d+) ", capsys.readouterr().err)
    assert terms is not None
    assert int(terms[1]) == 60
    assert int(terms[2]) <= 75  # 70 ms, up to the blocks of the simulated card
