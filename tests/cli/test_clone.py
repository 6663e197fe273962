from pathlib import Path

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.audio.recordings import read_audio
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.storage import save_voice
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice


@pytest.fixture
def clone(tmp_path, monkeypatch):
    """Run ``lvc clone`` of a voice that was never trained on a.wav and other files; gives the exit status."""
    monkeypatch.chdir(tmp_path)
    save_voice(small_voice(), tmp_path / "voice")
    soundfile.write("a.wav", speech_like(2.0).audio, 16000)

    def run(*references, options=()):
        return main(["clone", "--checkpoint", "voice", "--source", "a.wav", "--reference", *references, "--output",
                     "c.wav", *options])  # fmt: skip

    return run


def test_clean_recordings_are_cloned_without_a_word(clone, capsys):
    soundfile.write("b.wav", speech_like(2.0, speaker=1).audio, 16000)
    assert clone("b.wav") == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out == "c.wav: 2.00 s at 16000 Hz\n"
    assert len(read_audio("c.wav")[0]) == 32000


def test_notes_name_the_file_a_line_each_on_the_error_output(clone, capsys):
    audio = speech_like(2.0, speaker=1).audio
    soundfile.write("b.wav", np.clip(4 * audio, -1, 1), 16000)
    soundfile.write("d.wav", audio + 0.1 * np.random.default_rng(0).standard_normal(len(audio)), 16000)
    assert clone("b.wav", "d.wav") == 0
    clipped, noisy = capsys.readouterr().err.splitlines()
    assert clipped.startswith("note: b.wav is clipped: ")
    assert noisy.startswith("note: d.wav is noisy, ")
    with_denoising = read_audio("c.wav")[0]
    assert clone("b.wav", "d.wav", options=["--denoise", "off"]) == 0
    assert capsys.readouterr().err.splitlines() == [clipped]
    assert not np.array_equal(read_audio("c.wav")[0], with_denoising)


def test_a_reference_without_speech_and_a_misspelt_setting_are_one_line(clone, capsys):
    soundfile.write("b.wav", 0.1 * np.random.default_rng(0).standard_normal(32000), 16000)
    assert clone("b.wav") == 2
    told = capsys.readouterr().err
    assert told.startswith("lvc: error: no speech found in b.wav: ")
    assert told.count("\n") == 1
    assert clone("b.wav", options=["--denoise", "of"]) == 2
    assert "denoise is 'of' (did you mean off?); give auto, on, off" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--output", "c.mp3"], "c.mp3: cannot write .mp3; name it .wav or .flac"),
        (["--output", "c"], "c: cannot write a file without suffix"),
        (["--output", "voice.wav/c.wav"], "voice.wav/c.wav cannot be written: "),
        (["--output", "voice"], "voice cannot be written: a folder is there; name another file"),
        (["--seed", "-1"], "the seed is -1; it must be from 0 to"),
        (["--seed", "99999999999999999999"], "the seed is 99999999999999999999; it must be"),
        (["--guidance", "3"], "guidance is 3; it must be from 0, for none, to 2"),
        (["--vocoder", "griffinlim"], "no vocoder is called 'griffinlim' (did you mean GriffinLim?)"),
    ],
)
def test_what_cannot_be_is_one_line_and_writes_nothing(clone, capsys, options, words):
    soundfile.write("b.wav", speech_like(2.0, speaker=1).audio, 16000)
    Path("voice.wav").touch()
    assert clone("b.wav", options=options) == 2
    told = capsys.readouterr().err
    assert told.startswith("lvc: error: ")
    assert words in told
    assert told.count("\n") == 1
    assert sorted(path.name for path in Path().iterdir()) == ["a.wav", "b.wav", "voice", "voice.wav"]
