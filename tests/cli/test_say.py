"""``lvc say``: texts, files, standard input, lines, subtitles, times, and what it refuses."""

import io
import json

import pytest
import soundfile

from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.networks.style_encoders.labels import StyleLabels
from lightning_voiceclone.networks.text_encoders.parallel import ParallelTextEncoder
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.text_encoders import TableTextEncoder
from lightning_voiceclone.testing.voices import STREAMER, small_streaming_voice


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A voice with a text encoder, one without, and a reference."""
    folder = tmp_path_factory.mktemp("say")
    save_voice(small_streaming_voice(text_encoder=TableTextEncoder(STREAMER)), folder / "voice")
    save_voice(small_streaming_voice(), folder / "mute")
    styled = ParallelTextEncoder(STREAMER, width=64, hidden=32, layers=1, frame_layers=1, style_encoder=StyleLabels())
    save_voice(small_streaming_voice(text_encoder=styled), folder / "styled")
    soundfile.write(folder / "b.wav", speech_like(2.0).audio, 16000)
    return folder


@pytest.fixture
def say(files, tmp_path, monkeypatch):
    """The command with the voice and the reference, in an empty folder."""
    monkeypatch.chdir(tmp_path)
    voice = ["--checkpoint", str(files / "voice"), "--reference", str(files / "b.wav")]
    return lambda *words: main(["say", *words, *voice])


def lines_of(capsys):
    captured = capsys.readouterr()
    return captured.out.splitlines(), captured.err.splitlines()


def test_a_text_to_a_file_with_all_that_is_known_of_it(say, capsys, tmp_path):
    assert say("Hello ☃ there. I paid $2 <break time='300ms'/>now.", "--output", "c.wav", "--explain",
               "--timestamps", "t.json") == 0  # fmt: skip
    out, err = lines_of(capsys)
    info = soundfile.info("c.wav")
    assert (info.samplerate, info.channels, info.subtype) == (16000, 1, "PCM_16")
    assert out[0].split() == ["WRITTEN", "SPOKEN", "ORIGIN", "SECOND", "PHONEMES", "AND", "MILLISECONDS"]
    assert out[1].split() == ["Hello", "hello", "dictionary", "0.00", "HH", "50", "AH0", "100", "L", "50", "OW1", "100"]
    assert out[-1] == f"c.wav: {info.frames / 16000:.2f} s at 16000 Hz"
    assert err == ["note: ☃ (SNOWMAN) at character 7 is not spoken"]
    times = json.loads((tmp_path / "t.json").read_text())
    assert times["seconds"] == pytest.approx(info.frames / 16000)
    assert times["words"][-1]["word"] == "now"


def test_a_file_and_standard_input_are_the_same(say, monkeypatch, tmp_path):
    (tmp_path / "a.txt").write_text("Hello there.", encoding="utf-16")
    assert say("--text-file", "a.txt", "--output", "a.wav") == 0
    for words in (["-"], ["--text-file", "-"]):
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"Hello there.")))
        assert say(*words, "--output", "b.flac") == 0
        assert (soundfile.read("a.wav")[0] == soundfile.read("b.flac")[0]).all()


def test_the_same_seed_and_text_give_the_same_bytes(say, tmp_path):
    for name, rate in (("a", "1"), ("b", "1"), ("c", "1.5")):
        assert say("Hello there, you.", "--output", f"{name}.wav", "--rate", rate) == 0
    one, two, fast = ((tmp_path / f"{name}.wav").read_bytes() for name in "abc")
    assert one == two
    assert len(fast) == pytest.approx(len(one) / 1.5, rel=0.05)


def test_lines_to_a_folder(say, capsys, tmp_path):
    (tmp_path / "lines.txt").write_text("One.\n\nTwo, three.\n")
    assert say("--text-file", "lines.txt", "--output", "folder") == 0
    assert sorted(path.name for path in (tmp_path / "folder").iterdir()) == ["001.wav", "002.wav", "all.wav"]
    (tmp_path / "lines.txt").write_text("One.\n\n...\n")
    assert say("--text-file", "lines.txt", "--output", "folder") == 2
    assert lines_of(capsys)[1][-1] == "lvc: error: line 3 of the text: the text has no word; give it at least one"


def test_a_lexicon_comes_first(say, capsys, tmp_path):
    (tmp_path / "own.tsv").write_text("hello\tAH0 L OW1\n")
    assert say("Hello", "--lexicon", "own.tsv", "--explain") == 0
    assert lines_of(capsys)[0][1].split()[2] == "lexicon"


def test_subtitles_and_the_cue_that_does_not_fit(say, capsys, tmp_path):
    (tmp_path / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n\n"
                                       "2\n00:00:02,000 --> 00:00:02,100\nFar too long for it.\n")  # fmt: skip
    assert say("film.srt", "--output", "dub.wav", "--timestamps", "t.vtt") == 1
    out, err = lines_of(capsys)
    assert out == ["dub.wav: 2.10 s at 16000 Hz"]
    assert err[-1].startswith("error: film.srt, line 6: the cue of 00:00:02,000 has 0.10 s")
    assert "00:00:01.000 --> " in (tmp_path / "t.vtt").read_text()
    (tmp_path / "film.srt").write_text("1\n00:00:01,000 --> 00:00:01,500\nHello\n")
    assert say("--text-file", "film.srt", "--output", "dub.wav") == 0


def test_a_name_with_a_space_is_subtitles(say, capsys, tmp_path):
    (tmp_path / "My film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    for words in (["My film.srt"], ["--text-file", "My film.srt"]):
        assert say(*words, "--output", "dub.wav") == 0
        assert lines_of(capsys)[0] == ["dub.wav: 2.00 s at 16000 Hz"]
    assert say("I open film.srt", "--output", "c.wav", "--explain") == 0
    assert lines_of(capsys)[0][1].split()[:2] == ["I", "i"]


def test_a_style_is_followed_and_explained(files, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    voice = ["--checkpoint", str(files / "styled"), "--reference", str(files / "b.wav")]
    for style in ("sad", "happy"):
        assert main(["say", "Hello there.", *voice, "--style", style, "--output", f"{style}.wav", "--explain"]) == 0
        assert lines_of(capsys)[0][-2] == f"style: {style}, by StyleLabels"
    assert (tmp_path / "sad.wav").read_bytes() != (tmp_path / "happy.wav").read_bytes()
    (tmp_path / "happy").mkdir()  # a label is no input, even where a folder has its name
    assert main(["say", "Hello there.", *voice, "--style", "happy", "--output", "happy"]) == 0
    assert {path.name for path in (tmp_path / "happy").glob("*.wav")} == {"001.wav", "all.wav"}
    capsys.readouterr()
    assert main(["say", "Hello there.", *voice, "--style", "hapy", "--output", "c.wav"]) == 2
    assert lines_of(capsys)[1] == [
        "lvc: error: no style is called 'hapy' (did you mean happy?); there are neutral, happy, sad, angry"
    ]


def test_a_folder_of_other_recordings_is_refused(say, files, capsys, tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "001.wav").write_bytes((files / "b.wav").read_bytes())
    assert say("Hello", "--output", "folder") == 2
    assert "folder has 001.wav but no all.wav" in lines_of(capsys)[1][0]
    assert (tmp_path / "folder" / "001.wav").read_bytes() == (files / "b.wav").read_bytes()


def test_subtitles_are_one_recording(say, capsys, tmp_path):
    (tmp_path / "film.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nHello\n")
    assert say("film.srt", "--output", "folder") == 2
    assert "subtitles are one recording" in lines_of(capsys)[1][0]


def test_bytes_of_another_encoding_and_long_texts(say, capsys, tmp_path):
    (tmp_path / "a.txt").write_bytes("Grüße".encode("latin-1"))
    assert say("--text-file", "a.txt", "--output", "c.wav") == 2
    (tmp_path / "a.txt").write_bytes(b"a " * 1_000_001)
    assert say("--text-file", "a.txt", "--output", "c.wav") == 2
    errors = lines_of(capsys)[1]
    assert errors[0] == "lvc: error: a.txt is not UTF-8: byte 2 is 0xfc; save it as UTF-8"
    assert "at most 2,000,000 are read at once" in errors[1]
    assert not (tmp_path / "c.wav").exists()


@pytest.mark.parametrize(
    "text", ["x" * 200, "9" * 40, "He\x00l\x1blo wor\u200bld", "Hi \ud800 there", "NASA FBI 🙂 hi"]
)
def test_odd_texts_are_spoken(say, text, tmp_path):
    assert say(text, "--output", "c.wav") == 0
    assert soundfile.info("c.wav").frames > 1000


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ([], "give either a text or --text-file"),
        (["a", "--text-file", "a.txt", "--output", "c.wav"], "give either a text or --text-file"),
        (["Hello"], "there is no --output"),
        (["", "--output", "c.wav"], "the text is empty"),
        (["... ,", "--output", "c.wav"], "the text has no word"),
        (["🙂", "--output", "c.wav"], "SLIGHTLY SMILING FACE"),
        (["Привет", "--output", "c.wav"], "CYRILLIC CAPITAL LETTER PE"),
        (["Hello Привет", "--output", "c.wav"], "at character 7"),
        (["<b>x</b>", "--output", "c.wav"], "line 1, column 1: <b> is no markup"),
        (["Hello", "--output", "c.mp3"], "cannot write .mp3"),
        (["Hello", "--output", "c.wav", "--rate", "9"], "rate is 9"),
        (["Hello", "--output", "c.wav", "--pitch", "99"], "99"),
        (["Hello", "--output", "c.wav", "--style", "happy"], "there is a style ('happy'), but this model's text"),
        (["Hello", "--output", "c.wav", "--timestamps", "t.txt"], "must end in .json"),
        (["none.srt", "--output", "c.wav"], "none.srt"),
        (["--text-file", "none.txt", "--output", "c.wav"], "none.txt"),
    ],
)
def test_errors_are_one_line_and_status_2(say, capsys, words, told, tmp_path):
    assert say(*words) == 2
    (line,) = lines_of(capsys)[1]
    assert line.startswith("lvc: error: ")
    assert told in line
    assert list(tmp_path.iterdir()) == []


def test_models_that_cannot_speak_are_refused_in_a_line(files, capsys):
    assert main(["say", "Hello", "--checkpoint", str(files / "mute"), "--output", str(files / "c.wav")]) == 2
    assert main(["say", "Hello", "--checkpoint", str(files / "voice"), "--output", str(files / "c.wav")]) == 2
    mute, nobody = lines_of(capsys)[1]
    assert "this model has no text encoder" in mute
    assert "no reference given; pass one (--reference)" in nobody


def test_a_text_that_reference_took_is_named(files, capsys):
    assert main(["say", "--reference", str(files / "b.wav"), "Hello there", "--output", "c.wav"]) == 2
    assert "there is no text: --reference took 'Hello there'; give the text before it" in lines_of(capsys)[1][0]


def test_an_output_never_replaces_an_input(say, files, capsys):
    reference = files / "b.wav"
    before = reference.read_bytes()
    assert say("Hello", "--output", str(reference)) == 2
    assert "is the same file as the input" in lines_of(capsys)[1][0]
    assert reference.read_bytes() == before
    assert say("Hello", "--style", str(reference), "--output", str(reference), "--reference", "other.wav") == 2
    assert "is the same file as the input" in lines_of(capsys)[1][0]
