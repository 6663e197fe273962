"""``lvc phonemes``: the table, JSON, files, warnings, and nothing heavy imported."""

import io
import json
import subprocess
import sys

import pytest

from lightning_voiceclone.cli.main import main
from lightning_voiceclone.cli.phonemes import run


def test_the_table_shows_what_each_word_stands_for(capsys):
    assert run(["I paid $2, <break time='300ms'/>Zyxo."]) == 0
    rows = [line.split() for line in capsys.readouterr().out.splitlines()]
    assert rows[0] == ["WRITTEN", "SPOKEN", "ORIGIN", "PHONEMES"]
    assert rows[1:4] == [["I", "i", "dictionary", "AY1"], ["paid", "paid", "dictionary", "P", "EY1", "D"],
                         ["$2", "two", "dictionary", "T", "UW1"]]  # fmt: skip
    assert rows[4] == ["dollars", "dictionary", "D", "AA1", "L", "ER0", "Z"]
    assert rows[6] == ["<break>", "0.3", "s"]
    assert rows[7][:3] == ["Zyxo", "zyxo", "letters"]


def test_json_has_places_and_tokens(capsys):
    assert run(["--json", "No. 5"]) == 0
    printed = json.loads(capsys.readouterr().out)
    assert [(item["word"], item["written"]) for item in printed["items"]] == [("number", "No."), ("five", "5")]
    assert printed["tokens"][-4:-2] == [1, 18]
    assert printed["skipped"] == []


def test_text_from_a_file_and_from_standard_input(capsys, tmp_path, monkeypatch):
    path = tmp_path / "text.txt"
    path.write_bytes("Olá\r\n\r\nyou".encode("utf-16"))
    assert run(["--text-file", str(path), "--json"]) == 0
    assert [item.get("word", item.get("pause")) for item in json.loads(capsys.readouterr().out)["items"]] == [
        "ola",
        ".",
        "you",
    ]
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(b"hi")))
    assert run(["--text-file", "-"]) == 0
    assert capsys.readouterr().out.splitlines()[1].split() == ["hi", "hi", "dictionary", "HH", "AY1"]


def test_a_lexicon_has_precedence(capsys, tmp_path):
    path = tmp_path / "own.tsv"
    path.write_text("read\tR EH D\n")
    assert run(["I will read", "--lexicon", str(path)]) == 0
    assert capsys.readouterr().out.splitlines()[-1].split() == ["read", "read", "lexicon", "R", "EH1", "D"]


def test_signs_that_are_not_spoken_are_named_in_a_line_each(capsys):
    assert run(["hi \x1b ☃ " + "♫" * 12]) == 0
    lines = capsys.readouterr().err.splitlines()
    assert lines[:2] == ["lvc: warning: (U+001B) at character 4 is not spoken",
                         "lvc: warning: ☃ (SNOWMAN) at character 6 is not spoken"]  # fmt: skip
    assert lines[-1] == "lvc: warning: 4 more characters are not spoken"
    assert len(lines) == 11


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give either a text or --text-file"),
        (["a", "--text-file", "b"], "give either"),
        ([""], "empty"),
        (["Привет"], "CYRILLIC"),
        (["<b>x</b>"], "line 1, column 1: <b>"),
        (["--text-file", "none.txt"], "none.txt"),
        (["a", "--lexicon", "none.tsv"], "none.tsv"),
    ],
)
def test_errors_are_one_line_and_status_2(capsys, arguments, words):
    assert main(["phonemes", *arguments]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("lvc: error: ")
    assert words in line


@pytest.mark.slow
def test_nothing_heavy_is_imported():
    code = (
        "import sys; from lightning_voiceclone.cli.main import main\nmain(['phonemes', 'blorp 5 FBI'])\n"
        "heavy = {'torch', 'lightning', 'numpy', 'librosa', 'espeakng_loader'} & set(sys.modules)\n"
        "sys.exit(str(heavy) if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
