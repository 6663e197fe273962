"""What the DataModule makes of a corpus: played at other speeds, and no speaker drowning the others."""

import math
import re
from collections import Counter
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.data.corpora import SpeakerFolders
from lightning_voiceclone.data.datamodule import VoiceDataModule
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MelSpectrogram


@pytest.fixture
def root(tmp_path):
    """Speakers who say 8 s, 2 s and 2 s, each recording a tone of its own."""
    for speaker, seconds, hertz in (("long", 8, 440), ("short", 2, 300), ("other", 2, 500)):
        for take in range(2):
            path = tmp_path / "corpus" / speaker / f"{take}.wav"
            path.parent.mkdir(parents=True, exist_ok=True)
            samples = np.arange(round(seconds / 2 * 16000))
            soundfile.write(path, 0.3 * np.sin(2 * np.pi * (hertz + take) * samples / 16000), 16000)
    return tmp_path / "corpus"


def set_up(root, **settings):
    """The DataModule as a Trainer leaves it, without one."""
    data = VoiceDataModule(SpeakerFolders, str(root), segment_seconds=0.5, reference_seconds=0.5, batch_size=2,
                           validation=1, **settings)  # fmt: skip
    data.prepare_data()
    module = SimpleNamespace(spec=MelSpectrogram().spec, needs_reference=True, margin=3, needs_transcripts=False)
    connector = SimpleNamespace(use_distributed_sampler=False)
    data.trainer = SimpleNamespace(world_size=1, global_rank=0, lightning_module=module,
                                   _accelerator_connector=connector)  # fmt: skip
    data.setup("fit")
    return data


def spoken(data, loader, epoch=0):
    """How many segments of each speaker an epoch has."""
    loader.batch_sampler.epoch = epoch
    utterances = loader.dataset.recordings.utterances
    return Counter(utterances[draw.index].speaker for batch in loader.batch_sampler for draw in batch)


def test_training_recordings_are_played_at_other_speeds_too(root):
    data = set_up(root, speeds=[0.8, 1.25])
    plain = set_up(root)
    train, validation = data.datasets["train"].recordings, data.datasets["validation"].recordings
    known = [utterance.speaker for utterance in plain.datasets["train"].recordings.utterances]
    assert [utterance.speaker for utterance in train.utterances] == [
        *known, *(f"{name}@0.8" for name in known), *(f"{name}@1.25" for name in known),
    ]  # fmt: skip
    assert validation.utterances == plain.datasets["validation"].recordings.utterances  # who is judged is as recorded
    count = len(known)
    for index in range(count):
        hertz = [np.abs(np.fft.rfft(train.read(index + place * count)[:8000])).argmax() * 2 for place in range(3)]
        assert hertz == pytest.approx([hertz[0], 0.8 * hertz[0], 1.25 * hertz[0]], abs=4)  # bins are 2 Hz wide


