"""Altered files, through the commands that read them: no code runs, no traceback, no hang, no memory without bound."""

import sys
from importlib import import_module
from itertools import islice

import pytest
import soundfile
from hostile import configurations, harness, recordings

from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.core import registry
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice

EVERY = 9  # of the configurations: a training takes a second to begin; benchmarks/hostile_files.py tries all
EVERY_RECORDING = 5  # likewise
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads /proc and forks")


@pytest.fixture(scope="module")
def bench(tmp_path_factory):
    """A folder with a small voice and a good recording; all that a fork needs is imported."""
    import_module("lightning_voiceclone.cli.training")
    registry.load_all()
    folder = tmp_path_factory.mktemp("hostile")
    save_voice(small_voice(), folder / "voice")
    good = folder / "good.wav"
    soundfile.write(good, speech_like(1.5, speaker=3).audio, 16000)
    words = ["clone", "--checkpoint", folder / "voice", "--source", good, "--reference", good]
    assert harness.command(*words, "--output", folder / "out.wav")() == 0
    return folder


@pytest.mark.slow
def test_altered_recordings(bench):
    (bench / "recordings").mkdir()
    mark = bench / "mark"
    attempts = [
        harness.attempt(name, harness.command(
            "clone", "--checkpoint", bench / "voice", "--source", path, "--reference", bench / "good.wav",
            "--output", bench / "out.wav"), bench, mark)
        for name, path in islice(recordings.altered_recordings(bench / "recordings", 0), 0, None, EVERY_RECORDING)
    ]  # fmt: skip
    assert len(attempts) >= 34
    assert not harness.report(attempts)


@pytest.mark.slow
def test_altered_configurations(bench, corpus_folder):
    (bench / "configurations").mkdir()
    mark = bench / "mark"
    attempts = [
        harness.attempt(name, harness.command("fit", "--config", path), bench, mark)
        for name, path in islice(
            configurations.altered_configurations(bench / "configurations", corpus_folder, mark, 0), 0, None, EVERY
        )
    ]
    assert len(attempts) >= 10
    assert not harness.report(attempts)
