"""``lvc evaluate`` and ``lvc compare`` as commands."""

import json
import subprocess
import sys

import pytest
import soundfile
from forks import completed

from lightning_voiceclone.cli import compare, evaluate
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.evaluation.panel import known_metrics
from lightning_voiceclone.testing.signals import speech_like


@pytest.fixture
def pairs(tmp_path):
    for speaker in "ab":
        soundfile.write(tmp_path / f"{speaker}.wav", speech_like(1.2, speaker=ord(speaker)).audio, 16000)
    path = tmp_path / "pairs.tsv"
    path.write_text("case\tsource\treference\ttranscript\nx\ta.wav\tb.wav\t\ny\tb.wav\ta.wav\t\n")
    return path


@pytest.mark.slow
def test_help_explains_all_measures_and_imports_nothing_heavy():
    code = (
        "import sys\nfrom lightning_voiceclone.cli.{} import run\n"
        "try:\n run(['--help'])\nexcept SystemExit as end: status = end.code\n"
        "sys.exit(status or ', '.join({{'torch', 'numpy', 'yaml'}} & set(sys.modules)) or None)"
    )
    for name in ("evaluate", "compare"):
        done = subprocess.run([sys.executable, "-c", code.format(name)], capture_output=True, text=True, check=False)
        assert (done.returncode, done.stderr) == (0, "")
    words = evaluate.parser().format_help().replace(",", " ").split()
    assert set(known_metrics()) <= set(words)


@pytest.mark.slow
def test_evaluate_and_compare(pairs, tmp_path, capsys):
    arguments = ["--pairs", str(pairs), "--measures", "snr_db,mcd_db", "--workers", "1", "--draws", "50"]
    assert evaluate.run([*arguments, "--ground-truth", "--output", str(tmp_path / "truth")]) == 0
    told = capsys.readouterr().out
    assert "snr_db" in told
    assert "100 to 100" in told
    assert "warning: 2 of 2 pairs do not name their speakers" in told
    assert evaluate.run([*arguments, "--copy", "--output", str(tmp_path / "copy")]) == 0
    capsys.readouterr()
    assert compare.run([str(tmp_path / "truth"), str(tmp_path / "copy"), "--json", "--draws", "50"]) == 0
    compared = json.loads(capsys.readouterr().out)
    assert compared["metrics"]["snr_db"]["better_than_first"] == [False]
    assert compare.run([str(tmp_path / "truth"), str(tmp_path / "copy"), "--draws", "50"]) == 0
    assert "mcd_db" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("given", "told"),
    [
        ([], "nothing is to be measured"),
        (["--copy", "--ground-truth"], "--copy and --ground-truth is to be measured"),
        (["--checkpoint", "x.ckpt", "--converted", "y"], "--checkpoint and --converted is to be measured"),
        (["--checkpoint", "x.ckpt", "--ground-truth"], "name one of"),
        (["--ground-truth", "--draws", "0"], "--draws is 0"),
    ],
)
def test_one_system_is_measured(given, told, tmp_path):
    with pytest.raises(ConfigurationError, match=told):
        evaluate.run(["--pairs", "p.tsv", "--output", str(tmp_path), *given])


@pytest.mark.slow
def test_ends_with_one_line(pairs, tmp_path):
    command = ["evaluate", "--pairs", str(pairs), "--output", "report", "--checkpoint", "none.ckpt"]
    done = completed(lambda: main(command), tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith("lvc: error: there is no model at none.ckpt")
    assert done.stderr.count("\n") == 1
