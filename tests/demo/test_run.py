import subprocess
import sys

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.cli import demo as command
from lightning_voiceclone.demo import corpus, run
from lightning_voiceclone.errors import LVCError

# Stands for ``python -m lightning_voiceclone``: notes its arguments, and writes what fit and clone would.
FAKE = """
import os, shutil, sys
from pathlib import Path
arguments = sys.argv[1:]
after = lambda name: arguments[arguments.index(name) + 1]
with open("calls.txt", "a") as stream:
    print(*arguments, file=stream)
if os.environ.get("FAIL") in arguments:
    sys.exit(3)
if arguments[0] == "fit":
    assert os.environ["LVC_CACHE"].endswith("cache")
    folder = Path(after("--trainer.logger.save_dir"), after("--trainer.logger.name"), after("--trainer.logger.version"))
    (folder / "checkpoints").mkdir(parents=True)
    if os.environ.get("FAIL") != "checkpoint":
        (folder / "checkpoints" / "last.ckpt").write_bytes(b"weights")
        (folder / "checkpoints" / "timed.ckpt").write_bytes(b"weights")
    (folder / "metrics.csv").write_text("step,validation/mel_l1\\n0,1.0\\n9,0.5\\n")
else:
    assert (after("--checkpoint") == "default") == (Path(after("--output")).name == "cloned_default.wav")
    assert Path(after("--checkpoint")).name in ("default", "last.ckpt")
    shutil.copy(after("--source"), after("--output"))
"""


def tiny_corpus(folder, *, speakers, sentences, seed):
    for part, names in (("train", ["a/1.wav", "b/1.wav"]), ("held_out", ["source.wav", "reference.wav"])):
        for name in names:
            path = folder / part / name
            path.parent.mkdir(parents=True, exist_ok=True)
            soundfile.write(path, 0.1 * np.sin(np.arange(16000) / 16), 16000)
        corpus._write_table(folder / part / corpus.TABLE, [(name, name[0], f"words of {name}") for name in names])
    return folder


@pytest.fixture
def faked(tmp_path, monkeypatch):
    script = tmp_path / "fake.py"
    script.write_text(FAKE)
    real = subprocess.Popen

    def popen(arguments, **options):
        if arguments[:3] != [sys.executable, "-m", "lightning_voiceclone"]:  # libraries start programs of their own
            return real(arguments, **options)
        return real([sys.executable, str(script), *arguments[3:]], **options)

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(run.subprocess, "Popen", popen)
    monkeypatch.setattr(run, "make_corpus", tiny_corpus)
    return tmp_path


@pytest.mark.slow
def test_the_demo_runs_its_steps_and_can_be_repeated(faked, capfd):
    for _ in range(2):
        assert command.run(["--output", "out", "--minutes", "1.5", "--seed", "7"]) == 0
    for name in ("source.wav", "reference.wav", "cloned_default.wav", "cloned.wav", "index.html"):
        assert (faked / "out" / name).stat().st_size > 500
    shipped, fit, clone, *_ = (faked / "calls.txt").read_text().splitlines()
    assert f"--config {run.RECIPE}" in fit
    assert "--data.root out/corpus/train" in fit
    assert "--trainer.max_time 00:00:01:30" in fit
    assert "--seed_everything 7" in fit
    for call, checkpoint, name in (
        (shipped, "default", "cloned_default.wav"),
        (clone, "out/training/checkpoints/last.ckpt", "cloned.wav"),
    ):
        assert call == (
            f"clone --checkpoint {checkpoint} --source out/source.wav --reference out/reference.wav --output out/{name}"
        )
    text = (faked / "out" / "index.html").read_text("utf-8")
    assert "words of source.wav" in text
    assert "lvc demo --output out --minutes 1.5" in text
    assert (faked / "out" / "index.html").as_uri() in capfd.readouterr().out
    assert run.RECIPE.is_file()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("fails", "words"),
    [
        ("default", ["cloning with the model that ships failed with status 3", "lvc clone --checkpoint default"]),
        ("fit", ["the training failed with status 3", "to repeat just this: lvc fit --config"]),
        ("out/cloned.wav", ["cloning with the GAN failed with status 3", "lvc clone --checkpoint out/training"]),
        ("checkpoint", ["left no checkpoint", "--minutes"]),
    ],
)
def test_a_failing_step_ends_with_one_clear_line(faked, monkeypatch, fails, words):
    monkeypatch.setenv("FAIL", fails)
    with pytest.raises(LVCError) as caught:
        command.run(["--output", "out"])
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert not (faked / "out" / "index.html").exists()


