import errno
import json
import os
import shutil
import signal
import time
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
import yaml
from forks import Fork
from pyarrow import parquet

from lightning_voiceclone.audio.augmentation import RandomGain
from lightning_voiceclone.audio.io import read_audio
from lightning_voiceclone.audio.preprocessing import NormalizePeak, TrimSilence
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.core.interfaces import AudioTransform, FeatureExtractor
from lightning_voiceclone.core.spec import AudioSpec
from lightning_voiceclone.data import jobs
from lightning_voiceclone.data.corpora import SpeakerFolders, Table
from lightning_voiceclone.data.manifest import Manifest, check_unchanged
from lightning_voiceclone.data.prepare import MANIFEST_NAME, prepare
from lightning_voiceclone.data.stored_features import cached_features, features_key
from lightning_voiceclone.errors import ConfigurationError, LVCError
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.utils.journal import Journal

RATE = 16000


class FrameEnergy(FeatureExtractor):
    """Mean square and peak of each frame."""

    def __init__(self, hop: int = 160) -> None:
        super().__init__()
        self.spec = AudioSpec(kind="frame_energy", channels=2, sample_rate=RATE, hop_length=hop)

    def forward(self, audio):
        hop = self.spec.hop_length
        frames = audio[:, : audio.shape[1] // hop * hop].unflatten(1, (-1, hop))
        return torch.stack([frames.square().mean(2), frames.abs().amax(2)], dim=1)


def voice(seconds=0.6, pitch=150, rate=RATE):
    time = np.arange(round(seconds * rate)) / rate
    harmonics = sum(np.sin(2 * np.pi * pitch * k * time) / k for k in range(1, 10))
    return 0.2 * harmonics * np.sin(np.pi * time / seconds) ** 2


@pytest.fixture
def corpus(tmp_path):
    """Four speakers of three recordings, of all formats, and one of each that cannot be used."""
    root = tmp_path / "corpus"
    for speaker in range(4):
        (root / f"s{speaker}").mkdir(parents=True)
        for number, suffix in enumerate(("wav", "flac", "mp3")):
            rate = 24000 if suffix == "flac" else RATE
            soundfile.write(
                root / f"s{speaker}" / f"{number}.{suffix}", voice(0.6 + 0.1 * number, 120 + 10 * speaker, rate), rate
            )
        (root / f"s{speaker}" / "0.txt").write_text(f"text {speaker}")
    bad = root / "s1"
    (bad / "empty.wav").touch()
    (bad / "text.flac").write_text("not audio")
    whole = (root / "s0" / "0.wav").read_bytes()
    (bad / "cut.wav").write_bytes(whole[: len(whole) // 2])
    soundfile.write(bad / "silent.wav", np.zeros(RATE), RATE)
    soundfile.write(bad / "nan.wav", np.full(RATE, np.nan), RATE, subtype="FLOAT")
    soundfile.write(bad / "short.wav", voice(0.1), RATE)
    return root


def rejected(output):
    lines = (output / "rejected.tsv").read_text().splitlines()
    assert lines[0] == "path\treason"
    return dict(line.split("\t") for line in lines[1:])


def contents(output):
    return {
        str(p.relative_to(output)): p.read_bytes()
        for p in output.rglob("*")
        if p.is_file() and p.name != "progress.jsonl"
    }


def run(corpus, output, **options):
    return prepare(SpeakerFolders(corpus), output, workers=1, progress=False, **options)


def test_good_recordings_are_listed_and_bad_ones_with_their_reason(corpus, tmp_path):
    summary = run(corpus, tmp_path / "out", validation=1)
    assert (summary.accepted, summary.rejected, summary.reused) == (12, 6, 0)
    assert summary.seconds == pytest.approx(4 * (0.6 + 0.7 + 0.8), abs=0.01)
    assert summary.speakers == {"train": 3, "validation": 1}
    assert summary.utterances == {"train": 9, "validation": 3}
    reasons = rejected(tmp_path / "out")
    words = {
        "empty": "0 bytes",
        "text": "not audio",
        "cut": "truncated",
        "silent": "silent",
        "nan": "NaN",
        "short": "too short",
    }
    assert {Path(path).stem for path in reasons} == set(words)
    assert all(words[Path(path).stem] in reason for path, reason in reasons.items())
    assert summary.reasons["truncated"] == 1
    manifest = Manifest.read(summary.manifest_path)
    assert manifest.root == corpus
    first = manifest.utterances[0]
    assert (first.path, first.speaker, first.text, first.start, first.rate) == ("s0/0.wav", "s0", "text 0", 0.0, RATE)
    assert first.end == pytest.approx(0.6)
    for utterance in manifest.utterances:
        audio, _ = read_audio(manifest.root / utterance.path, start=utterance.start, end=utterance.end)
        assert len(audio) == round(utterance.seconds * utterance.rate)


@pytest.mark.slow
def test_missing_files_are_rejected(corpus, tmp_path):
    (tmp_path / "t.tsv").write_text("path\tspeaker\ncorpus/s0/0.wav\ta\ncorpus/gone.wav\ta\n")
    summary = prepare(Table(tmp_path / "t.tsv"), tmp_path / "out", progress=False)
    assert (summary.accepted, rejected(tmp_path / "out")) == (1, {"corpus/gone.wav": "there is no such file"})


@pytest.mark.slow
def test_segments_of_one_file(corpus, tmp_path):
    soundfile.write(tmp_path / "long.flac", np.concatenate([voice(1.0), voice(1.0)]), RATE)
    (tmp_path / "t.csv").write_text("path,speaker,start,end\nlong.flac,a,0,0.9\nlong.flac,b,1.1,\nlong.flac,b,1.5,4\n")
    summary = prepare(Table(tmp_path / "t.csv"), tmp_path / "out", features=FrameEnergy(), workers=1, validation=0)
    assert (summary.accepted, summary.rejected) == (2, 1)
    manifest = Manifest.read(summary.manifest_path)
    assert [(u.start, u.end) for u in manifest.utterances] == [(0.0, 0.9), (1.1, pytest.approx(2.0))]
    stored = cached_features(tmp_path / "out", FrameEnergy())
    assert [stored(u).shape for u in manifest.utterances] == [(2, 90), (2, 90)]


@pytest.mark.slow
def test_transforms_are_written_as_mono_flac(corpus, tmp_path):
    stereo = np.pad(np.stack([voice(), 0.5 * voice()], axis=1), ((8000, 8000), (0, 0)))
    soundfile.write(corpus / "s0" / "0.wav", stereo, RATE)
    options = {
        "transforms": [TrimSilence(hangover=0.0), NormalizePeak(-6)],
        "sample_rate": 8000,
        "features": FrameEnergy(),
    }
    summary = run(corpus, tmp_path / "out", **options)
    assert summary.accepted == 12
    manifest = Manifest.read(summary.manifest_path)
    assert manifest.root == tmp_path / "out"
    stored = cached_features(tmp_path / "out", FrameEnergy())
    for utterance in manifest.utterances:
        assert utterance.path.startswith(f"audio/{utterance.speaker}/")
        audio, rate = read_audio(manifest.root / utterance.path)
        assert (rate, utterance.rate) == (8000, 8000)
        assert utterance.bandwidth_hz <= 4000
        assert len(audio) == round(utterance.seconds * 8000)
        expected = FrameEnergy()(torch.from_numpy(read_audio(manifest.root / utterance.path, RATE)[0])[None])[0]
        np.testing.assert_array_equal(stored(utterance), expected.numpy())
    assert np.abs(read_audio(manifest.root / manifest.utterances[1].path)[0]).max() == pytest.approx(0.5, abs=0.02)
    assert manifest.utterances[0].seconds < 0.7


@pytest.mark.slow
def test_what_a_transform_leaves_nothing_of_is_rejected(corpus, tmp_path):
    soundfile.write(corpus / "s3" / "0.wav", np.pad(voice(0.3), 8000), RATE)
    run(corpus, tmp_path / "out", transforms=[TrimSilence(hangover=0.0)], min_seconds=0.4)
    reasons = rejected(tmp_path / "out")
    assert reasons["s3/0.wav"].endswith("(after the transforms)")
    written = {path.name for path in (tmp_path / "out" / "audio").rglob("*.flac")}
    assert written == {Path(u.path).name for u in Manifest.read(tmp_path / "out" / MANIFEST_NAME).utterances}


@pytest.mark.slow
@pytest.mark.parametrize("feature_type", ["float32", "float16"])
def test_features_are_those_of_the_recording(corpus, tmp_path, feature_type):
    extractor = FrameEnergy()
    summary = run(corpus, tmp_path / "out", features=extractor, feature_type=feature_type)
    manifest = Manifest.read(summary.manifest_path)
    folder = tmp_path / "out" / "features" / features_key(extractor)
    assert AudioSpec.from_mapping(yaml.safe_load((folder / "spec.yaml").read_text())) == extractor.spec
    assert len(list(folder.rglob("*.npy"))) == 12
    stored = cached_features(tmp_path / "out", extractor)
    for utterance in manifest.utterances:
        audio, _ = read_audio(corpus / utterance.path, RATE)
        assert stored(utterance).dtype == feature_type
        assert stored(utterance).shape == (2, len(audio) // 160)
        np.testing.assert_allclose(stored(utterance), extractor(torch.from_numpy(audio)[None])[0], rtol=1e-3, atol=1e-6)


@pytest.mark.slow
def test_features_of_another_spec_are_refused_with_the_difference(corpus, tmp_path):
    run(corpus, tmp_path / "out", features=FrameEnergy(160))
    with pytest.raises(ConfigurationError, match="hop_length is 160 there, 200 asked for"):
        cached_features(tmp_path / "out", FrameEnergy(200))
    with pytest.raises(ConfigurationError, match="--features"):
        cached_features(tmp_path / "elsewhere", FrameEnergy())


@pytest.mark.slow
def test_only_what_is_new_or_changed_is_done_again(corpus, tmp_path, monkeypatch):
    done = []
    checked = jobs.check_recording
    monkeypatch.setattr(
        jobs, "check_recording", lambda path, **options: done.append(path.name) or checked(path, **options)
    )
    run(corpus, tmp_path / "out")
    before = contents(tmp_path / "out")
    assert len(done) == 18
    done.clear()
    assert run(corpus, tmp_path / "out").reused == 18
    assert (done, contents(tmp_path / "out")) == ([], before)
    soundfile.write(corpus / "s0" / "0.wav", voice(0.9), RATE)
    soundfile.write(corpus / "s2" / "new.wav", voice(0.5), RATE)
    (corpus / "s3" / "1.flac").unlink()
    (corpus / "s1" / "cut.wav").unlink()
    assert run(corpus, tmp_path / "out").rejected == 5
    assert sorted(done) == ["0.wav", "new.wav"]
    assert contents(tmp_path / "out") == contents_of_a_fresh_run(corpus, tmp_path)


def contents_of_a_fresh_run(corpus, tmp_path, **options):
    run(corpus, tmp_path / "fresh", **options)
    return contents(tmp_path / "fresh")


@pytest.mark.slow
def test_other_settings_do_everything_again_and_leave_no_old_audio(corpus, tmp_path):
    first = {"transforms": [NormalizePeak(-3)], "features": FrameEnergy()}
    second = {"transforms": [NormalizePeak(-9)], "features": FrameEnergy()}
    run(corpus, tmp_path / "out", **first)
    for options, expected, reused in ((second, -9, 0), (first, -3, 6)):  # rejections of the first run are still known
        assert run(corpus, tmp_path / "out", **options).reused == reused
        manifest = Manifest.read(tmp_path / "out" / MANIFEST_NAME)
        peaks = [20 * np.log10(np.abs(read_audio(manifest.root / u.path)[0]).max()) for u in manifest.utterances]
        assert peaks == pytest.approx([expected] * 12, abs=0.05)
        assert len(list((tmp_path / "out" / "audio").rglob("*.flac"))) == 12


@pytest.mark.slow
def test_what_was_deleted_is_made_again(corpus, tmp_path):
    options = {"features": FrameEnergy(), "sample_rate": 8000}
    run(corpus, tmp_path / "out", **options)
    before = contents(tmp_path / "out")
    next((tmp_path / "out" / "features").rglob("*.npy")).unlink()
    next((tmp_path / "out" / "audio").rglob("*.flac")).unlink()
    assert 16 <= run(corpus, tmp_path / "out", **options).reused <= 17
    assert contents(tmp_path / "out") == before


@pytest.mark.slow
def test_a_line_cut_in_two_is_done_again(corpus, tmp_path):
    run(corpus, tmp_path / "out")
    before = contents(tmp_path / "out")
    journal = tmp_path / "out" / "progress.jsonl"
    data = journal.read_bytes()
    journal.write_bytes(data[: len(data) - 30])
    assert run(corpus, tmp_path / "out").reused == 17
    assert run(corpus, tmp_path / "out").reused == 18
    assert contents(tmp_path / "out") == before


@pytest.mark.slow
def test_processes_give_the_same_as_one(corpus, tmp_path):
    options = {"transforms": [NormalizePeak()], "progress": False}
    prepare(SpeakerFolders(corpus), tmp_path / "two", workers=2, **options)
    prepare(SpeakerFolders(corpus), tmp_path / "one", workers=1, **options)
    assert contents(tmp_path / "one") == contents(tmp_path / "two")


@pytest.mark.slow
@pytest.mark.parametrize(("sign", "workers"), [(signal.SIGKILL, "2"), (signal.SIGINT, "1")])
def test_an_interrupted_run_goes_on_where_it_stopped(corpus, tmp_path, sign, workers):
    for number in range(200):
        shutil.copy(corpus / "s0" / "0.wav", corpus / "s2" / f"more{number}.wav")
    output = tmp_path / "out"
    command = ["prepare", "SpeakerFolders", str(corpus), "--rate", "8000", "--workers", workers]
    journal = output / "progress.jsonl"
    limit = time.monotonic() + 60
    with Fork(lambda: main([*command, "--output", str(output)]), tmp_path) as process:
        while not (journal.exists() and journal.read_bytes().count(b"\n") >= 8):
            assert process.returncode is None
            assert time.monotonic() < limit
            time.sleep(0.002)
        process.send_signal(sign)
        told = process.communicate(timeout=60)[1]
        assert process.returncode == (130 if sign == signal.SIGINT else -signal.SIGKILL)
    if sign == signal.SIGINT:
        assert told == "lvc: interrupted; the same command continues where it stopped\n"
    finished = journal.read_bytes().count(b"\n")
    assert 8 <= finished < 218
    assert not (output / MANIFEST_NAME).exists()
    assert run(corpus, output, sample_rate=8000).reused >= finished
    keys = [json.loads(line)["key"] for line in journal.read_text().splitlines() if line]
    assert len(set(keys)) == len(keys) == 218
    assert contents(output) == contents_of_a_fresh_run(corpus, tmp_path, sample_rate=8000)


@pytest.mark.slow
def test_a_second_preparation_of_the_same_output_is_refused(corpus, tmp_path):
    import filelock

    (tmp_path / "out").mkdir()
    with (
        filelock.FileLock(tmp_path / "out" / ".lock"),
        pytest.raises(ConfigurationError, match="another process is preparing"),
    ):
        run(corpus, tmp_path / "out")
    assert run(corpus, tmp_path / "out").accepted == 12


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_leaves_nothing_half_written(corpus, tmp_path, monkeypatch):
    write = Path.write_bytes
    written = []

    def full(self, data):
        written.append(self)
        if len(written) > 5:
            write(self, bytes(data)[:100])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self))
        return write(self, data)

    monkeypatch.setattr(Path, "write_bytes", full)
    with pytest.raises(LVCError, match=r"the disk of .*out is full; free some space") as caught:
        run(corpus, tmp_path / "out", sample_rate=8000)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / MANIFEST_NAME).exists()
    files = list((tmp_path / "out" / "audio").rglob("*"))
    assert len([path for path in files if path.is_file()]) == 5
    assert all(soundfile.info(path).frames for path in files if path.is_file())
    monkeypatch.undo()
    run(corpus, tmp_path / "out", sample_rate=8000)
    assert contents(tmp_path / "out") == contents_of_a_fresh_run(corpus, tmp_path, sample_rate=8000)


@pytest.mark.slow
def test_a_disk_that_fills_up_while_the_journal_is_written(corpus, tmp_path, monkeypatch):
    def full(self, results):
        self.path.write_text('{"key": "ab", "ro')
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(Journal, "append", full)
        with pytest.raises(LVCError, match="is full"):
            run(corpus, tmp_path / "out")
    assert run(corpus, tmp_path / "out").accepted == 12
    assert run(corpus, tmp_path / "out").reused == 18


def test_nothing_left_is_an_error_that_counts_the_reasons(tmp_path):
    (tmp_path / "corpus" / "a").mkdir(parents=True)
    for name in ("x", "y"):
        (tmp_path / "corpus" / "a" / f"{name}.wav").touch()
    with pytest.raises(LVCError, match=r"none of the 2 recordings.*2 empty file.*rejected\.tsv"):
        run(tmp_path / "corpus", tmp_path / "out")
    assert len(rejected(tmp_path / "out")) == 2
    assert not (tmp_path / "out" / MANIFEST_NAME).exists()


@pytest.mark.slow
def test_users_own_files_in_the_output_are_left_alone(corpus, tmp_path):
    mine = [corpus / "audio" / ".mine.flac", corpus / "audio" / "x.flac", corpus / "features" / ".a-b.npy"]
    for path in mine:
        path.parent.mkdir(exist_ok=True)
        soundfile.write(path, voice(), RATE, format="FLAC")
    first = run(corpus, corpus, sample_rate=8000)
    second = run(corpus, corpus, sample_rate=12000)
    assert all(path.is_file() for path in mine)
    assert first.accepted == second.accepted  # what the first one wrote is no recording of the second


class Failing(AudioTransform):
    stage = "prepare"

    def forward(self, audio, sample_rate):
        raise ZeroDivisionError("by zero")


class Narrow(FrameEnergy):
    def forward(self, audio):
        return super().forward(audio)[:, :1]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"transforms": [RandomGain()]}, "RandomGain varies batches in training"),
        ({"split_by": "speeker"}, r"did you mean speaker\?"),
        ({"feature_type": "int8"}, "float16 or float32"),
        ({"sample_rate": 16}, "16000"),
        ({"min_seconds": float("nan")}, "min_seconds is nan; it must be from 0 to 86,400"),
        ({"validation": float("nan")}, "validation is nan; give a whole number, or a share"),
        ({"test": float("inf")}, "test is inf; give a whole number, or a share"),
        ({"transforms": [Failing()]}, r"none of the .* can be used: .*preparing it failed"),
        ({"features": Narrow()}, r"Narrow gives \(1, 60\) of 9600 samples, but by its spec it must give \(2, 60\)"),
        ({"validation": 4}, "split by utterance"),
    ],
)
def test_settings_that_cannot_work(corpus, tmp_path, options, told):
    with pytest.raises(LVCError, match=told):
        run(corpus, tmp_path / "out", **options)
    assert not (tmp_path / "out" / MANIFEST_NAME).exists()


