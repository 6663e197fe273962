"""``lvc live`` between files, which takes the way of a sound card on simulated time."""

import os
import sys
import threading
import time
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.cli import main as cli
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_streaming_voice, small_voice
from lightning_voiceclone.utils.locked_output import locked_output
from lightning_voiceclone.utils.user_settings import load_settings

RATE = 16000


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("live")
    save_voice(small_streaming_voice(), folder / "model")
    save_voice(small_voice(), folder / "whole")
    soundfile.write(folder / "a.wav", speech_like(1.0).audio, RATE)
    soundfile.write(folder / "b.wav", speech_like(2.0, speaker=1).audio, RATE)
    threads = torch.get_num_threads()
    yield folder
    torch.set_num_threads(threads)


def live(folder, source, output, *more):
    model = [] if "--checkpoint" in more else ["--checkpoint", str(folder / "model")]
    return cli.main(["live", *model, "--reference", str(folder / "b.wav"), "--input", str(source), "--output",
                     str(output), "--chunk-ms", "100", *more])  # fmt: skip


@pytest.mark.slow
def test_a_file_goes_to_a_file_and_twice_to_the_same_one(folder, tmp_path, capsys):
    for name in ("c.wav", "d.wav"):
        assert live(folder, folder / "a.wav", tmp_path / name) == 0
    printed = capsys.readouterr()
    first, second = (soundfile.read(tmp_path / name, dtype="int16")[0] for name in ("c.wav", "d.wav"))
    assert np.array_equal(first, second)
    assert np.abs(first).max() > 1000
    assert f"c.wav: {len(first) / RATE:.2f} s at 16000 Hz" in printed.out
    readout = next(line for line in printed.err.splitlines() if line.startswith("capture"))
    delay = int(readout.split(" = ")[1].split()[0]) / 1000
    assert len(first) / RATE == pytest.approx(1.0 + delay + 0.1, abs=0.05)
    assert "dropped 0.00 s" in readout
    assert "gaps" not in readout


def test_a_file_that_another_process_writes_is_refused(folder, tmp_path, capsys):
    with locked_output(tmp_path / "c.wav"):
        assert live(folder, folder / "a.wav", tmp_path / "c.wav") == 2
    assert "c.wav: another process is writing it" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_a_pipe_a_cut_sample_and_another_rate(folder, tmp_path, capsys):
    rate = 44100
    soundfile.write(tmp_path / "whole.wav", np.column_stack([speech_like(0.5, sample_rate=rate).audio] * 2), rate)
    data = (tmp_path / "whole.wav").read_bytes()
    (tmp_path / "cut.wav").write_bytes(data[:-5])
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=lambda: pipe.write_bytes(data))
    writer.start()
    assert live(folder, pipe, tmp_path / "piped.wav") == 0
    writer.join()
    assert live(folder, tmp_path / "cut.wav", tmp_path / "short.wav") == 0
    assert "is truncated" in capsys.readouterr().err
    piped, short = (soundfile.read(tmp_path / name, dtype="int16")[0] for name in ("piped.wav", "short.wav"))
    assert np.abs(piped).max() > 1000
    assert np.abs(piped[: len(short)].astype(int) - short[: len(piped)]).max() < 2000


def error(capsys):
    printed = capsys.readouterr().err.splitlines()
    assert printed[-1].startswith("lvc: error: ")
    return printed[-1]


@pytest.mark.slow
def test_what_cannot_work_is_one_line(folder, tmp_path, capsys):
    a, c = folder / "a.wav", tmp_path / "c.wav"
    assert live(folder, a, c, "--checkpoint", str(folder / "whole")) == 2
    assert "cannot be used live" in error(capsys)
    assert live(folder, a, folder / "b.wav") == 2
    assert "is the same file as the input" in error(capsys)
    for more, words in (
        (["--chunk-ms", "1"], "--chunk-ms is 1; it must be from 5 to 1,000"),
        (["--gate", "loud"], "--gate is 'loud', but must be a number of dB, or off"),
        (["--gate", "3"], "gate is 3; it must be from -90 to -10"),
        (["--threads", "0"], "--threads is 0"),
    ):
        assert live(folder, a, c, *more) == 2
        assert words in error(capsys)
    assert list(tmp_path.iterdir()) == []


def test_without_a_sound_card_devices_are_one_line(folder, tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "sounddevice", None)
    for arguments in (["--list-devices"], ["--reference", str(folder / "b.wav")]):
        assert cli.main(["live", *arguments]) == 2
        assert "pip install 'lightning-voiceclone[live]'" in error(capsys)


@pytest.mark.slow
def test_a_microphone_to_a_file_ends_by_quit_and_is_remembered(folder, tmp_path, capsys, monkeypatch):
    """With a sounddevice whose microphone gives noise, and commands on standard input."""
    library = ModuleType("sounddevice")
    library.PortAudioError = type("PortAudioError", (Exception,), {})
    library.query_devices = lambda: [{"name": "Fake Microphone", "max_input_channels": 1, "max_output_channels": 0,
                                      "default_samplerate": 48000.0}]  # fmt: skip

    class Microphone(threading.Thread):
        latency, active = 0.01, True

        def __init__(self, *, callback, blocksize, **settings):
            super().__init__(daemon=True)
            self.callback, self.size = callback, blocksize

        def run(self):
            moments = SimpleNamespace(currentTime=0.0, inputBufferAdcTime=0.0)
            while self.active:
                self.callback(np.full((self.size, 1), 0.1, np.float32), self.size, moments, None)
                time.sleep(0.01)

        def close(self):
            self.active = False

    library.InputStream = Microphone
    monkeypatch.setitem(sys.modules, "sounddevice", library)
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdin", os.fdopen(reading))
    with os.fdopen(writing, "w") as commands:
        timers = [threading.Timer(delay, lambda text=text: print(text, file=commands, flush=True))
                  for delay, text in ((0.1, "pitch 3"), (0.2, "pich 3"), (6.0, "quit"))]  # fmt: skip
        for timer in timers:
            timer.start()
        assert live(folder, "fake", tmp_path / "c.wav") == 0
        for timer in timers:
            timer.join()
    printed = capsys.readouterr()
    assert "pitch: 3" in printed.err
    assert "error: no command is called 'pich' (did you mean pitch?)" in printed.err
    assert soundfile.info(tmp_path / "c.wav").samplerate == RATE
    assert load_settings("live") == {"input": "Fake Microphone"}
