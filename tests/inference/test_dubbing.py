"""Subtitles as speech: each cue in its slot, or listed."""

import pytest
import torch

from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.dubbing import FASTEST, dubbed, read_cues
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.text_encoders import TableTextEncoder
from lightning_voiceclone.testing.voices import STREAMER, small_streaming_voice
from lightning_voiceclone.text.normalization import TextError
from lightning_voiceclone.text.subtitles import shown

FILM = """1
00:00:01,000 --> 00:00:02,500
Hello there

2
00:00:03,000 --> 00:00:03,800
How are you <break time="100ms"/> doing?

3
00:00:04,000 --> 00:00:04,300
This is far too long for its slot.

4
00:00:05,001 --> 00:00:06,000
♪

5
00:00:06,000 --> 00:00:07,123
Bye. Bye.
"""


@pytest.fixture(scope="module")
def notes():
    return []


@pytest.fixture(scope="module")
def synthesizer(notes):
    model = Converter(small_streaming_voice(text_encoder=TableTextEncoder(STREAMER)), note=notes.append)
    return model.synthesizer(model.speaker((speech_like(2.0).audio, 16000)))


def test_cues_are_in_their_slots_or_listed(synthesizer, notes):
    pieces, lines = dubbed(synthesizer, read_cues(synthesizer, FILM, "film.srt"), "film.srt")
    timeline, seconds = synthesizer.timeline(pieces)
    spans = [(begin, begin + planned.frames / 100, planned.spoken.words[0].spoken) for begin, planned in timeline]
    assert seconds == pytest.approx(7.123, abs=1e-4)
    assert [word for *_, word in spans] == ["hello", "how", "bye", "bye"]
    assert [begin for begin, *_ in spans[:3]] == [1.0, 3.0, 6.0]
    assert spans[0][1] < 2.5
    assert 3.7 < spans[1][1] <= 3.8
    assert spans[3][1] <= 7.123
    (line,) = lines
    assert line.startswith("film.srt, line 10: the cue of 00:00:04,000 has 0.30 s, but needs ")
    assert f"spoken {FASTEST:g} times as fast" in line
    assert notes[:2] == ["film.srt, line 14: the cue has no word, and is silent",
                         "♪ (EIGHTH NOTE) at character 1 is not spoken"]  # fmt: skip


def test_tempo_is_only_what_is_needed_and_breaks_stay(synthesizer):
    pieces, _ = dubbed(synthesizer, read_cues(synthesizer, FILM, "film.srt"), "film.srt")
    tempos = [piece.tempo for piece in pieces if piece.spoken is not None]
    assert tempos[0] == 1.0
    assert 1.0 < tempos[1] <= FASTEST
    planned = synthesizer.plan(pieces[1].spoken, pieces[1].tempo)
    assert 10 in planned.durations


@pytest.mark.parametrize("text", ["One line is here. <break time='2s'/> Another line is here.",
                                  "One line is here <break time='2s'/> another line is here."])  # fmt: skip
@pytest.mark.parametrize("share", [0.995, 0.8, 0.01])
def test_a_cue_that_is_mostly_a_break_is_as_fast_as_needed(synthesizer, text, share):
    def spoken(seconds):
        film = f"00:00:00,000 --> {shown(seconds)}\n{text}\n"
        pieces, lines = dubbed(synthesizer, read_cues(synthesizer, film, "a.srt"), "a.srt")
        return pieces, lines, synthesizer.timeline(pieces[:-1] if pieces[-1].spoken is None else pieces)[1]

    slow = spoken(60.0)[2]
    fast = 2 + (slow - 2) / FASTEST
    slot = fast + 0.08 + share * (slow - fast - 0.08)
    pieces, lines, seconds = spoken(slot)
    assert lines == []
    assert slot - 0.15 < seconds <= slot
    assert max(piece.tempo for piece in pieces) <= FASTEST


def test_the_samples_begin_at_the_times(synthesizer):
    pieces, _ = dubbed(synthesizer, read_cues(synthesizer, FILM, "film.srt"), "film.srt")
    samples = torch.cat([part for piece in pieces for part in synthesizer._whole(piece)])
    assert len(samples) == round(7.123 * 16000)
    loud = samples.abs() > 1e-3
    assert not loud[: round(0.999 * 16000)].any()
    assert loud[16000:16400].any()
    assert not loud[round(3.801 * 16000) : round(5.999 * 16000)].any()


def test_a_cue_that_cannot_be_spoken_is_named(synthesizer):
    with pytest.raises(TextError, match=r"film\.srt, cue of line 2: line 1, column 1: <b2>"):
        read_cues(synthesizer, "1\n00:00:01,000 --> 00:00:02,000\n<b2>x</b2>\n", "film.srt")


def test_nothing_to_say_is_silence_to_the_end(synthesizer):
    pieces, lines = dubbed(synthesizer, read_cues(synthesizer, "00:00:01,000 --> 00:00:02,000\n", "a.srt"), "a.srt")
    assert lines == []
    assert [(piece.gap, piece.spoken) for piece in pieces] == [(32000, None)]
