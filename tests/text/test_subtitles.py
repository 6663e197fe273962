"""Files of subtitles: times, text, and lines that are wrong."""

import pytest

from lightning_voiceclone.text.normalization import TextError
from lightning_voiceclone.text.subtitles import Cue, parse_subtitles, shown


def test_cues_with_their_lines():
    text = ("1\r\n00:00:01,000 --> 00:00:02,500 X1:0\r\n<i>Hi</i> {\\an8}<font color='red'>you</font>\r\nthere\r\n\r\n"
            "\r\n00:00:02.5 --> 20:00:03,25\r\nA <break time='1s'/>\r\n")  # fmt: skip
    assert parse_subtitles(text, "a.srt") == [
        Cue(2, 1.0, 2.5, "Hi you\nthere"),
        Cue(7, 2.5, 72003.25, "A <break time='1s'/>"),
    ]
    assert [cue.text for cue in parse_subtitles("00:00:01,000 --> 00:00:02,000", "a.srt")] == [""]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no cue"),
        ("1\n", "line 2: '' is not the times"),
        ("Hello", "line 1: 'Hello' is not the times"),
        ("1\n00:00:02,000 --> 00:00:02,000\na", "line 2: the cue ends at 00:00:02,000, not after its start"),
        ("1\n-00:00:02,000 --> 00:00:02,000\na", "line 2: '-00:00:02,000' is negative"),
        ("1\n00:61:02,000 --> 01:00:02,000\na", "line 2: '00:61:02,000' is no time"),
        ("00:00:01,000 --> 00:00:03,000\na\n\n00:00:02,999 --> 00:00:04,000\nb",
         "line 4: the cue starts at 00:00:02,999, before the one of line 1 ends at 00:00:03,000"),
        ("00:00:01,000 --> 24:00:00,000\na\n\n999:00:00,000 --> 999:00:01,000\nb",
         "line 4: the cue ends at 999:00:01,000, but a recording has at most 24 hours"),
        ("00:00:05,000 --> 00:00:06,000\na\n\n00:00:01,000 --> 00:00:02,000\nb", "line 4: the cue starts"),
    ],
)  # fmt: skip
def test_times_that_cannot_be_kept_are_named_with_their_line(text, words):
    with pytest.raises(TextError, match=r"a\.srt") as refused:
        parse_subtitles(text, "a.srt")
    assert words in str(refused.value)


def test_times_are_shown_as_they_are_written():
    assert shown(3723.4567) == "01:02:03,457"
    assert shown(59.9999) == "00:01:00,000"