@pytest.mark.slow
def test_the_manifest_has_the_promised_columns(corpus, tmp_path):
    table = parquet.read_table(run(corpus, tmp_path / "out").manifest_path)
    facts = ["rate", "bandwidth_hz", "snr_db", "hash"]
    mixdown = ["channel", "offset"]
    own = ["path", "start", "end", "speaker", "text"]
    assert table.column_names == [*own, *facts, "split", "parallel", *mixdown, "style"]


@pytest.mark.slow
def test_what_is_prepared_is_never_removed(corpus, tmp_path):
    prepare(SpeakerFolders(corpus), tmp_path / "out", sample_rate=8000, workers=1)
    before = sorted((tmp_path / "out/audio").rglob("*.flac"))
    for root in ("out", "out/audio"):
        with pytest.raises(ConfigurationError, match="input"):
            prepare(SpeakerFolders(tmp_path / root), tmp_path / "out", sample_rate=RATE, workers=1)
    assert before
    assert sorted((tmp_path / "out/audio").rglob("*.flac")) == before


def parallel_table(folder, seconds=(0.6, 0.6), lines="a.wav\tAnn\tb.wav\nb.wav\tBob\ta.wav\n"):
    folder.mkdir()
    for name, length in zip("ab", seconds, strict=True):
        soundfile.write(folder / f"{name}.wav", voice(length) * (0.9 if name == "b" else 1), RATE)
    (folder / "t.tsv").write_text("path\tspeaker\tparallel\n" + lines)
    return Table(folder / "t.tsv")


