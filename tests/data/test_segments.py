"""Crops: which, where, and that a crop with its margin is a piece of the whole."""

import random
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.data.audio_store import FileStore
from lightning_voiceclone.data.sampling import Draw, Growth, ResumableLoader, SegmentSampler
from lightning_voiceclone.data.segments import Grid, Recordings, SegmentDataset, _apart, collate
from lightning_voiceclone.data.utterances import Utterance
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.testing.signals import speech_like

HOP = 160


class InMemory:
    """Stands for Recordings: the samples themselves."""

    def __init__(self, audios, speakers):
        self.audios = audios
        self.utterances = [
            Utterance(path=f"{i}.wav", start=0.0, end=len(a) / 16000, speaker=s, text="", rate=16000,
                      bandwidth_hz=8000.0, snr_db=60.0, hash=str(i), split="train")
            for i, (a, s) in enumerate(zip(audios, speakers, strict=True))
        ]  # fmt: skip

    def read(self, index, start=0, stop=None):
        return self.audios[index][start:stop]


def dataset(seconds=(3.0, 3.0, 0.3), speakers=("a", "b", "c"), segment=50, reference=80, margin=3, **settings):
    audios = [speech_like(s, speaker=i, seed=i).audio for i, s in enumerate(seconds)]
    spec = MelSpectrogram().spec
    return SegmentDataset(InMemory(audios, speakers), Grid(spec, segment, reference, margin), **settings)


def with_parallels(parallels, **settings):
    data = dataset(**settings)
    pairs = zip(data.recordings.utterances, parallels, strict=True)
    data.recordings.utterances = [replace(utterance, parallel=parallel) for utterance, parallel in pairs]
    return SegmentDataset(data.recordings, data.grid)


def is_from(crop, audio):
    """Whether a crop that begins where a frame does is of this recording."""
    starts = range(0, len(audio) - len(crop) + 1, HOP)
    return any(audio[start] == crop[0] and np.array_equal(audio[start : start + len(crop)], crop) for start in starts)


@pytest.mark.slow
def test_features_of_a_crop_are_a_slice_of_the_whole():
    data = dataset()
    extractor = MelSpectrogram()
    whole = extractor(torch.from_numpy(data.recordings.read(0))[None])[0]
    for begin in (0, 1, 100, 250):
        item = data[Draw(0, 0, begin)]
        crop = extractor(torch.from_numpy(item["audio"])[None])[0, :, 3:-3]
        torch.testing.assert_close(crop, whole[:, begin : begin + 50], atol=2e-4, rtol=0)


@pytest.mark.parametrize("more", [1, 80, 159])
def test_a_crop_at_the_end_is_a_slice_of_the_whole_where_the_last_frame_is_not_full(more):
    data = dataset(seconds=(1.0 + more / 16000,), speakers=("a",))
    extractor = MelSpectrogram()
    whole = extractor(torch.from_numpy(data.recordings.read(0))[None])[0]
    assert whole.shape[1] == 100
    crop = extractor(torch.from_numpy(data[Draw(0, 0, 50)]["audio"])[None])[0, :, 3:-3]
    torch.testing.assert_close(crop, whole[:, 50:], atol=2e-4, rtol=0)


@pytest.mark.slow
def test_same_draw_same_crop_and_other_seed_another():
    data = dataset()
    one, two, three = data[Draw(0, 5)], data[Draw(0, 5)], data[Draw(0, 6)]
    assert np.array_equal(one["audio"], two["audio"])
    assert np.array_equal(one["reference"], two["reference"])
    assert not np.array_equal(one["audio"], three["audio"])


@pytest.mark.slow
def test_a_short_recording_is_padded_with_a_note():
    item = dataset()[Draw(2, 0)]
    assert item["length"] == 30
    assert item["audio"].shape == ((50 + 6) * HOP,)
    assert np.abs(item["audio"][(3 + 30 + 3) * HOP :]).max() == 0
    assert item["reference_length"] == 30


