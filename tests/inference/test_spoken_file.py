"""Speech to files: the samples, interruption, edits, lines in a folder."""

import tracemalloc
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference import spoken_file, unfinished
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.speech_pieces import Piece
from lightning_voiceclone.inference.spoken_file import joined, read_part, write_lines, write_speech
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.text_encoders import TableTextEncoder
from lightning_voiceclone.testing.voices import STREAMER, small_streaming_voice
from lightning_voiceclone.text.sentences import Sentences

TEXT = "One line. Another line, quite long. <break time='250ms'/>A third. The last one."


@pytest.fixture(scope="module")
def synthesizer():
    model = Converter(small_streaming_voice(text_encoder=TableTextEncoder(STREAMER)), note=lambda line: None)
    return model.synthesizer(model.speaker((speech_like(2.0).audio, 16000)))


@pytest.fixture(autouse=True)
def listed(monkeypatch):
    """Sentences of every output are listed."""
    monkeypatch.setattr(spoken_file, "LISTED_SECONDS", 0.5)


@pytest.fixture
def rendered(synthesizer, monkeypatch):
    """Texts that were rendered, in order."""
    made, render = [], synthesizer.render

    def counted(planned):
        made.append(" ".join(word.spoken for word in planned.spoken.words))
        return render(planned)

    monkeypatch.setattr(synthesizer, "render", counted)
    return made


def pieces(synthesizer, text=TEXT):
    return list(synthesizer.pieces(Sentences(synthesizer.front, text)))


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


class Stopped(BaseException):
    """As Ctrl-C."""


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_a_file_has_the_samples_of_the_text(synthesizer, tmp_path, suffix):
    places = write_speech(synthesizer, pieces(synthesizer), tmp_path / f"c.{suffix}")
    audio, rate = soundfile.read(tmp_path / f"c.{suffix}", dtype="float32")
    expected = synthesizer.say(TEXT).numpy()
    assert rate == 16000
    assert sum(places[-1]) == len(audio) == len(expected)
    assert np.abs(audio - expected).max() <= 2**-16 + 1e-6
    assert hidden(tmp_path) == [f".c.{suffix}.lvc-sentences"]


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_an_interrupted_file_goes_on_to_the_same_bytes(synthesizer, tmp_path, monkeypatch, rendered, suffix):
    one, two = tmp_path / f"one.{suffix}", tmp_path / f"two.{suffix}"
    write_speech(synthesizer, pieces(synthesizer), one)
    append, notes = unfinished.Unfinished.append, []

    def until(self, *args):
        append(self, *args)
        if self.done == 2:
            raise Stopped

    monkeypatch.setattr(unfinished.Unfinished, "append", until)
    with pytest.raises(Stopped):
        write_speech(synthesizer, pieces(synthesizer), two)
    monkeypatch.setattr(unfinished.Unfinished, "append", append)
    with (tmp_path / f".two.{suffix}.lvc-unfinished").open("ab") as file:  # killed between samples and journal
        file.write(b"\1" * 999)
    rendered.clear()
    monkeypatch.setattr(synthesizer.converter, "note", notes.append)
    write_speech(synthesizer, pieces(synthesizer), two)
    assert rendered == ["a third", "the last one"]
    assert one.read_bytes() == two.read_bytes()
    assert any("goes on after" in note for note in notes)


def test_an_edited_line_alone_is_rendered_anew(synthesizer, tmp_path, rendered):
    edited = TEXT.replace("Another", "Yet another").replace("The last one.", "The last one. And more.")
    write_speech(synthesizer, pieces(synthesizer), tmp_path / "c.wav")
    rendered.clear()
    write_speech(synthesizer, pieces(synthesizer, edited), tmp_path / "c.wav")
    assert rendered == ["yet another line quite long", "and more"]
    write_speech(synthesizer, pieces(synthesizer, edited), tmp_path / "anew.wav")
    assert (tmp_path / "c.wav").read_bytes() == (tmp_path / "anew.wav").read_bytes()


@pytest.mark.parametrize("harm", ["output", "list"])
def test_an_output_that_was_changed_is_not_used(synthesizer, tmp_path, rendered, harm):
    write_speech(synthesizer, pieces(synthesizer), tmp_path / "c.wav")
    whole = (tmp_path / "c.wav").read_bytes()
    path = tmp_path / {"output": "c.wav", "list": ".c.wav.lvc-sentences"}[harm]
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x55
    path.write_bytes(bytes(data))
    write_speech(synthesizer, pieces(synthesizer), tmp_path / "c.wav")
    assert (tmp_path / "c.wav").read_bytes() == whole