def recording(path, hertz, rate, channels=1):
    audio = 0.1 * np.sin(2 * np.pi * hertz * np.arange(rate) / rate)
    soundfile.write(path, np.stack([audio] * channels, axis=1), rate)


@pytest.mark.slow
def test_a_users_recordings_replace_the_pair_for_both_models(faked):
    recording("my a.flac", 200, 44100, channels=2)
    recording("b.wav", 100, 8000)
    given = ["--source", "my a.flac", "--reference", "b.wav"]
    assert command.run(["--output", "out", *given]) == 0
    for name, hertz in (("source", 200), ("reference", 100), ("cloned_default", 200), ("cloned", 200)):
        audio, rate = soundfile.read(f"out/{name}.wav")
        assert (rate, audio.shape) == (16000, (16000,))
        middle = np.abs(np.fft.rfft(audio[4000:12000]))
        assert middle.argmax() * 2 == hertz
        assert np.abs(audio[4000:12000]).max() == pytest.approx(0.1, rel=0.01)
    text = (faked / "out" / "index.html").read_text("utf-8")
    assert "source <code>my a.flac</code>, reference <code>b.wav</code>, for both models" in text
    assert "words of source.wav" not in text
    assert "--source &#x27;my a.flac&#x27; --reference b.wav" in text


@pytest.mark.slow
@pytest.mark.parametrize(
    ("given", "words"),
    [
        (["--source", "b.wav"], ["--source b.wav is given without --reference", "give both, or neither"]),
        (["--reference", "b.wav"], ["--reference b.wav is given without --source", "give both, or neither"]),
        (["--source", "b.wav", "--reference", "none.wav"], ["none.wav"]),
        (["--source", "text.wav", "--reference", "b.wav"], ["text.wav"]),
        (["--source", "b.wav", "--reference", "."], [". is a folder"]),
    ],
)
def test_recordings_that_cannot_be_used_are_refused_before_anything_is_written(faked, given, words):
    recording("b.wav", 100, 16000)
    (faked / "text.wav").write_text("no audio")
    with pytest.raises(LVCError) as caught:
        command.run(["--output", "out", *given])
    assert "\n" not in str(caught.value)
    for word in words:
        assert word in str(caught.value)
    assert not (faked / "out").exists()
    assert not (faked / "calls.txt").exists()


def test_a_recording_in_the_output_folder_is_not_overwritten(faked):
    (faked / "out").mkdir()
    recording("out/source.wav", 100, 16000)
    recording("b.wav", 100, 16000)
    before = (faked / "out" / "source.wav").read_bytes()
    with pytest.raises(LVCError, match=r"--output out holds the input out/source\.wav"):
        command.run(["--output", "out", "--source", "b.wav", "--reference", "out/source.wav"])
    assert (faked / "out" / "source.wav").read_bytes() == before


def test_no_minutes_are_refused_before_anything_is_written(faked):
    with pytest.raises(LVCError, match="above 0, not -1"):
        command.run(["--output", "out", "--minutes", "-1"])
    assert not (faked / "out").exists()


def test_ctrl_c_waits_for_the_step_to_tidy_up(monkeypatch):
    class Process:
        waits = 0

        def wait(self):
            self.waits += 1
            if self.waits == 1:
                raise KeyboardInterrupt
            return 0

    process = Process()
    monkeypatch.setattr(run.subprocess, "Popen", lambda *arguments, **options: process)
    with pytest.raises(KeyboardInterrupt):
        run.run_step("the training", ["fit"])
    assert process.waits == 2


def test_the_command_and_its_help_import_nothing_heavy():
    code = (
        "import sys; from lightning_voiceclone.cli import demo; demo.parser().format_help();"
        "print([name for name in ('torch', 'numpy', 'matplotlib', 'espeakng_loader') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
