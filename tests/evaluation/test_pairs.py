"""The table of pairs, and what is wrong with it in one line."""

import hashlib

import pytest

from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.pairs import read_pairs

HEADER = "case\tsource\treference\ttranscript\n"


@pytest.fixture
def table(tmp_path):
    def write(text, header=HEADER):
        path = tmp_path / "pairs.tsv"
        path.write_bytes((header + text).encode() if isinstance(text, str) else text)
        return path

    return write


def test_rows_and_hash(table):
    path = table('one\ta/1-2-0003.flac\tb/4-5-0006.flac\tSAY "this"\n')
    pairs = read_pairs(path)
    assert pairs.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()
    (row,) = pairs.rows
    assert (row.case, row.transcript, row.source) == ("one", 'SAY "this"', path.parent / "a/1-2-0003.flac")
    assert (row.source_speaker, row.target_speaker, row.target, row.genuine) == ("1", "4", None, None)


def test_another_recording_of_the_target_speaker(table):
    rows = [f"{s}-to-{t}\t{s}-1-000{t}.flac\t{t}-1-0009.flac\t" for s in (1, 2, 3) for t in (1, 2, 3) if s != t]
    pairs = read_pairs(table("\n".join(rows) + "\n"))
    for row in pairs.rows:
        assert row.genuine is not None
        assert row.genuine.name.startswith(f"{row.target_speaker}-")
        assert row.genuine not in (row.reference, row.source)
    of_one = [row.genuine for row in pairs.rows if row.target_speaker == "1"]
    assert len(set(of_one)) == 2


def test_speakers_by_column_or_unknown(table):
    header = "case\tsource\treference\tsource_speaker\ttarget_speaker\ttarget\n"
    named, unnamed = read_pairs(table("a\tx.wav\ty.wav\tXen\tYve\tz.wav\nb\tx.wav\ty.wav\t\t\t\n", header)).rows
    assert (named.source_speaker, named.target_speaker, named.target.name) == ("Xen", "Yve", "z.wav")
    assert (unnamed.source_speaker, unnamed.target_speaker, unnamed.transcript, unnamed.genuine) == ("", "", "", None)


def test_limit_is_spread_evenly(table):
    pairs = read_pairs(table("".join(f"{i}\ta\tb\t\n" for i in range(11))))
    assert [row.case for row in pairs.limited(3).rows] == ["0", "5", "10"]
    assert pairs.limited(99) is pairs
    assert pairs.limited(1).sha256 == pairs.sha256
    with pytest.raises(ConfigurationError, match="limit is 0"):
        pairs.limited(0)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "no pairs below its header"),
        ("a\tx\ty\t\na\tx\ty\t\n", "two cases called 'a'"),
        ("../a\tx\ty\t\n", r"'\.\./a' cannot be part of a file's name"),
        ("\tx\ty\t\n", "'' cannot be part of a file's name"),
        ("a" * 1001 + "\tx\ty\t\n", r"cannot be part of a file's name \(1 to 1,000 bytes"),
        ("a\tx\n", "'a' has no reference"),
        (b"case\tsource\treference\n\xff\n", "is not UTF-8"),
        (b"case,source,reference\na,b,c\n", "has no column case"),
        (b"case\tsorce\treference\n", r"no column source \(did you mean sorce\?\)"),
    ],
)
def test_faults_in_one_line(table, text, told):
    with pytest.raises(ConfigurationError, match=told):
        read_pairs(table(text))


def test_missing(tmp_path):
    with pytest.raises(ConfigurationError, match="there is no table of pairs"):
        read_pairs(tmp_path / "none.tsv")