@pytest.mark.parametrize("total", [50, 120, 200, 400])
def test_reference_does_not_overlap_the_source_where_both_fit(total):
    rng = random.Random(0)
    for _ in range(300):
        begin = rng.randint(0, total - 50)
        start, size = _apart(begin, 50, total, 80, rng)
        assert 0 <= start <= start + size <= total
        overlaps = start < begin + 50 and begin < start + size
        roomiest = max(begin, total - begin - 50)
        assert overlaps == (roomiest < 40)
        assert size == 80 or roomiest < 80


@pytest.mark.slow
@pytest.mark.parametrize(
    ("settings", "least", "most"),
    [({}, 70, 130), ({"elsewhere": 0.0}, 0, 0), ({"elsewhere": 0.25}, 30, 70), ({"elsewhere": 1.0}, 200, 200)],
)
def test_reference_comes_from_another_recording_of_the_speaker_as_often_as_asked(settings, least, most):
    data = dataset(seconds=(3.0, 3.0, 3.0), speakers=("a", "a", "b"), **settings)
    own, other = data.recordings.read(0), data.recordings.read(1)
    references = [data[Draw(0, seed)]["reference"] for seed in range(200)]
    hits = sum(is_from(reference, other) for reference in references)
    assert least <= hits <= most
    assert sum(is_from(reference, own) for reference in references if not is_from(reference, other)) == 200 - hits


@pytest.mark.slow
def test_a_speaker_of_one_recording_is_their_own_reference():
    data = dataset(elsewhere=1.0)
    assert all(is_from(data[Draw(1, seed)]["reference"], data.recordings.read(1)) for seed in range(20))


def test_crop_beyond_the_end_is_mirrored_then_silent():
    data = dataset(seconds=(0.1,), speakers=("a",))
    audio = data.recordings.audios[0] = np.arange(1, 10 * HOP + 1, dtype=np.float32)
    crop = data._crop(0, 8, 4, 1)
    assert len(crop) == 6 * HOP
    assert np.array_equal(crop[: 3 * HOP], audio[7 * HOP :])
    assert np.array_equal(crop[3 * HOP : 4 * HOP], audio[-2 : -HOP - 2 : -1])
    assert not crop[4 * HOP :].any()


@pytest.mark.slow
def test_a_model_without_references_reads_none():
    item = dataset(reference=0)[Draw(0, 0)]
    assert item["reference"].shape == (0,)
    assert item["reference_length"] == 0


@pytest.mark.parametrize("megabytes", [0, 10])
def test_a_reference_that_is_not_needed_is_not_read_from_the_file_either(tmp_path, caplog, megabytes):
    """Of a recording that was not in the cache, a segment without samples was read, which is an error."""
    soundfile.write(tmp_path / "a.wav", speech_like(1.0).audio, 16000)
    utterance = Utterance(path="a.wav", start=0.0, end=1.0, speaker="a", text="", rate=16000, bandwidth_hz=8000.0,
                          snr_db=60.0, hash="", split="train")  # fmt: skip
    recordings = Recordings([utterance], FileStore(tmp_path), 16000, megabytes)
    item = SegmentDataset(recordings, Grid(MelSpectrogram().spec, 50, 0, 3))[Draw(0, 0)]
    assert item["audio"].shape == ((50 + 2 * 3) * HOP,)
    assert item["reference"].shape == (0,)
    assert not caplog.records


