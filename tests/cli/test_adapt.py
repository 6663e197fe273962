"""``lvc adapt``: a folder that needs no reference, or one line and nothing."""

import signal
import tempfile
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from forks import Fork

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.training.modules.voice import VoiceTraining


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A working directory with a tiny voice, recordings of one speaker, and a source."""
    monkeypatch.chdir(tmp_path)
    save_voice(small_voice(Dims(20, content=4, speaker=8, pitch=True)), tmp_path / "voice")
    (tmp_path / "speaker/deeper").mkdir(parents=True)
    for number, name in enumerate(("speaker/0.wav", "speaker/deeper/1.wav")):
        soundfile.write(name, speech_like(3.0, speaker=3, seed=number).audio, 16000)
    soundfile.write("a.wav", speech_like(2.0, speaker=1).audio, 16000)
    return tmp_path


def adapt(*options, data="speaker"):
    return main(["adapt", "--checkpoint", "voice", "--data", data, "--output", "someone", "--steps", "2", *options])


@pytest.mark.slow
def test_the_folder_clones_without_a_reference(folder, capsys):
    assert adapt() == 0
    told = capsys.readouterr()
    assert told.out.startswith("someone: adapted to 2 recording(s); hear it with\n  lvc clone --checkpoint someone")
    clone = ["clone", "--checkpoint", "someone", "--source", "a.wav", "--output", "c.wav"]
    assert main(clone) == 0
    assert soundfile.info("c.wav").frames == 32000
    assert main([*clone, "--speed", "2", "--pitch-shift", "12"]) == 0
    assert soundfile.info("c.wav").frames == 16000
    assert sorted(path.name for path in folder.iterdir()) == ["a.wav", "c.wav", "someone", "speaker", "voice"]


@pytest.mark.slow
def test_bits_and_an_adapted_voice_adapted_again(folder):
    assert adapt("--bits", "32") == 0
    exact = load_voice("someone")
    size = (folder / "someone/weights.safetensors").stat().st_size
    assert main(["adapt", "--checkpoint", "someone", "--data", "speaker", "--output", "again", "--steps", "1"]) == 0
    assert (folder / "again/weights.safetensors").stat().st_size < 0.8 * size
    again = load_voice("again")
    assert again.own.shapes() == exact.own.shapes()
    source = torch.from_numpy(speech_like(1.0).audio)
    assert torch.isfinite(again.convert(source, None, 16000)).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--steps", "0"], "steps is 0; it must be at least 1"),
        (["--learning-rate", "-1"], "the learning rate is -1; it must be above 0, as 1e-4"),
        (["--learning-rate", "nan"], "--learning-rate is 'nan', but must be a number"),
        (["--strength", "1.5"], "the strength is 1.5; it must be above 0 and at most 1"),
        (["--seed", "-1"], "the seed is -1; it must be from 0 to 4294967295"),
        (["--denoise", "of"], "denoise is 'of' (did you mean off?)"),
        (["--output", "speaker"], "speaker is there already and is not a model folder"),
        (["--data", "nowhere"], "nowhere: there is no such file or folder"),
        (["--data", "empty"], "no recordings (WAV, FLAC, OGG, Opus, MP3, AIFF, AU, CAF, W64) in empty"),
        (["--data", "short"], "the recordings last 2.0 s together; adaptation needs 5 s"),
        (["--data", "broken"], "broken/0.wav"),
    ],
)
def test_what_cannot_work_is_one_line_and_leaves_nothing(folder, capsys, options, words):
    (folder / "empty").mkdir()
    for name in ("short", "broken"):
        (folder / name).mkdir()
    soundfile.write("short/0.wav", speech_like(2.0).audio, 16000)
    (folder / "broken/0.wav").write_bytes(np.arange(100, dtype=np.uint8).tobytes())
    assert adapt(*options) == 2
    told = capsys.readouterr()
    assert told.err.startswith("lvc: error: ")
    assert words in told.err
    assert told.err.count("\n") == 1
    assert told.out == ""
    assert not (folder / "someone").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_leaves_the_voice_that_was_there(folder, monkeypatch, number):
    save_voice(load_voice("voice"), "someone")
    before = (folder / "someone/weights.safetensors").read_bytes()
    (folder / "temporary").mkdir()
    command = ["adapt", "--checkpoint", "voice", "--data", "speaker", "--output", "someone", "--steps", "100000"]
    step = VoiceTraining.training_step

    def first_step(*arguments):
        Path("begun").touch()
        return step(*arguments)

    monkeypatch.setattr(VoiceTraining, "training_step", first_step)
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "temporary"))
    with Fork(lambda: main(command), folder, TMPDIR=str(folder / "temporary")) as process:
        deadline = time.monotonic() + 240
        while not (folder / "begun").exists() and process.returncode is None and time.monotonic() < deadline:
            time.sleep(0.1)
        process.send_signal(number)
        out, err = process.communicate()
        assert process.returncode == 128 + number, err
    assert err.splitlines()[-1] == "lvc: interrupted"
    assert all(line.startswith("note: ") for line in err.splitlines()[:-1])
    assert out == ""
    assert (folder / "someone/weights.safetensors").read_bytes() == before
    assert not [
        path for path in (folder / "temporary").iterdir() if path.is_dir()
    ]  # libraries leave files of their own
    left = {"a.wav", "begun", "someone", "speaker", "temporary", "voice"}
    assert {path.name for path in folder.iterdir()} == left
