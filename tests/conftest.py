import logging

import pytest
import soundfile

from lightning_voiceclone.testing.signals import speech_like


@pytest.fixture(autouse=True)
def _home(tmp_path, monkeypatch):
    """Keep prepared manifests and runs of a test in the test's own folder."""
    monkeypatch.setenv("LVC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("LVC_CORPORA", str(tmp_path / "corpora"))
    monkeypatch.delenv("PL_GLOBAL_SEED", raising=False)


# Lightning's log handler keeps the error output of the first test that it was imported in.
logging.raiseExceptions = False


@pytest.fixture(scope="session")
def corpus_folder(tmp_path_factory):
    """Six speakers, two recordings of 3 s each, as a folder of speaker folders."""
    root = tmp_path_factory.mktemp("speakers")
    for speaker in range(6):
        for take in range(2):
            audio = speech_like(3.0, speaker=speaker, seed=10 * speaker + take).audio
            path = root / f"speaker{speaker}" / f"take{take}.wav"
            path.parent.mkdir(exist_ok=True)
            soundfile.write(path, audio, 16000)
    return root