@pytest.mark.parametrize("megabytes", [0, 10])
@pytest.mark.parametrize("rate", [16000, 22050])
def test_recordings_give_the_same_crop_with_and_without_a_cache(tmp_path, megabytes, rate):
    audio = speech_like(2.0, sample_rate=rate).audio
    soundfile.write(tmp_path / "a.wav", audio, rate)
    utterance = Utterance(path="a.wav", start=0.25, end=1.75, speaker="a", text="", rate=rate, bandwidth_hz=8000.0,
                          snr_db=60.0, hash="", split="train")  # fmt: skip
    recordings = Recordings([utterance], FileStore(tmp_path), 16000, megabytes)
    whole = recordings.read(0)
    assert len(whole) == 24000
    for start, stop in ((0, 800), (1600, 8000), (20000, None), (23000, 30000)):
        piece = recordings.read(0, start, stop)
        assert len(piece) == len(whole[start:stop])
        np.testing.assert_allclose(piece, whole[start:stop], atol=2e-3)
    assert bool(recordings._kept) == (megabytes > 0)


class Ramp:
    """A recording whose samples are their numbers."""

    decoded = False

    def read(self, name, sample_rate, start, end):
        return np.arange(round(start * sample_rate), round(end * sample_rate), dtype=np.float32) / 32768


@pytest.mark.parametrize("speed", [0.85, 0.9, 0.95, 1.0, 1.07, 1.18])
def test_pseudo_speakers_give_the_same_crop_with_and_without_a_cache(speed):
    utterance = Utterance(path="a", start=0.0, end=1.6, speaker="a", text="", rate=16000, bandwidth_hz=8000.0,
                          snr_db=60.0, hash="", split="train", speed=speed)  # fmt: skip
    kept, read = (Recordings([utterance], Ramp(), 16000, megabytes) for megabytes in (10, 0))
    for start in range(0, 20000, 487):
        piece = read.read(0, start, start + 5120)
        assert len(piece) == 5120  # one more, and it could not be padded
        assert np.array_equal(piece, kept.read(0, start, start + 5120))


@pytest.mark.parametrize("megabytes", [0, 10])
def test_a_recording_that_has_become_shorter_ends_a_training_with_one_line(tmp_path, megabytes):
    soundfile.write(tmp_path / "a.wav", speech_like(1.5).audio, 16000)
    utterance = replace(InMemory([np.zeros(32000)], "a").utterances[0], path="a.wav")
    recordings = Recordings([utterance], FileStore(tmp_path), 16000, megabytes)
    with pytest.raises(RecordingError, match=r"a\.wav: truncated: 0\.50 s are missing before 2\.00 s"):
        recordings.read(0, 0, 32000)


def test_what_is_not_kept_has_16_bits_too(tmp_path):
    audio = np.random.default_rng(0).uniform(-0.5, 0.5, 16000)
    soundfile.write(tmp_path / "a.wav", audio, 16000, subtype="PCM_24")
    utterance = Utterance(path="a.wav", start=0.0, end=1.0, speaker="a", text="", rate=16000, bandwidth_hz=8000.0,
                          snr_db=60.0, hash="", split="train")  # fmt: skip
    kept, read = (
        Recordings([utterance], FileStore(tmp_path), 16000, megabytes).read(0, 100, 9000) for megabytes in (10, 0)
    )
    assert np.array_equal(kept, read)


@pytest.mark.parametrize("megabytes", [0, 10])
def test_a_recording_played_faster_is_higher_and_shorter(tmp_path, megabytes):
    soundfile.write(tmp_path / "a.wav", 0.3 * np.sin(2 * np.pi * 440 * np.arange(32000) / 16000), 16000)
    utterance = replace(InMemory([np.zeros(32000)], "a").utterances[0], path="a.wav")
    recordings = Recordings(
        [utterance.played(1.25), utterance.played(0.8), utterance], FileStore(tmp_path), 16000, megabytes
    )
    for index, (seconds, hertz) in enumerate([(1.6, 550), (2.5, 352), (2.0, 440)]):
        audio = recordings.read(index)
        assert len(audio) == seconds * 16000
        spectrum = np.abs(np.fft.rfft(audio[4000:20000] * np.hanning(16000)))  # 1 s: a bin is 1 Hz
        assert spectrum.argmax() == hertz
    faster = recordings.read(0)
    np.testing.assert_allclose(recordings.read(0, 8000, 12000), faster[8000:12000], atol=1e-3)
    assert len(recordings.read(0, 25000, 30000)) == 600


