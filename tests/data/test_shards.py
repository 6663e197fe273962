"""Shards: the same samples as from files, parts that are new alone are packed, and damage is named."""

import errno
import os
import pickle
from types import SimpleNamespace

import numpy as np
import pytest
import soundfile

from lightning_voiceclone.data import packing
from lightning_voiceclone.data.audio_store import FileStore
from lightning_voiceclone.data.corpora import SpeakerFolders
from lightning_voiceclone.data.datamodule import VoiceDataModule
from lightning_voiceclone.data.manifest import Manifest
from lightning_voiceclone.data.packing import Shard, Source, _jobs, _write
from lightning_voiceclone.data.prepare import MANIFEST_NAME, prepare
from lightning_voiceclone.data.sampling import Draw, ResumableLoader, SegmentSampler
from lightning_voiceclone.data.segments import Grid, Recordings, SegmentDataset
from lightning_voiceclone.data.shards import BLOCK, FACTORS, ROW, ShardStore, checksums, key_of, taken, write_index
from lightning_voiceclone.data.utterances import Utterance
from lightning_voiceclone.errors import ConfigurationError, LVCError, RecordingError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.testing.signals import speech_like

RATE = 16000


def record(path, seconds, speaker=0, rate=RATE, seed=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, speech_like(seconds, speaker=speaker, seed=seed, sample_rate=rate).audio, rate)


@pytest.fixture
def corpus(tmp_path):
    """Three speakers of two recordings, one of them of another rate, and one of two channels that cancel each other."""
    root = tmp_path / "in"
    for speaker in range(3):
        for take in range(2):
            rate = 22050 if (speaker, take) == (2, 1) else RATE
            record(root / f"s{speaker}" / f"{take}.flac", 1.3 + 0.4 * take, speaker, rate, take)
    audio = speech_like(1.0, speaker=4).audio
    soundfile.write(root / "s0" / "2.wav", np.stack([audio, -audio], axis=1) + 0.01, RATE)
    return root


def packed(corpus, output, **options):
    return prepare(SpeakerFolders(corpus), output, workers=1, progress=False, shards=True, validation=1, **options)


def files(output):
    return {path.name: path.read_bytes() for path in (output / "shards").iterdir()}


def set_up(root, rank=0, world_size=1, **settings):
    data = VoiceDataModule(SpeakerFolders, str(root), segment_seconds=0.3, reference_seconds=0.5, batch_size=2,
                           validation=1, **settings)  # fmt: skip
    data.prepare_data()
    module = SimpleNamespace(spec=MelSpectrogram().spec, needs_reference=True, margin=3, needs_transcripts=False)
    connector = SimpleNamespace(use_distributed_sampler=False)
    data.trainer = SimpleNamespace(world_size=world_size, global_rank=rank, lightning_module=module,
                                   _accelerator_connector=connector)  # fmt: skip
    data.setup("fit")
    return data


def damage(path, place):
    data = bytearray(path.read_bytes())
    data[place] ^= 1
    path.write_bytes(data)


