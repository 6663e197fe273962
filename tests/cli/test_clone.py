import os
from pathlib import Path

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.cli.main import main
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


@pytest.mark.slow
def test_clean_recordings_are_cloned_without_a_word(clone, capsys):
    soundfile.write("b.wav", speech_like(2.0, speaker=1).audio, 16000)
    assert clone("b.wav") == 0
    told = capsys.readouterr()
    assert told.err == ""
    assert told.out == "c.wav: 2.00 s at 16000 Hz\n"
    assert len(read_audio("c.wav")[0]) == 32000


@pytest.mark.slow
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


@pytest.mark.slow
def test_a_truncated_recording_is_cloned_as_far_as_it_goes_with_a_note(clone, capsys):
    soundfile.write("b.wav", speech_like(3.0, speaker=1).audio, 16000)
    data = Path("b.wav").read_bytes()
    Path("b.wav").write_bytes(data[:70444])
    assert clone("b.wav") == 0
    assert capsys.readouterr().err == (
        "note: b.wav is truncated: its header promises 96000 bytes of sound, 70400 are there; what is there is used\n"
    )


@pytest.mark.slow
@pytest.mark.parametrize("name", ["a.wav", "./a.wav", "b.wav", "hard.wav", "symbolic.wav", "elsewhere/../a.wav"])
def test_an_input_is_never_written_over(clone, capsys, name):
    soundfile.write("b.wav", speech_like(2.0, speaker=1).audio, 16000)
    os.link("a.wav", "hard.wav")
    Path("symbolic.wav").symlink_to("b.wav")
    Path("elsewhere").mkdir()
    before = Path(name).read_bytes()
    assert clone("b.wav", options=["--output", name]) == 2
    told = capsys.readouterr().err
    assert f"lvc: error: --output {name} is the same file as the input " in told
    assert Path(name).read_bytes() == before


@pytest.mark.slow
def test_a_write_protected_file_is_not_replaced(clone, capsys):
    soundfile.write("b.wav", speech_like(2.0, speaker=1).audio, 16000)
    Path("c.wav").write_text("mine")
    Path("c.wav").chmod(0o444)
    assert clone("b.wav") == 2
    assert "c.wav is there already and is write-protected; name another file" in capsys.readouterr().err
    assert Path("c.wav").read_text() == "mine"


@pytest.mark.slow
def test_names_that_are_not_utf_8_are_cloned_and_shown(clone, capsys):
    name = os.fsdecode(b"\xe9.wav")
    try:
        soundfile.write(os.fsencode(name), speech_like(2.0, speaker=1).audio, 16000)
    except soundfile.LibsndfileError:
        pytest.skip("this file system takes UTF-8 alone")
    assert clone(name, options=["--output", f"made-{name}"]) == 0
    assert Path(f"made-{name}").exists()


@pytest.mark.slow
def test_a_reference_without_speech_and_a_misspelt_setting_are_one_line(clone, capsys):
    soundfile.write("b.wav", 0.1 * np.random.default_rng(0).standard_normal(32000), 16000)
    assert clone("b.wav") == 2
    told = capsys.readouterr().err
    assert told.startswith("lvc: error: no speech found in b.wav: ")
    assert told.count("\n") == 1
    assert clone("b.wav", options=["--denoise", "of"]) == 2
    assert "denoise is 'of' (did you mean off?); give auto, on, off" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--output", "c.mp3"], "c.mp3: cannot write .mp3; name it .wav or .flac"),
        (["--output", "c"], "c: cannot write a file without suffix"),
        (["--output", "voice.wav/c.wav"], "voice.wav/c.wav cannot be written: "),
        (["--output", "voice"], "voice cannot be written: a folder is there; name another file"),
        (["--jobs", "2"], "--jobs is 2, but there is one source, which one process converts"),
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