def test_a_segment_played_slower_is_that_segment(tmp_path):
    click = np.zeros(16000, np.float32)
    click[8000] = 0.5
    soundfile.write(tmp_path / "a.wav", click, 16000)
    whole = InMemory([click], "a").utterances[0]
    stretch = replace(whole, path="a.wav", start=0.4, end=0.6).played(0.5)  # 0.8 s to 1.2 s of what is heard
    audio = Recordings([stretch], FileStore(tmp_path), 16000, 0).read(0)
    assert len(audio) == 6400
    assert np.abs(audio).argmax() == 3200


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


COUNTS, SPEAKERS = [6, 5, 2, 9], ["a", "b", "c", "a"]  # segments: a has 15, b 5, c 2


def test_no_speaker_has_more_than_the_most_segments_of_an_epoch():
    sampler = SegmentSampler(COUNTS, 2, seed=0, speakers=SPEAKERS, most=4)
    assert sampler.total == 4 + 4 + 2
    assert len(sampler) == 5
    for epoch in range(20):
        visits = [draw.index for batch in batches(sampler, epoch) for draw in batch]
        spoken = Counter(SPEAKERS[index] for index in visits)
        assert spoken == {"a": 4, "b": 4, "c": 2}
        assert all(times <= COUNTS[index] for index, times in Counter(visits).items())


def test_a_limited_epoch_is_drawn_anew_and_follows_from_the_seed():
    sampler = SegmentSampler(COUNTS, 2, seed=0, speakers=SPEAKERS, most=4)
    drawn = [Counter(draw.index for batch in batches(sampler, epoch) for draw in batch) for epoch in range(200)]
    assert len({tuple(sorted(epoch.items())) for epoch in drawn}) > 3
    # Of the four segments of speaker a 9 in 15 are of the second recording, in the long run.
    assert sum(epoch[3] for epoch in drawn) / 800 == pytest.approx(9 / 15, abs=0.06)
    again = SegmentSampler(COUNTS, 2, seed=0, speakers=SPEAKERS, most=4)
    assert batches(again, 7) == batches(sampler, 7)
    sampler.start = 2
    assert batches(sampler, 7) == batches(again, 7)[2:]


def test_a_limit_that_nobody_reaches_changes_nothing():
    assert batches(SegmentSampler(COUNTS, 2, seed=3, speakers=SPEAKERS, most=15)) == batches(
        SegmentSampler(COUNTS, 2, seed=3)
    )


def test_processes_share_a_limited_epoch_out():
    settings = {"speakers": SPEAKERS, "most": 4}
    whole = {d for b in batches(SegmentSampler(COUNTS, 1, seed=0, **settings)) for d in b}
    parts = [SegmentSampler(COUNTS, 1, seed=0, rank=rank, world_size=2, **settings) for rank in (0, 1)]
    draws = [[draw for batch in batches(part) for draw in batch] for part in parts]
    assert [len(part) for part in parts] == [len(part) for part in draws] == [5, 5]
    assert not set(draws[0]) & set(draws[1])
    assert set(draws[0]) | set(draws[1]) == whole


def test_segments_are_drawn_by_their_shares():
    """Of each speaker as many as the shares add up to, and the likelier ones more often."""
    settings = {"speakers": ["a", "a", "b", "c"], "shares": [1.0, 0.25, 0.5, 0.01]}
    sampler = SegmentSampler([4, 8, 6, 5], 2, seed=0, **settings)
    assert sampler.total == (4 + 2) + 3 + 1
    drawn = [Counter(draw.index for batch in batches(sampler, epoch) for draw in batch) for epoch in range(200)]
    assert all(epoch[0] + epoch[1] == 6 and epoch[2] == 3 and epoch[3] == 1 for epoch in drawn)
    first, second = (sum(epoch[index] for epoch in drawn) / 200 / room for index, room in ((0, 4), (1, 8)))
    assert 0.7 < first < 1  # each of its segments in so many epochs
    assert first / second > 2.2
    places = [[draw.index for batch in batches(sampler, epoch) for draw in batch].index(3) for epoch in range(200)]
    assert np.mean(places) == pytest.approx(4.5, abs=0.8)  # rare segments do not always come last
    limited = SegmentSampler([4, 8, 6, 5], 2, seed=0, most=2, **settings)
    assert limited.total == 2 + 2 + 1
    assert batches(limited, 3) == batches(SegmentSampler([4, 8, 6, 5], 2, seed=0, most=2, **settings), 3)


