"""lvc clone of more than a minute: kills, pipes, a full disk."""

import os
import resource
import signal
import subprocess
import time
from contextlib import redirect_stdout
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from forks import Fork, completed

from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_streaming_voice

pytestmark = pytest.mark.slow
SECONDS = 72


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A model, its source of 72 s, its reference, and the clone that is made in one go."""
    folder = tmp_path_factory.mktemp("long")
    save_voice(small_streaming_voice(), folder / "model")
    piece = speech_like(9.0).audio
    soundfile.write(folder / "a.wav", np.tile(piece, SECONDS // 9), 16000)
    soundfile.write(folder / "b.wav", speech_like(2.0, speaker=1).audio, 16000)
    with redirect_stdout(StringIO()):
        assert main(arguments(folder, folder / "short.wav", "b.wav")) == 0  # all is imported, for the forks
    done = clone(folder, folder / "whole.wav")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{folder}/whole.wav: {SECONDS}.00 s at 16000 Hz\n"
    return folder


def arguments(folder, output, source="a.wav"):
    return ["clone", "--checkpoint", str(folder / "model"), "--source",
            source if source == "-" else str(folder / source), "--reference", str(folder / "b.wav"), "--output",
            str(output)]  # fmt: skip


def clone(folder, output, source="a.wav", before=None):
    def run():
        if before is not None:
            before()
        return main(arguments(folder, output, source))

    return completed(run, folder)


def samples(path):
    return soundfile.read(path, dtype="int16")[0]


@pytest.mark.parametrize(("number", "status"), [(signal.SIGKILL, -signal.SIGKILL), (signal.SIGINT, 130)])
def test_after_a_signal_the_same_command_goes_on_to_the_same_file(folder, tmp_path, number, status):
    output = tmp_path / "c.wav"
    with Fork(lambda: main(arguments(folder, output)), folder) as process:
        while not (tmp_path / ".c.wav.lvc-journal").exists():
            assert process.returncode is None
            time.sleep(0.01)
        process.send_signal(number)
        _, err = process.communicate()
        ended = process.returncode
    if ended == status:  # else it had ended before
        assert not output.exists()
        done = clone(folder, output)
        assert "goes on after " in done.stderr
        assert (number == signal.SIGKILL) == ("the same command goes on" not in err)
    assert np.array_equal(samples(output), samples(folder / "whole.wav"))
    assert [path.name for path in tmp_path.iterdir()] == ["c.wav"]


def test_standard_input_may_be_a_pipe(folder, tmp_path):
    with subprocess.Popen(["cat", str(folder / "a.wav")], stdout=subprocess.PIPE) as pipe:
        done = clone(folder, tmp_path / "c.wav", "-", lambda: os.dup2(pipe.stdout.fileno(), 0))
    assert done.returncode == 0, done.stderr
    assert np.array_equal(samples(tmp_path / "c.wav"), samples(folder / "whole.wav"))


def test_a_full_disk_is_one_line_and_nothing_is_lost(folder, tmp_path):
    def limit():
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_500_000, 1_500_000))
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)

    done = clone(folder, tmp_path / "c.wav", before=limit)
    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith(f"lvc: error: {tmp_path}/c.wav: it would be larger than a file may")
    assert os.stat(tmp_path / ".c.wav.lvc-journal").st_size > 0
    assert "goes on after 40 s" in clone(folder, tmp_path / "c.wav").stderr
    assert np.array_equal(samples(tmp_path / "c.wav"), samples(folder / "whole.wav"))
    assert Path(tmp_path / ".c.wav.lvc-unfinished").exists() is False
