"""Times of words and phonemes, in each format."""

import itertools
import json
import re

import pytest

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.inference.speech_pieces import Planned
from lightning_voiceclone.inference.timestamps import explained, format_of, timed_words, write_timestamps
from lightning_voiceclone.text.frontend import FrontEnd


@pytest.fixture(scope="module")
def planned():
    """Two sentences, at 0.5 s and 2 s, each token with as many frames as its place in the sentence."""
    front = FrontEnd()
    made = [front.pronounce(text) for text in ("Hi you, <break time='70ms'/> cat", "A $2")]
    return [(begin, Planned(spoken, tuple(range(1, len(spoken.tokens) + 1))))
            for begin, spoken in zip((0.5, 2.0), made, strict=True)]  # fmt: skip


def test_words_and_phonemes_follow_the_durations(planned):
    words = list(timed_words(planned, 100.0))
    assert [(one.word.spoken, one.sentence) for one in words] == [
        ("hi", 0), ("you", 0), ("cat", 0), ("a", 1), ("two", 1), ("dollars", 1)]  # fmt: skip
    hi, you, cat = words[:3]
    assert [(span.name, round(span.start, 2), round(span.end, 2)) for span in hi.phonemes] == [
        ("HH", 0.5, 0.51), ("AY1", 0.51, 0.53)]  # fmt: skip
    assert round(you.start, 2) == 0.56  # after the boundary's 3 frames
    assert round(cat.start - you.end, 2) == 0.13  # a comma of 6 frames and a break of 7
    assert [span.name for span in cat.phonemes] == ["K", "AE1", "T"]
    assert words[3].start == 2.0


def test_explained(planned):
    rows = list(explained(planned, 100.0))
    assert rows[0] == ("Hi", "hi", "dictionary", "0.50", "HH 10  AY1 20")
    assert rows[1] == ("you", "you", "dictionary", "0.53", "_ 30  Y 40  UW1 50")
    assert rows[3][1:] == ("<break>", "", "0.71", "<break> 70")


def test_json(planned, tmp_path):
    write_timestamps(tmp_path / "t.json", list(timed_words(planned, 100.0)), 3.25)
    read = json.loads((tmp_path / "t.json").read_text())
    assert read["seconds"] == 3.25
    assert read["words"][0] == {
        "word": "hi", "start": 0.5, "end": 0.53, "sentence": 0, "characters": [0, 2], "origin": "dictionary",
        "phonemes": [{"phoneme": "HH", "start": 0.5, "end": 0.51}, {"phoneme": "AY1", "start": 0.51, "end": 0.53}],
    }  # fmt: skip


def test_srt_has_a_cue_a_word(planned, tmp_path):
    write_timestamps(tmp_path / "t.srt", list(timed_words(planned, 100.0)), 3.25)
    cues = (tmp_path / "t.srt").read_text().split("\n\n")
    assert len(cues) == 6
    assert cues[1] == "2\n00:00:00,560 --> 00:00:00,650\nyou"


def test_vtt_has_a_cue_a_sentence_with_the_times_of_words(planned, tmp_path):
    write_timestamps(tmp_path / "t.vtt", list(timed_words(planned, 100.0)), 3.25)
    text = (tmp_path / "t.vtt").read_text()
    assert text.startswith("WEBVTT\n\n00:00:00.500 --> ")
    assert "\nhi <00:00:00.560>you <00:00:00.780>cat\n" in text
    assert text.count("-->") == 2


def test_textgrid_covers_all_time_without_overlap(planned, tmp_path):
    write_timestamps(tmp_path / "t.TextGrid", list(timed_words(planned, 100.0)), 3.25)
    text = (tmp_path / "t.TextGrid").read_text()
    for name, count in (("words", 6), ("phonemes", 15)):
        tier = text.split(f'name = "{name}"')[1].split("item [")[0]
        spans = re.findall(r'xmin = ([\d.]+)\s+xmax = ([\d.]+)\s+text = "(.*)"', tier)
        assert f"intervals: size = {len(spans)}" in tier
        assert float(spans[0][0]) == 0
        assert float(spans[-1][1]) == 3.25
        assert all(before[1] == after[0] for before, after in itertools.pairwise(spans))
        assert sum(bool(label) for *_, label in spans) == count


def test_another_suffix_is_refused():
    with pytest.raises(ConfigurationError, match=r"'t\.txt', but must end in \.json"):
        format_of("t.txt")