def test_checksums_are_of_each_block_and_see_each_bit():
    samples = np.random.default_rng(0).integers(-9, 9, 2 * BLOCK + 8, dtype=np.int16)
    sums = checksums(samples)
    words = samples.view(np.uint64).tolist()
    first = sum(word * int(factor) for word, factor in zip(words, FACTORS.tolist(), strict=False)) % 2**64
    assert (len(sums), int(sums[0])) == (3, first)
    for place, block in ((0, 0), (BLOCK, 1), (2 * BLOCK + 7, 2)):
        changed = samples.copy()
        changed[place] ^= 1 << 14
        assert np.flatnonzero(checksums(changed) != sums).tolist() == [block]
    swapped = samples.reshape(-1, 4)[[1, 0, *range(2, len(samples) // 4)]].ravel()
    assert checksums(swapped)[0] != sums[0]


@pytest.mark.slow
def test_samples_are_those_of_the_files(corpus, tmp_path):
    packed(corpus, tmp_path / "out")
    manifest = Manifest.read(tmp_path / "out" / MANIFEST_NAME)
    shards, folder = ShardStore(tmp_path / "out" / "shards"), FileStore(corpus, manifest.mixdowns)
    for row in manifest.utterances:
        for megabytes in (0, 9):
            ours, theirs = (Recordings([row], store, RATE, megabytes) for store in (shards, folder))
            for start, stop in ((0, None), (0, 1), (801, 9000), (BLOCK - 1, BLOCK + 1), (15000, 99999)):
                np.testing.assert_array_equal(ours.read(0, start, stop), theirs.read(0, start, stop))
        assert bool(ours._kept) == (row.rate != RATE)  # a cache would only take memory
        played = [Recordings([row.played(1.25)], store, RATE, 0).read(0, 100, 7000) for store in (shards, folder)]
        np.testing.assert_allclose(*played, atol=1.01 / 32768, rtol=0)  # rounded to 16 bits before it is resampled
    again = pickle.loads(pickle.dumps(shards))  # as a worker process gets it
    np.testing.assert_array_equal(again.read("s0/0.flac", RATE, 0.1, 0.2), shards.read("s0/0.flac", RATE, 0.1, 0.2))
    with pytest.raises(RecordingError, match=r"s0/9\.flac is in no shard"):
        shards.read("s0/9.flac", RATE, 0.0, 1.0)
    with pytest.raises(RecordingError, match="begins at 9 s, where the recording has ended"):
        shards.read("s0/0.flac", RATE, 9, 10)


@pytest.mark.slow
def test_training_reads_the_same_crops_in_the_same_order(corpus, tmp_path):
    packed(corpus, tmp_path / "out", seed=3)
    prepare(SpeakerFolders(corpus), tmp_path / "plain", workers=1, progress=False, validation=1, seed=3)
    ours, theirs = set_up(tmp_path / "out"), set_up(None, manifest=str(tmp_path / "plain"))
    assert isinstance(ours.datasets["train"].recordings.store, ShardStore)
    for name in ("train_dataloader", "val_dataloader"):
        batches = [list(getattr(data, name)()) for data in (ours, theirs)]
        assert len(batches[0]) == len(batches[1]) > 1
        for one, other in zip(*batches, strict=True):
            assert one.names == other.names
            np.testing.assert_array_equal(one.audio, other.audio)
            np.testing.assert_array_equal(one.reference, other.reference)


@pytest.mark.slow
def test_ranks_and_workers_read_disjoint_parts(corpus, tmp_path):
    packed(corpus, tmp_path / "out")
    draws = []
    for rank in range(2):
        data = set_up(tmp_path / "out", rank, 2, workers=2)
        batches = list(data.train_dataloader().batch_sampler)
        draws += [[(draw.index, draw.seed) for batch in batches[worker::2] for draw in batch] for worker in range(2)]
    assert all(draws)
    assert len({draw for part in draws for draw in part}) == sum(map(len, draws))
    names = [name for batch in data.train_dataloader() for name in batch.names]  # two worker processes
    alone = set_up(tmp_path / "out", 1, 2)
    assert names == [name for batch in alone.train_dataloader() for name in batch.names]


@pytest.mark.slow
def test_only_what_is_new_or_changed_is_packed(corpus, tmp_path):
    packed(corpus, tmp_path / "out")
    before = files(tmp_path / "out")
    assert set(before) == {"00000.bin", "index.bin"}
    packed(corpus, tmp_path / "out")
    assert files(tmp_path / "out") == before
    record(corpus / "s3" / "0.flac", 1.0, 5)
    record(corpus / "s1" / "0.flac", 1.1, 6)
    prepare(SpeakerFolders(corpus), tmp_path / "out", workers=1, progress=False, validation=1)  # keeps them up to date
    after = files(tmp_path / "out")
    assert set(after) == {"00000.bin", "00001.bin", "index.bin"}
    assert after["00000.bin"] == before["00000.bin"]
    store = ShardStore(tmp_path / "out" / "shards")
    for name in ("s3/0.flac", "s1/0.flac", "s1/1.flac"):
        np.testing.assert_array_equal(store.read(name, RATE, 0.0, 9.0), FileStore(corpus).read(name, RATE, 0.0, 9.0))
    assert {int(store._index[store._place(f"s{n}/0.flac")]["shard"]) for n in (1, 3)} == {1}
    record(corpus / "s3" / "0.flac", 1.0, 7)
    record(corpus / "s1" / "0.flac", 1.1, 8)
    packed(corpus, tmp_path / "out")
    assert set(files(tmp_path / "out")) == {"00000.bin", "00002.bin", "index.bin"}


@pytest.mark.slow
def test_after_a_failed_packing_the_manifest_before_goes_with_the_index(corpus, tmp_path, monkeypatch, caplog):
    out = tmp_path / "out"
    packed(corpus, out)
    manifest, before = (out / MANIFEST_NAME).read_bytes(), files(out)
    for number, path in enumerate(sorted(corpus.rglob("*.*"))):
        record(path, 1.2, 5, seed=number + 9)
    write = packing._append

    def fail(out, path, mixdown):
        if path.name == "1.flac":
            raise RecordingError(f"{path}: gone")
        return write(out, path, mixdown)

    monkeypatch.setattr(packing, "_append", fail)
    with pytest.raises(LVCError, match=r"1\.flac: gone \(and 2 others\); restore it"):
        packed(corpus, out)
    after = files(out)
    assert {name: after[name] for name in before} == before
    assert (out / MANIFEST_NAME).read_bytes() == manifest
    monkeypatch.setattr(packing, "_append", write)
    packed(corpus, out)
    assert set(files(out)) == {"00001.bin", "00002.bin", "index.bin"}
    assert files(out)["00001.bin"] == after["00001.bin"]
    rows = Manifest.read(out / MANIFEST_NAME).utterances
    store = ShardStore(out / "shards")
    assert store.have([row.path for row in rows] + ["no.wav"]).tolist() == [True] * 7 + [False]
    write_index(out / "shards" / "index.bin", store._index[1:])  # as of another manifest
    assert len(set_up(out)._found()[0]) == 6
    assert "1 utterances, the first of s" in caplog.text
    assert "are left out: run the same lvc prepare again" in caplog.text


@pytest.mark.slow
@pytest.mark.parametrize("options", [{}, {"sample_rate": 8000}])
def test_packed_samples_whose_originals_are_gone_are_not_deleted(corpus, tmp_path, options):
    out = tmp_path / "out"
    packed(corpus, out, **options)
    manifest, before = (out / MANIFEST_NAME).read_bytes(), files(out)
    corpus.rename(tmp_path / "away")
    record(corpus / "s5" / "0.flac", 1.0, 5)
    record(corpus / "s6" / "0.flac", 1.1, 6)
    with pytest.raises(LVCError, match=r"^the originals of 7 packed recording\(s\) are gone, the first that of .*s0/.*"
                                       r"; put them back, or name another --output$"):  # fmt: skip
        packed(corpus, out, **options)
    assert (files(out), (out / MANIFEST_NAME).read_bytes()) == (before, manifest)
    for folder in (tmp_path / "away").iterdir():
        folder.rename(corpus / folder.name)
    record(corpus / "s0" / "0.flac", 1.3, 7)  # changed, not gone
    packed(corpus, out, **options)
    assert len(Manifest.read(out / MANIFEST_NAME).utterances) == 9
    assert not ShardStore(out / "shards").faults


@pytest.mark.slow
def test_a_damaged_recording_is_named_and_passed_over(corpus, tmp_path, caplog):
    packed(corpus, tmp_path / "out")
    path = tmp_path / "out" / "shards" / "00000.bin"
    plain = set_up(tmp_path / "out").datasets["train"]
    bad = plain.recordings.utterances[0].path
    store = plain.recordings.store
    row = store._index[store._place(bad)]
    damage(path, 2 * int(row["begin"]) + 11)
    dataset = set_up(tmp_path / "out").datasets["train"]
    with pytest.raises(RecordingError, match=rf"{bad}: .*00000\.bin is damaged: .*remove that file and run"):
        dataset.recordings.read(0)
    with pytest.raises(RecordingError, match=r"00000\.bin is damaged"):  # an evaluation has no substitutes
        dataset[Draw(0, 0, 0)]
    draws = [Draw(0, seed) for seed in range(3)]
    items = [dataset[draw] for draw in draws]
    assert caplog.text.count("passed over, and another recording used") == caplog.text.count("00000.bin") == 1
    assert len({item["name"] for item in items}) > 1
    again = set_up(tmp_path / "out").datasets["train"]  # what comes in its place follows from the draw alone
    assert [again[draw]["name"] for draw in draws[::-1]] == [item["name"] for item in items][::-1]
    path.unlink()
    packed(corpus, tmp_path / "out")
    assert set_up(tmp_path / "out").datasets["train"][draws[0]]["name"] == plain[draws[0]]["name"]


def test_too_many_that_cannot_be_read_end_a_training(tmp_path):
    rows = [Utterance(path=f"{n}.wav", start=0.0, end=1.0, speaker="a", text="", rate=RATE, bandwidth_hz=8000.0,
                      snr_db=60.0, hash="", split="train") for n in range(40)]  # fmt: skip
    grid = Grid(MelSpectrogram().spec, 30, 0, 3)
    for few, words in (
        (40, r"^11 of 40 recordings cannot be read; the last: "),
        (2, r"^.*\d\.wav: there is no such file"),
    ):
        dataset = SegmentDataset(Recordings(rows[:few], FileStore(tmp_path), RATE, 0), grid)
        with pytest.raises(RecordingError, match=words) as caught:
            dataset[Draw(0, 0)]
        assert "\n" not in str(caught.value)


@pytest.mark.slow
@pytest.mark.parametrize("workers", [0, 1])
def test_an_evaluation_ends_with_one_line_in_a_worker_process_too(tmp_path, workers):
    row = Utterance(path="a.wav", start=0.0, end=0.5, speaker="a", text="", rate=RATE, bandwidth_hz=8000.0,
                    snr_db=60.0, hash="", split="test")  # fmt: skip
    dataset = SegmentDataset(Recordings([row], FileStore(tmp_path), RATE, 0), Grid(MelSpectrogram().spec, 30, 0, 3))
    sampler = SegmentSampler([1], 1, seed=0, segment=30)
    loader = ResumableLoader(dataset, batch_sampler=sampler, num_workers=workers, progress=lambda: (0, 1))
    with pytest.raises(RecordingError) as caught:
        next(iter(loader))
    assert str(caught.value) == f"{tmp_path}/a.wav: there is no such file"


def test_what_fails_is_counted_and_not_what_it_is_the_reference_of(tmp_path, caplog):
    """One of 30 recordings of a speaker is gone, and drawn as the reference of most others."""
    rows = [Utterance(path=f"{n}.wav", start=0.0, end=0.5, speaker="a", text="", rate=RATE, bandwidth_hz=8000.0,
                      snr_db=60.0, hash="", split="train") for n in range(30)]  # fmt: skip
    for row in rows[1:]:
        soundfile.write(tmp_path / row.path, np.full(8000, 0.1), RATE)
    recordings = Recordings(rows, FileStore(tmp_path), RATE, 10)
    dataset = SegmentDataset(recordings, Grid(MelSpectrogram().spec, 30, 20, 3), elsewhere=1.0)
    names = [dataset[Draw(seed % 30, seed)]["name"] for seed in range(900)]
    assert dataset._unreadable == {0}
    assert caplog.text.count("0.wav: there is no such file") == caplog.text.count("passed over") == 1
    assert len(names) == 900


@pytest.mark.slow
def test_a_missing_or_truncated_shard_is_named_and_left_out(corpus, tmp_path, monkeypatch, caplog):
    monkeypatch.setattr(packing, "SHARD_SECONDS", 3.0)
    monkeypatch.setattr(packing, "LEAST_SHARD_SECONDS", 3.0)
    packed(corpus, tmp_path / "out")
    shards = sorted((tmp_path / "out" / "shards").glob("*.bin"))[:-1]
    assert len(shards) > 2
    whole = len(Manifest.read(tmp_path / "out" / MANIFEST_NAME).utterances)
    shards[1].write_bytes(shards[1].read_bytes()[:1000])
    shards[2].unlink()
    data = set_up(tmp_path / "out")
    assert f"{shards[1]} is truncated: it has 1000 bytes; 2 recording(s) are left out" in caplog.text
    assert f"{shards[2]} is missing; " in caplog.text
    found, store = data._found()
    assert 0 < len(found) < whole
    assert all(store.has(row.path) for row in found)
    packed(corpus, tmp_path / "out")  # packs what is lost
    assert not ShardStore(tmp_path / "out" / "shards").faults
    for path in (tmp_path / "out" / "shards").glob("0*.bin"):
        path.unlink()
    with pytest.raises(ConfigurationError, match=r"no shard of .* is whole; run the same lvc prepare again"):
        set_up(tmp_path / "out")


def test_shards_are_of_about_the_same_length(tmp_path):
    sources = [Source(str(n), 0, None, 100.0) for n in range(200)]
    for workers, count in ((1, 3), (4, 4), (64, 34)):
        groups = [job.sources for job in _jobs(tmp_path, tmp_path, sources, workers)]
        assert len(groups) == count
        assert [source for group in groups for source in group] == sources


@pytest.mark.slow
def test_several_processes_pack_the_same_samples(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "LEAST_SHARD_SECONDS", 3.0)
    packed(corpus, tmp_path / "one")
    rows = Manifest.read(tmp_path / "one" / MANIFEST_NAME).utterances
    assert packing.pack(corpus, rows, tmp_path / "two", workers=2, progress=False) == []
    one, two = (ShardStore(tmp_path / name / "shards") for name in ("one", "two"))
    assert len(list(two.folder.glob("*.bin"))) > 2  # shards and the index
    for row in rows:
        np.testing.assert_array_equal(one.read(row.path, RATE, 0.0, 9.0), two.read(row.path, RATE, 0.0, 9.0))


def test_a_recording_that_is_gone_is_named_and_the_others_are_packed(tmp_path):
    record(tmp_path / "a.wav", 0.3)
    sources = [Source("gone.wav", 0, None, 1.0), Source("a.wav", 7, None, 0.3)]
    rows, failed = _write(Shard(4, tmp_path / "shards" / "00004.bin", tmp_path, sources))
    assert [row.item()[:5] for row in rows] == [(key_of("a.wav"), 7, 4, RATE, 0)]
    assert failed == [f"{tmp_path}/gone.wav: there is no such file"]
    assert (tmp_path / "shards" / "00004.bin").stat().st_size == 2 * int(taken(rows["samples"])[0]) + ROW.itemsize + 16


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_what_is_packed_stays(corpus, tmp_path, monkeypatch):
    monkeypatch.setattr(packing, "SHARD_SECONDS", 3.0)
    monkeypatch.setattr(packing, "LEAST_SHARD_SECONDS", 3.0)
    write = packing._append

    def full(out, path, mixdown):
        if path.name == "2.wav" or path.parent.name == "s2":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(out, path, mixdown)

    monkeypatch.setattr(packing, "_append", full)
    with pytest.raises(LVCError, match=r"the disk of .*out is full; free some space"):
        packed(corpus, tmp_path / "out")
    there = {path.name for path in (tmp_path / "out" / "shards").iterdir()}
    assert there == set() or all(name.endswith(".bin") for name in there)
    assert not (tmp_path / "out" / MANIFEST_NAME).exists()
    monkeypatch.setattr(packing, "_append", write)
    packed(corpus, tmp_path / "out")
    assert there < {path.name for path in (tmp_path / "out" / "shards").iterdir()}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (None, "cannot be read: there is no such file"),
        (b"", "is no index of shards, or one of another version"),
        (b"LVCSHRD9" + bytes(40), "is no index of shards, or one of another version"),
        (b"LVCSHRD1" + bytes(39), "is no index of shards"),
        (b"LVCSHRD1" + bytes(40), "is damaged"),
        (b"LVCSHRD1" + b"\xff" * 80, "is damaged"),
    ],
)
def test_what_is_no_index_is_refused_in_one_line(tmp_path, data, words):
    if data is not None:
        (tmp_path / "index.bin").write_bytes(data)
    with pytest.raises(ConfigurationError, match=rf"index\.bin {words}.*; run the same lvc prepare again") as caught:
        ShardStore(tmp_path)
    assert "\n" not in str(caught.value)


def test_an_index_cannot_lead_beyond_its_shard(tmp_path):
    write_index(tmp_path / "index.bin", np.array([(key_of("a"), 0, 0, RATE, 4 << 40, 100)], ROW))
    (tmp_path / "00000.bin").write_bytes(bytes(1000))
    store = ShardStore(tmp_path)
    assert store.faults
    assert not store.has("a")