def test_other_options_render_anew(synthesizer, tmp_path, rendered):
    write_speech(synthesizer, pieces(synthesizer), tmp_path / "c.wav")
    rendered.clear()
    marked = f"<prosody pitch='+1st'>{TEXT}</prosody>"
    keys = [{synthesizer.key(piece) for piece in pieces(synthesizer, text)} for text in (TEXT, marked)]
    assert not keys[0] & keys[1]
    faster = [replace(piece, tempo=1.2) for piece in pieces(synthesizer)]
    assert not keys[0] & {synthesizer.key(piece) for piece in faster}


def test_lines_are_files_and_parts_of_the_whole(synthesizer, tmp_path):
    lines = [pieces(synthesizer, text) for text in ("One. Two.", "<break time='300ms'/>Three", "Four.")]
    samples = write_lines(synthesizer, lines, tmp_path / "out", "all.wav")
    assert sorted(path.name for path in (tmp_path / "out").glob("*.wav")) == [
        "001.wav",
        "002.wav",
        "003.wav",
        "all.wav",
    ]
    whole, *parts = (soundfile.read(tmp_path / "out" / f"{name}.wav", dtype="int16")[0]
                     for name in ("all", "001", "002", "003"))  # fmt: skip
    pause = np.zeros(round(0.8 * 16000), np.int16)
    assert np.array_equal(whole, np.concatenate([parts[0], pause, parts[1], pause, parts[2]]))
    assert len(whole) == samples
    assert not parts[1][:4800].any()
    assert len(joined(synthesizer, lines)) == 6


def test_lines_and_silence_at_the_end_are_listed(synthesizer, tmp_path, rendered):
    lines = [pieces(synthesizer, "One. Two."), [*pieces(synthesizer, "Three."), Piece(1600, None)]]
    write_lines(synthesizer, lines, tmp_path / "out", "all.wav")
    whole = (tmp_path / "out" / "all.wav").read_bytes()
    assert rendered == ["one", "two", "three"]
    rendered.clear()
    write_lines(synthesizer, lines, tmp_path / "out", "all.wav")
    assert rendered == []
    assert (tmp_path / "out" / "all.wav").read_bytes() == whole
    assert not soundfile.read(tmp_path / "out" / "002.wav")[0][-1600:].any()


def test_a_long_silence_takes_no_memory(synthesizer, tmp_path):
    hour = 3600 * 16000
    spoken = replace(pieces(synthesizer, "One.")[0], gap=hour)
    tracemalloc.start()
    ((first, count),) = write_speech(synthesizer, [spoken], tmp_path / "c.wav")
    most = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert most < hour  # bytes: a fourth of what its samples would take
    assert (first, soundfile.info(tmp_path / "c.wav").frames) == (hour, hour + count)
    assert not read_part(tmp_path / "c.wav", hour - 100, 100).any()
    assert read_part(tmp_path / "c.wav", hour, count).any()


def test_fewer_lines_leave_no_files_of_the_earlier(synthesizer, tmp_path):
    lines = [pieces(synthesizer, "One.")] * 4
    write_lines(synthesizer, lines, tmp_path, "all.wav")
    for name in ("0001", "0002", "20240101", "other"):  # 4 digits: of an earlier text of over 999 lines
        (tmp_path / f"{name}.wav").touch()
    write_lines(synthesizer, lines[:2], tmp_path, "all.wav")
    assert [path.name for path in sorted(tmp_path.glob("*.wav"))] == [
        "001.wav", "002.wav", "20240101.wav", "all.wav", "other.wav"]  # fmt: skip
    (tmp_path / "all.wav").unlink()
    with pytest.raises(ConfigurationError, match=r"has 001\.wav but no all\.wav.*name another folder"):
        write_lines(synthesizer, lines, tmp_path, "all.wav")


def test_a_short_output_has_no_list(synthesizer, tmp_path, monkeypatch):
    monkeypatch.setattr(spoken_file, "LISTED_SECONDS", 60.0)
    write_speech(synthesizer, pieces(synthesizer, "One."), tmp_path / "c.wav")
    assert hidden(tmp_path) == []