@pytest.mark.slow
def test_whole_recordings_of_a_speaker_are_the_same_each_time(root):
    data = set_up(root, speeds=[0.8])
    data.grid = replace(data.grid, segment=130)
    (name,) = {one.speaker for one in data.datasets["validation"].recordings.utterances}
    for speaker, frames in (("short", 100), ("other", 100), ("short@0.8", 125), ("other@0.8", 125)):
        if speaker.partition("@")[0] == name and "@" in speaker:
            continue  # what is judged is as recorded
        found = list(data.of_speaker(speaker, 8))
        assert [len(audio) // 160 for audio in found] == [frames, frames]
        assert (next(data.of_speaker(speaker, 1)) == found[0]).all()
    assert not list(data.of_speaker("long", 8))  # of 4 s
    assert not list(data.of_speaker("nobody", 8))
    assert data.styles == []


@pytest.mark.slow
def test_a_reference_of_a_resampled_speaker_is_resampled_alike(root):
    data = set_up(root, speeds=[0.8], reference_elsewhere=1.0, cache_megabytes=0)
    dataset = data.datasets["train"]
    for draw in next(iter(data.train_dataloader().batch_sampler)):
        item, utterance = dataset[draw], dataset.recordings.utterances[draw.index]
        heard = [np.abs(np.fft.rfft(part[:8000])).argmax() * 2 for part in (item["audio"][480:], item["reference"])]
        assert heard[0] == pytest.approx(heard[1], abs=4)
        assert item["bandwidth"] == pytest.approx(utterance.bandwidth_hz)
        assert item["reference_bandwidth"] in {np.float32(other.bandwidth_hz) for other in dataset.recordings.utterances
                                               if other.speaker == utterance.speaker}  # fmt: skip


def test_noisy_recordings_are_drawn_less_often(root):
    whole = set_up(root)
    rooms = {utterance.snr_db for utterance in whole.datasets["train"].recordings.utterances}
    least = min(rooms)
    assert len(set_up(root, clean_db=least).train_dataloader()) == len(whole.train_dataloader())
    half = set_up(root, clean_db=max(rooms) + 10.0).train_dataloader()
    assert len(half) <= len(whole.train_dataloader()) / 2 + 1
    assert len(set_up(root, clean_db=max(rooms) + 10.0).val_dataloader()) == len(whole.val_dataloader())


def test_no_speaker_has_more_than_their_seconds_in_an_epoch(root):
    whole = set_up(root).train_dataloader()
    speakers = {utterance.speaker for utterance in whole.dataset.recordings.utterances}
    data = set_up(root, speaker_seconds=1.5)
    loader = data.train_dataloader()
    assert len(loader) < len(whole)
    for epoch in range(3):
        counts = spoken(data, loader, epoch)
        assert set(counts) == speakers
        assert max(counts.values()) == 3  # of 0.5 s
    assert max(spoken(data, whole).values()) > 3
    assert sum(spoken(data, data.val_dataloader()).values()) == sum(
        spoken(data, set_up(root).val_dataloader()).values()
    )


def test_less_than_a_segment_of_a_speaker_is_one(root):
    data = set_up(root, speaker_seconds=0.1)
    assert set(spoken(data, data.train_dataloader()).values()) == {1}


@pytest.mark.parametrize("speed", [0.4, 2.5, 0.0, -1.0])
def test_speeds_that_are_no_voice_are_refused(speed):
    with pytest.raises(ConfigurationError, match=rf"data\.speeds has {speed}; each must be from 0\.5 to 2"):
        VoiceDataModule(speeds=[1.1, speed])


def test_speeds_and_stored_features_are_refused_together(tmp_path):
    with pytest.raises(ConfigurationError, match=r"data\.speeds changes the recordings.*set one of the two aside"):
        VoiceDataModule(manifest=str(tmp_path), cached_features=True, speeds=[1.1])


@pytest.mark.parametrize(
    ("setting", "value", "range_"),
    [
        ("segment_seconds", math.nan, "from 1e-06 to 600"),
        ("segment_seconds", 0, "from 1e-06 to 600"),
        ("reference_seconds", math.inf, "from 1e-06 to 600"),
        ("reference_elsewhere", 1.5, "from 0 to 1"),
        ("batch_size", 1_000_000_000, "from 1 to 100,000"),
        ("workers", 10_000, "from 0 to 256"),
        ("cache_megabytes", math.inf, "from 0 to 1,000,000,000"),
        ("validation", math.nan, "from 0 to 1,000,000,000, or null for the corpus's own"),
        ("speaker_seconds", -1, "from 1e-06 to 1,000,000,000, or null for all"),
        ("clean_db", math.nan, "from -1,000 to 1,000, or null for all alike"),
        ("seed", -1, "from 0 to "),
        ("speeds", [math.nan], "each must be from 0.5 to 2"),
    ],
)
def test_numbers_outside_of_their_range_are_refused_with_it(setting, value, range_):
    with pytest.raises(ConfigurationError, match=rf"^data\.{setting} (is|has) .*{re.escape(range_)}"):
        VoiceDataModule(**{setting: value})


def test_an_unwritable_cache_is_reported_with_its_variable(root, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("LVC_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.raises(ConfigurationError, match="file is no folder that you may write to; set LVC_CACHE to one"):
        set_up(root)


def test_a_user_without_a_home_gets_the_name_of_the_variable(monkeypatch):
    def homeless(self):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("LVC_CORPORA")
    monkeypatch.setattr(Path, "expanduser", homeless)
    with pytest.raises(ConfigurationError, match="you have no home folder, where ~/corpora would be: set LVC_CORPORA"):
        VoiceDataModule(SpeakerFolders).prepare_data()
