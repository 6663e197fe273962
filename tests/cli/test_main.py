"""The dispatcher: fast, and one line for what a user can mend."""

import errno
import json
import os
import subprocess
import sys

import pytest

from lightning_voiceclone.cli import main as cli
from lightning_voiceclone.errors import ConfigurationError


def lvc(*arguments, **options):
    return subprocess.run([sys.executable, "-m", "lightning_voiceclone", *arguments], capture_output=True, text=True,
                          check=False, **options)  # fmt: skip


@pytest.mark.slow
def test_help_and_plugins_import_nothing_heavy():
    for arguments in (
        ["--help"],
        ["plugins", "--json"],
        ["clone", "--help"],
        ["live", "--help"],
        ["say", "--help"],
        ["prepare", "--help"],
        ["demo", "--help"],
        ["listen", "--help"],
    ):
        code = (
            "import sys; from lightning_voiceclone.cli.main import main\n"
            "try:\n main(sys.argv[1:])\nexcept SystemExit: pass\n"
            "heavy = {'torch', 'lightning', 'numpy', 'librosa'} & set(sys.modules)\n"
            "sys.exit(str(heavy) if heavy else 0)"
        )
        done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=False)
        assert done.returncode == 0, (arguments, done.stderr)


def _children_seconds():
    """Of processors: those of a clock are a busy machine's too."""
    used = os.times()
    return used.children_user + used.children_system


@pytest.mark.slow
def test_help_and_plugins_answer_at_once():
    for arguments in (["--help"], ["plugins"]):
        seconds = []
        for _ in range(3):
            before = _children_seconds()
            assert lvc(*arguments).returncode == 0
            seconds.append(_children_seconds() - before)
        assert min(seconds) < 0.8


@pytest.mark.slow
def test_plugins_as_json():
    rows = json.loads(lvc("plugins", "--json").stdout)
    assert all(set(row) == {"kind", "name", "package", "version", "value", "requires"} for row in rows)
    ours = {(row["kind"], row["name"]) for row in rows if row["package"] == "lightning-voiceclone"}
    assert {("generators", "ConvGenerator"), ("vocoders", "GriffinLim"), ("corpora", "LibriSpeech")} <= ours


def test_unknown_command_names_the_nearest():
    done = lvc("clnoe")
    assert done.returncode == 2
    assert done.stderr == "lvc: error: no command is called 'clnoe' (did you mean clone?); lvc --help lists them\n"


@pytest.mark.parametrize(
    ("arguments", "wrong", "right"),
    [
        ("clone --sorce a.wav --reference b.wav --output c.wav", "--sorce", "--source"),
        ("adapt --dta a --output b", "--dta", "--data"),
        ("save --ouput a", "--ouput", "--output"),
        ("evaluate --pair=a --ouput=b", "--ouput", "--output"),
        ("prepare --otput=a", "--otput", "--output"),
        ("compare --sed 1", "--sed", "--seed"),
        ("listen --prt 1", "--prt", "--port"),
        ("demo --minuts 1", "--minuts", "--minutes"),
        ("plugins --jsn", "--jsn", "--json"),
        ("recipes --outptu a", "--outptu", "--output"),
    ],
)
def test_a_misspelt_option_is_named_before_a_missing_one(capsys, arguments, wrong, right):
    assert cli.main(arguments.split()) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"lvc: error: there is no option {wrong} (did you mean {right}?); lvc ")


@pytest.mark.parametrize(
    ("error", "status", "words"),
    [
        (ConfigurationError("two\nlines"), 2, "lvc: error: two lines\n"),
        (OSError(errno.ENOSPC, "No space left on device", "/x/y"), 2, "/x/y: the disk is full; free some space"),
        (
            FileNotFoundError(errno.ENOENT, "No such file or directory", "a.wav"),
            2,
            "a.wav: there is no such file or folder",
        ),
        (KeyboardInterrupt(), 130, "lvc: interrupted\n"),
    ],
)
def test_errors_are_one_line(monkeypatch, capsys, error, status, words):
    def fail(arguments):
        raise error

    monkeypatch.setattr(cli, "_run", fail)
    assert cli.main(["fit"]) == status
    printed = capsys.readouterr().err
    assert words in printed
    assert printed.count("\n") == 1


def test_debug_shows_the_traceback(monkeypatch):
    def fail(arguments):
        assert arguments == ["fit"]
        raise ConfigurationError("no")

    monkeypatch.setattr(cli, "_run", fail)
    with pytest.raises(ConfigurationError):
        cli.main(["fit", "--debug"])


def test_a_reader_that_has_had_enough_of_the_help_is_no_traceback():
    reading, writing = os.pipe()
    os.close(reading)
    command = [sys.executable, "-m", "lightning_voiceclone", "--help"]
    done = subprocess.run(command, stdout=writing, stderr=subprocess.PIPE, text=True, check=False)
    os.close(writing)
    assert (done.returncode, done.stderr) == (1, "")