def test_no_process_is_left_without_a_batch():
    shares = [batches(SegmentSampler([1, 1], 4, seed=0, segment=50, rank=rank, world_size=3)) for rank in range(3)]
    assert [[draw.index for draw in batch] for (batch,) in shares] == [[0], [1], [0]]


def test_evaluation_takes_crops_on_a_fixed_grid():
    sampler = SegmentSampler([2, 1], 2, seed=0, segment=50)
    assert [[(d.index, d.frame) for d in b] for b in batches(sampler)] == [[(0, 0), (0, 50)], [(1, 0)]]


@pytest.mark.slow
def test_a_crop_comes_with_the_same_frames_of_the_parallel_recording():
    data = with_parallels(("1.wav", "0.wav", ""))
    first, second, alone = data[Draw(0, 0, 40)], data[Draw(1, 0, 40)], data[Draw(2, 0, 0)]
    assert np.array_equal(first["parallel"], second["audio"])
    assert np.array_equal(second["parallel"], first["audio"])
    assert not np.array_equal(first["parallel"], first["audio"])
    assert np.array_equal(alone["parallel"], alone["audio"])
    batch = collate([first, alone], margin=3)
    assert batch.parallel.shape == batch.audio.shape
    assert collate([dataset()[Draw(0, 0, 40)]], margin=3).parallel is None


@pytest.mark.slow
def test_only_a_crop_of_the_whole_recording_has_its_transcript():
    data = dataset()
    data.recordings.utterances = [replace(u, text=f"words {u.path}") for u in data.recordings.utterances]
    assert collate([data[Draw(0, 0, 0)], data[Draw(2, 0, 0)]], margin=3).texts == ["", "words 2.wav"]
    exactly = dataset(seconds=(0.5, 0.51, 0.5), segment=50)
    exactly.recordings.utterances = [replace(u, text="words") for u in exactly.recordings.utterances]
    assert [exactly[Draw(i, 0, 0)]["text"] for i in range(3)] == ["words", "", "words"]


def test_a_crop_has_the_style_of_its_recording_and_its_speaker():
    data = dataset(speakers=("a", "b", "a"))
    data.recordings.utterances[0] = replace(data.recordings.utterances[0], style="sad")
    batch = collate([data[Draw(0, 0, 0)], data[Draw(1, 0, 0)]], margin=3)
    assert (batch.styles, batch.speakers) == (["sad", ""], ["a", "b"])
    assert [data.of_speaker(name).tolist() for name in ("a", "b", "c")] == [[0, 2], [1], []]
    assert batch.head(1).styles == ["sad"]


@pytest.mark.slow
def test_a_parallel_recording_of_another_split_or_speed_is_not_read():
    data = with_parallels(("9.wav", "", ""))
    assert "parallel" not in data[Draw(0, 0, 0)]
    data.recordings.utterances = [u.played(1.0 if i else 1.25) for i, u in enumerate(data.recordings.utterances)]
    data.recordings.utterances[0] = replace(data.recordings.utterances[0], parallel="1.wav")
    assert "parallel" not in SegmentDataset(data.recordings, data.grid)[Draw(0, 0, 0)]


GROWING = Growth(frames=lambda batch: 10 if batch < 5 else 20, share=lambda batch: 0.25 if batch < 5 else 1.0)


