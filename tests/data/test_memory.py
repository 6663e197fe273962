"""Recordings in memory give the same numbers as those in files."""

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.audio.checks import check_recording, check_samples
from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.data.audio_store import FULL_SCALE, FileStore, MemoryStore, quantize
from lightning_voiceclone.data.memory import MemoryDataModule
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.testing.signals import speech_like

SETTINGS = {"segment_seconds": 0.5, "reference_seconds": 0.5, "batch_size": 2}


@pytest.fixture
def audio(tmp_path):
    made = 1.3 * speech_like(2.0, speaker=3).audio / 0.5  # beyond full scale
    soundfile.write(tmp_path / "a.wav", quantize(made), 16000)
    return made


def test_both_stores_give_the_same(audio, tmp_path):
    files, memory = FileStore(tmp_path), MemoryStore({"a.wav": audio}, 16000)
    for start, end in ((0.0, 2.0), (0.25, 1.0), (1.5, 9.0)):
        np.testing.assert_array_equal(memory.read("a.wav", 16000, start, end), files.read("a.wav", 16000, start, end))
        ours, theirs = (store.read("a.wav", 8000, start, end) for store in (memory, files))
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_samples_are_checked_as_their_file_is(audio, tmp_path):
    facts = check_recording(tmp_path / "a.wav")
    ours = check_samples(read_audio(tmp_path / "a.wav")[0], 16000, "a.wav")
    assert {**vars(ours), "sha256": facts.sha256} == vars(facts)
    for bad, words in ((audio[:1000], "too short: 0.06 s"), (0 * audio, "silent"), (audio * np.nan, "NaN")):
        with pytest.raises(RecordingError, match=words):
            check_samples(bad, 16000, "a.wav", min_seconds=0.3)


def test_what_prepare_would_reject_is_left_out(audio):
    data = MemoryDataModule([audio, 0 * audio, audio[:1000]], 16000, **SETTINGS)
    utterances, store = data._found()
    assert [(u.path, u.start, u.end, u.split) for u in utterances] == [("speaker/00000.wav", 0.0, 2.0, "train")]
    samples = store.read("speaker/00000.wav", 16000, 0.0, 2.0)
    np.testing.assert_array_equal(samples, np.clip(np.round(audio * FULL_SCALE), -32768, 32767) / np.float32(32768))
    with pytest.raises(ConfigurationError, match=r"none of the 1 recordings can be used: .*silent"):
        MemoryDataModule([0 * audio], 16000, **SETTINGS)
    with pytest.raises(ConfigurationError, match="NaN or infinite"):
        MemoryDataModule([audio, audio * np.nan], 16000, **SETTINGS)
