"""The manifest's mixdowns: training reads segments only, and they are the same as without them."""

import os
from dataclasses import replace

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.audio import mixdown
from lightning_voiceclone.audio.mixdown import Mixdown
from lightning_voiceclone.data.audio_store import FileStore
from lightning_voiceclone.data.corpora import SpeakerFolders
from lightning_voiceclone.data.manifest import Manifest
from lightning_voiceclone.data.prepare import prepare
from lightning_voiceclone.testing.signals import speech_like

RATE = 16000
NAMES = ("a/mono.wav", "a/offset.wav", "b/opposed.wav")


@pytest.fixture
def prepared(tmp_path):
    """Manifest's path of three recordings: a plain one, one with an offset, and one whose channels cancel."""
    audio = speech_like(1.0, speaker=2).audio * 0.5
    made = (audio, audio + 0.1, np.stack([0.9 * audio, -audio], axis=1))
    for name, samples in zip(NAMES, made, strict=True):
        path = tmp_path / "corpus" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, samples, RATE)
    mixdown._kept.clear()
    return prepare(SpeakerFolders(tmp_path / "corpus"), tmp_path / "out", workers=1, validation=0).manifest_path


def never(*given, **further):
    raise AssertionError("the whole file was decoded for its mixdown")


def test_segments_are_read_alike_without_decoding_the_file(prepared, monkeypatch):
    manifest = Manifest.read(prepared)
    assert {row.path: (row.channel, round(row.offset, 2)) for row in manifest.utterances} == {
        NAMES[0]: (0, 0.0), NAMES[1]: (0, 0.1), NAMES[2]: (2, 0.0)}  # fmt: skip
    known = FileStore(manifest.root, manifest.mixdowns, os.stat(prepared).st_mtime)
    mixdown._kept.clear()
    expected = [FileStore(manifest.root).read(name, 8000, 0.2, 0.7) for name in NAMES]
    mixdown._kept.clear()
    monkeypatch.setattr(mixdown, "measure_mixdown", never)
    for name, samples in zip(NAMES, expected, strict=True):
        assert np.array_equal(known.read(name, 8000, 0.2, 0.7), samples)
    with pytest.raises(AssertionError, match="whole file"):
        FileStore(manifest.root).read(NAMES[0], 8000, 0.2, 0.7)


def test_files_that_changed_later_are_measured_again(prepared):
    manifest, written = Manifest.read(prepared), os.stat(prepared).st_mtime
    path = manifest.root / NAMES[0]
    audio = soundfile.read(path, dtype="float32")[0]
    soundfile.write(path, audio + 0.2, RATE)
    os.utime(path, (written + 5, written + 5))
    read = FileStore(manifest.root, manifest.mixdowns, written).read(NAMES[0], RATE, 0.0, 1.0)
    assert abs(float(read.mean())) < 1e-3
    without = FileStore(manifest.root, manifest.mixdowns, written + 9).read(NAMES[0], RATE, 0.0, 1.0)
    assert float(without.mean()) == pytest.approx(0.2, abs=0.01)


def test_a_channel_that_is_not_there_is_not_taken(prepared):
    manifest = Manifest.read(prepared)
    store = FileStore(manifest.root, {NAMES[0]: Mixdown(channel=3)}, os.stat(prepared).st_mtime)
    assert np.array_equal(store.read(NAMES[0], RATE, 0.0, 0.5), FileStore(manifest.root).read(NAMES[0], RATE, 0.0, 0.5))


def test_a_manifest_that_lacks_one_has_none(prepared):
    manifest = Manifest.read(prepared)
    assert set(manifest.mixdowns) == {NAMES[1], NAMES[2]}
    rows = manifest.utterances
    assert replace(manifest, utterances=(*rows[:-1], replace(rows[-1], channel=-1))).mixdowns is None