def test_crops_grow_and_speakers_join_by_the_batches_of_all_epochs():
    sampler = SegmentSampler([4, 4, 4, 4], 4, seed=0, speakers=["a", "b", "c", "d"], growth=GROWING)
    first = batches(sampler, 0)
    sampler.before = len(first)
    second = batches(sampler, 1)
    assert [{draw.frames for draw in batch} for batch in first + second] == [{10}] * 5 + [{20}] * 3
    few = {draw.index for batch in (first + second)[:5] for draw in batch}
    assert len(few) == 1  # a quarter of the segments are those of one speaker
    assert {draw.index for batch in second[1:] for draw in batch} > few


def test_weights_and_limits_hold_among_the_first_speakers():
    """Of two speakers whose segments are all in the first half, one is noisy, and one has more than the limit."""
    counts, speakers, half = [100, 100, 100, 100], ["a", "b", "c", "d"], Growth(share=lambda batch: 0.5)
    plain = SegmentSampler(counts, 4, seed=0, speakers=speakers, growth=half)
    first = sorted({draw.index for batch in batches(plain) for draw in batch})
    assert len(first) == 2
    shares = [0.1 if index == first[0] else 1.0 for index in range(4)]
    weighted = SegmentSampler(counts, 4, seed=0, speakers=speakers, shares=shares, growth=half)
    visits = Counter(draw.index for epoch in range(10) for batch in batches(weighted, epoch) for draw in batch)
    assert sorted(visits) == first
    assert visits[first[0]] / visits.total() == pytest.approx(10 / 110, abs=0.03)
    counts = [100 if index == first[0] else 300 for index in range(4)]
    limited = SegmentSampler(counts, 4, seed=0, speakers=speakers, most=100, growth=Growth(share=lambda batch: 0.4))
    visits = Counter(draw.index for epoch in range(10) for batch in batches(limited, epoch) for draw in batch)
    assert visits[first[0]] / visits.total() == pytest.approx(0.5, abs=0.05)
    tiny = SegmentSampler(counts, 4, seed=0, speakers=speakers, most=1, growth=Growth(share=lambda batch: 1e-6))
    assert len({draw.index for batch in batches(tiny) for draw in batch}) == 1


def test_a_loader_that_resumes_counts_the_batches_before():
    done = [0, 4.0]
    sampler = SegmentSampler([4, 4, 4, 4], 4, seed=0, speakers=["a", "b", "c", "d"], growth=GROWING)
    data = dataset(seconds=(3.0,) * 4, speakers=("a", "b", "c", "d"), reference=0)
    settings = {"collate_fn": list, "progress": lambda: tuple(done)}
    loader = ResumableLoader(data, batch_sampler=sampler, **settings)
    for _ in loader:
        done[0] += 1
    assert loader.state_dict() == {"epoch": 1, "batches": 0, "before": 4}
    lengths = [[item["length"] for item in batch] for batch in loader]
    assert lengths == [[10] * 4] + [[20] * 4] * 3
    again = SegmentSampler([4, 4, 4, 4], 4, seed=0, speakers=["a", "b", "c", "d"], growth=GROWING)
    resumed = ResumableLoader(data, batch_sampler=again, **settings)
    resumed.load_state_dict({"epoch": 1, "batches": 2, "before": 4})
    assert list(again) == batches(sampler, 1)[2:]
    old = SegmentSampler([4, 4, 4, 4], 4, seed=0)
    ResumableLoader(data, batch_sampler=old, **settings).load_state_dict({"epoch": 3, "batches": 1})
    assert old.before == 12


def test_a_growing_crop_is_the_beginning_of_no_other_place():
    data = dataset()
    short, whole = data[Draw(0, 5, 40, 10)], data[Draw(0, 5, 40)]
    assert (short["length"], whole["length"]) == (10, 50)
    assert np.array_equal(short["audio"], whole["audio"][: len(short["audio"])])
