import pytest

from lightning_voiceclone.cli import main as cli
from lightning_voiceclone.errors import LVCError
from lightning_voiceclone.utils.html.document import escape
from lightning_voiceclone.utils.terminal import console, printable


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jclear", r"\x1b[2Jclear"),
        ("a\nb\r\x00\x7f", r"a\nb\r\x00\x7f"),
        ("\x9b31m", r"\x9b31m"),
        ("\u202egnp.exe", r"\u202egnp.exe"),
        ("\u2066\u2028\ufeff", r"\u2066\u2028\ufeff"),
        ("\udc80.wav", r"\udc80.wav"),
        ("\U000e0041", r"\U000e0041"),
        ("Zoë\t漢字 👩\u200d🚀", "Zoë\t漢字 👩\u200d🚀"),
    ],
)
def test_control_characters_become_visible_and_all_others_stay(text, shown):
    assert printable(text) == shown
    shown.encode()


def test_lines_stay_where_they_are_wanted():
    assert printable("a\n\x1bb", lines=True) == "a\n\\x1bb"
    assert escape('<\x1b"\u202e>') == r"&lt;\x1b&quot;\u202e&gt;"


def test_an_error_of_a_file_is_one_line_without_escapes(capsys, monkeypatch):
    def fail(arguments):
        raise LVCError("\x1b]0;owned\x07 \u202e of\nfile")

    monkeypatch.setattr(cli, "_run", fail)
    assert cli.main(["clone"]) == 2
    assert capsys.readouterr().err == "lvc: error: \\x1b]0;owned\\x07 \\u202e of file\n"


def test_a_file_or_pipe_gets_whole_lines_and_columns_are_heeded(capsys, monkeypatch):
    from rich.table import Table

    monkeypatch.delenv("COLUMNS", raising=False)
    table = Table("a" * 90, "b" * 60)
    console().print(table)
    console().print("c" * 200)
    printed = capsys.readouterr().out
    assert all(text in printed for text in ("a" * 90, "b" * 60, "c" * 200))
    monkeypatch.setenv("COLUMNS", "40")
    console().print("c" * 200)
    assert max(map(len, capsys.readouterr().out.splitlines())) == 40
