"""Crops: which, where, and that a crop with its margin is a piece of the whole."""

import random

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.data.manifest import Utterance
from lightning_voiceclone.data.segments import Draw, Grid, Recordings, SegmentDataset, SegmentSampler, _apart
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.testing.signals import speech_like

HOP = 160


class InMemory:
    """Stands for Recordings: the samples themselves."""

    def __init__(self, audios, speakers):
        self.audios = audios
        self.utterances = [
            Utterance(path=f"{i}.wav", start=0.0, end=len(a) / 16000, speaker=s, text="", rate=16000,
                      bandwidth_hz=8000.0, hash=str(i), split="train")
            for i, (a, s) in enumerate(zip(audios, speakers, strict=True))
        ]  # fmt: skip

    def read(self, index, start=0, stop=None):
        return self.audios[index][start:stop]


def dataset(seconds=(3.0, 3.0, 0.3), speakers=("a", "b", "c"), segment=50, reference=80, margin=3):
    audios = [speech_like(s, speaker=i, seed=i).audio for i, s in enumerate(seconds)]
    spec = MelSpectrogram().spec
    return SegmentDataset(InMemory(audios, speakers), Grid(spec, segment, reference, margin))


def test_features_of_a_crop_are_a_slice_of_the_whole():
    data = dataset()
    extractor = MelSpectrogram()
    whole = extractor(torch.from_numpy(data.recordings.read(0))[None])[0]
    for begin in (0, 1, 100, 250):
        item = data[Draw(0, 0, begin)]
        crop = extractor(torch.from_numpy(item["audio"])[None])[0, :, 3:-3]
        torch.testing.assert_close(crop, whole[:, begin : begin + 50], atol=2e-4, rtol=0)


def test_same_draw_same_crop_and_other_seed_another():
    data = dataset()
    one, two, three = data[Draw(0, 5)], data[Draw(0, 5)], data[Draw(0, 6)]
    assert np.array_equal(one["audio"], two["audio"])
    assert np.array_equal(one["reference"], two["reference"])
    assert not np.array_equal(one["audio"], three["audio"])


def test_a_short_recording_is_padded_and_says_so():
    item = dataset()[Draw(2, 0)]
    assert item["length"] == 30
    assert item["audio"].shape == ((50 + 6) * HOP,)
    assert np.abs(item["audio"][(3 + 30 + 3) * HOP :]).max() == 0
    assert item["reference_length"] == 30


@pytest.mark.parametrize("total", [50, 120, 200, 400])
def test_reference_lies_apart_from_the_source_where_there_is_room(total):
    rng = random.Random(0)
    for _ in range(300):
        begin = rng.randint(0, total - 50)
        start, size = _apart(begin, 50, total, 80, rng)
        assert 0 <= start <= start + size <= total
        overlaps = start < begin + 50 and begin < start + size
        roomiest = max(begin, total - begin - 50)
        assert overlaps == (roomiest < 40)
        assert size == 80 or roomiest < 80


def test_reference_comes_from_another_recording_of_the_speaker_about_half_of_the_time():
    data = dataset(seconds=(3.0, 3.0, 3.0), speakers=("a", "a", "b"))
    other = data.recordings.read(1)
    hits = 0
    for seed in range(200):
        reference = data[Draw(0, seed)]["reference"]
        windows = np.lib.stride_tricks.sliding_window_view(other, len(reference))[::HOP]
        hits += bool((np.abs(windows - reference).max(1) == 0).any())
    assert 70 <= hits <= 130


def test_crop_beyond_the_end_is_mirrored_then_silent():
    data = dataset(seconds=(0.1,), speakers=("a",))
    audio = data.recordings.audios[0] = np.arange(1, 10 * HOP + 1, dtype=np.float32)
    crop = data._crop(0, 8, 4, 1)
    assert len(crop) == 6 * HOP
    assert np.array_equal(crop[: 3 * HOP], audio[7 * HOP :])
    assert np.array_equal(crop[3 * HOP : 4 * HOP], audio[-2 : -HOP - 2 : -1])
    assert not crop[4 * HOP :].any()


def test_nobody_listens_and_no_reference_is_read():
    item = dataset(reference=0)[Draw(0, 0)]
    assert item["reference"].shape == (0,)
    assert item["reference_length"] == 0


@pytest.mark.parametrize("megabytes", [0, 10])
@pytest.mark.parametrize("rate", [16000, 22050])
def test_recordings_give_the_same_crop_with_and_without_room(tmp_path, megabytes, rate):
    audio = speech_like(2.0, sample_rate=rate).audio
    soundfile.write(tmp_path / "a.wav", audio, rate)
    utterance = Utterance(path="a.wav", start=0.25, end=1.75, speaker="a", text="", rate=rate, bandwidth_hz=8000.0,
                          hash="", split="train")  # fmt: skip
    recordings = Recordings([utterance], tmp_path, 16000, megabytes)
    whole = recordings.read(0)
    assert len(whole) == 24000
    for start, stop in ((0, 800), (1600, 8000), (20000, None), (23000, 30000)):
        piece = recordings.read(0, start, stop)
        assert len(piece) == len(whole[start:stop])
        np.testing.assert_allclose(piece, whole[start:stop], atol=2e-3)
    assert bool(recordings._kept) == (megabytes > 0)


def batches(sampler, epoch=0):
    sampler.epoch = epoch
    return list(sampler)


def test_an_epoch_visits_each_recording_once_for_each_segment():
    sampler = SegmentSampler([3, 1, 4], 4, seed=0)
    visits = [draw.index for batch in batches(sampler) for draw in batch]
    assert sorted(visits) == [0, 0, 0, 1, 2, 2, 2, 2]


def test_epochs_differ_and_repeat_by_seed():
    sampler = SegmentSampler([8, 8], 4, seed=0)
    assert batches(sampler, 0) != batches(sampler, 1)
    assert batches(sampler, 1) == batches(SegmentSampler([8, 8], 4, seed=0), 1)
    assert batches(sampler, 1) != batches(SegmentSampler([8, 8], 4, seed=1), 1)


def test_an_epoch_entered_in_the_middle_goes_on_as_the_whole():
    sampler = SegmentSampler([8, 8], 4, seed=0)
    whole = batches(sampler, 2)
    sampler.start = 3
    assert batches(sampler, 2) == whole[3:]
    assert batches(sampler, 2) == whole


def test_processes_share_an_epoch_out():
    counts = [5, 7]
    whole = {d for b in batches(SegmentSampler(counts, 2, seed=0)) for d in b}
    parts = [[d for b in batches(SegmentSampler(counts, 2, seed=0, rank=r, world_size=2)) for d in b] for r in (0, 1)]
    assert not set(parts[0]) & set(parts[1])
    assert set(parts[0]) | set(parts[1]) == whole
    assert len(parts[0]) == len(parts[1])


def test_evaluation_walks_a_fixed_grid():
    sampler = SegmentSampler([2, 1], 2, seed=0, segment=50)
    assert [[(d.index, d.frame) for d in b] for b in batches(sampler)] == [[(0, 0), (0, 50)], [(1, 0)]]
