"""What ends a command from outside: signals, kills, limits of the disk."""

import os
import re
import resource
import runpy
import signal
import sys
from contextlib import contextmanager
from pathlib import Path

import pytest
import soundfile
from forks import completed

from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.cli import main as cli
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.training.callbacks.run import _sweep_runs
from lightning_voiceclone.utils.leftovers import HOST

BENCHMARK = Path(__file__).resolve().parents[2] / "benchmarks/kills.py"


@pytest.mark.slow
def test_kills_lose_and_leave_nothing(tmp_path):  # of fit too, which takes long: the benchmark
    options = ["--kills", "10", "--seed", "1", "--commands", "prepare,evaluate,adapt,save,clone"]

    def benchmark():
        sys.argv[1:] = options
        sys.path.insert(0, str(BENCHMARK.parent))
        runpy.run_path(str(BENCHMARK), run_name="__main__")

    ended = completed(benchmark, tmp_path)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    kills, hit, faults = map(int, re.findall(r"\d+", ended.stdout.splitlines()[-1]))
    assert (kills, faults) == (10, 0)
    assert hit >= 3  # fast commands may have ended before


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGHUP, 129)])
def test_signals_end_a_command_as_ctrl_c_does(monkeypatch, capsys, number, status):
    monkeypatch.setattr(cli, "_run", lambda arguments: os.kill(os.getpid(), number))
    before = signal.signal(number, signal.SIG_DFL)
    try:
        assert cli.main(["save"]) == status
        assert capsys.readouterr().err == "lvc: interrupted\n"
        assert signal.getsignal(number) is signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)  # as nohup does
        monkeypatch.setattr(cli, "_run", lambda arguments: os.kill(os.getpid(), number) or 0)
        assert cli.main(["save"]) == 0
    finally:
        signal.signal(number, before)


@contextmanager
def files_of_at_most(size):
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def inputs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save_voice(small_voice(), "voice")
    for speaker in range(2):
        path = tmp_path / f"speech/s{speaker}/a.wav"
        path.parent.mkdir(parents=True)
        soundfile.write(path, speech_like(3.0, speaker=speaker).audio, 16000)
    Path("pairs.tsv").write_text("case\tsource\treference\na\tspeech/s0/a.wav\tspeech/s1/a.wav\n")
    return sorted(path.name for path in tmp_path.iterdir())


COMMANDS = {
    "new/c.wav": "clone --checkpoint voice --source speech/s0/a.wav --reference speech/s1/a.wav",
    "new/saved": "save voice",
    "new/prepared": "prepare SpeakerFolders speech --rate 8000 --workers 1 --validation 0",
    "new/report": "evaluate --ground-truth --pairs pairs.tsv --measures rmse --workers 1",
}


@pytest.mark.slow
@pytest.mark.parametrize("output", COMMANDS)
def test_a_file_size_limit_is_one_line_that_names_the_path(inputs, capfd, output):
    with files_of_at_most(2000):
        assert cli.main([*COMMANDS[output].split(), "--output", output]) == 2
    told = "".join(line for line in capfd.readouterr().err.splitlines(True) if not line.startswith("note: "))
    assert told.count("\n") == 1
    assert told.startswith("lvc: error: ")
    assert output in told
    assert "raise the limit (ulimit -f)" in told
    kept = [path for path in Path("new").rglob("*") if path.is_file()]
    assert {path.name for path in kept} <= {".lock", "progress.jsonl"}
    if output in ("new/c.wav", "new/saved"):
        assert not Path("new").exists()
    assert cli.main([*COMMANDS[output].split(), "--output", output]) == 0


@pytest.mark.slow
def test_a_voice_is_loaded_after_a_kill_between_two_renames(inputs):
    Path("voice").rename(f".voice.lvc-old-{HOST}-{'0' * 12}")
    assert load_voice("voice").spec.sample_rate == 16000
    assert Path("voice/voice.yaml").is_file()


def test_a_training_removes_what_killed_ones_left_beside_it(tmp_path):
    left = [
        f"version_0/checkpoints/.last.lvc-part-{HOST}-{'0' * 12}.ckpt",
        f".config.lvc-part-{HOST}-{'1' * 12}.yaml",
        f"version_2/.config.lvc-part-{HOST}-{'2' * 12}.yaml",  # killed before it had a folder of checkpoints
    ]
    kept = ["version_0/checkpoints/last.ckpt", "version_0/checkpoints/.mine.ckpt", "mine/deep/.last-12345678.ckpt"]
    paths = {name: tmp_path / name for name in (*left, *kept)}
    paths[left[1]] = tmp_path / "version_1" / left[1]
    for path in paths.values():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    _sweep_runs(tmp_path / "version_1")
    assert [name for name, path in paths.items() if path.exists()] == kept