def test_parallel_recordings_are_named_by_where_they_are_after_the_transforms(tmp_path):
    kept = prepare(parallel_table(tmp_path / "c"), tmp_path / "kept", validation=0)
    assert [u.parallel for u in Manifest.read(kept.manifest_path).utterances] == ["b.wav", "a.wav"]
    written = prepare(parallel_table(tmp_path / "d"), tmp_path / "written", transforms=[NormalizePeak()], validation=0)
    first, second = Manifest.read(written.manifest_path).utterances
    assert (first.parallel, second.parallel) == (second.path, first.path)
    assert first.path.startswith("audio/")


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"lines": "a.wav\tAnn\tc.wav\nb.wav\tBob\t\n"}, "a.wav has the parallel recording 'c.wav'.*add a line"),
        ({"seconds": (0.6, 0.8)}, "a.wav lasts 0.60 s but its parallel recording b.wav 0.80 s"),
    ],
)
def test_parallel_recordings_must_be_there_and_as_long(tmp_path, settings, told):
    with pytest.raises(ConfigurationError, match=told):
        prepare(parallel_table(tmp_path / "c", **settings), tmp_path / "out", validation=0)


@pytest.mark.slow
def test_the_same_sound_is_used_once(tmp_path):
    for name in ("a/1.wav", "b/1.wav", "a/2.wav"):
        (tmp_path / "in" / name).parent.mkdir(exist_ok=True, parents=True)
        seed = 7 if name == "b/1.wav" else 0
        soundfile.write(tmp_path / "in" / name, speech_like(1.0, seed=seed).audio, 16000)
    (tmp_path / "in" / "b" / "copy.wav").symlink_to(tmp_path / "in" / "a" / "1.wav")
    summary = prepare(SpeakerFolders(tmp_path / "in"), tmp_path / "out", progress=False)
    assert summary.accepted == 2
    assert summary.reasons == {"listed twice": 1, "listed under two speakers": 1}


def test_a_manifest_notices_what_was_shortened_or_removed(tmp_path):
    path = tmp_path / "in" / "a" / "1.wav"
    path.parent.mkdir(parents=True)
    soundfile.write(path, speech_like(1.0).audio, 16000)
    written = prepare(SpeakerFolders(tmp_path / "in"), tmp_path / "out", progress=False).manifest_path
    manifest = Manifest.read(written)
    check_unchanged(manifest, written.stat().st_mtime)
    soundfile.write(path, speech_like(0.6).audio, 16000)
    with pytest.raises(ConfigurationError, match=r"1\.wav lasts 0\.60 s, but the manifest has it to 1\.00 s"):
        check_unchanged(manifest, written.stat().st_mtime - 1)
    path.unlink()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        check_unchanged(manifest, written.stat().st_mtime)
