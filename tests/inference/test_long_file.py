"""Files of any length: memory, journals, locks, headers."""

import contextlib
import multiprocessing
import os
import struct
from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch

from lightning_voiceclone.audio import opening
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.inference import converter as converting
from lightning_voiceclone.inference import long_source, unfinished
from lightning_voiceclone.inference.converter import Converter
from lightning_voiceclone.inference.long_source import LongSource
from lightning_voiceclone.inference.unfinished import wav_header
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_streaming_voice, small_voice
from lightning_voiceclone.utils.files import atomic_file
from lightning_voiceclone.utils.locked_output import locked_output

SECONDS = 6.5


@pytest.fixture(autouse=True)
def short(monkeypatch):
    """A source of more than 1.5 s is long, and its blocks last one second."""
    for module in (long_source, converting):
        monkeypatch.setattr(module, "LONGEST_SECONDS", 1.5)
    monkeypatch.setattr(long_source, "BLOCK_SECONDS", 1.0)
    monkeypatch.setattr(long_source, "PIECE_SECONDS", 0.5)


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    audio = np.concatenate([speech_like(SECONDS - 2.5).audio, speech_like(2.5, speaker=1).audio])
    soundfile.write(folder / "a.wav", audio, 16000)
    soundfile.write(folder / "b.wav", speech_like(2.0, speaker=2).audio, 16000)
    return folder


@pytest.fixture(scope="module")
def model():
    return Converter(small_streaming_voice(guidance=0.3), note=lambda line: None)


@pytest.fixture(scope="module")
def speaker(model, files):
    return model.speaker(files / "b.wav")


def hidden(folder):
    return sorted(path.name for path in folder.iterdir() if path.name.startswith("."))


class Stopped(BaseException):
    """As Ctrl-C."""


def interrupted(monkeypatch, blocks):
    """End the process's work when so many blocks are written."""
    append = unfinished.Unfinished.append

    def until(self, *args):
        append(self, *args)
        if self.done == blocks:
            raise Stopped

    monkeypatch.setattr(unfinished.Unfinished, "append", until)
    return lambda: monkeypatch.setattr(unfinished.Unfinished, "append", append)


@pytest.mark.slow
def test_a_long_file_is_what_its_samples_are(model, speaker, files, tmp_path):
    assert model.convert_file(files / "a.wav", speaker, tmp_path / "c.wav") == SECONDS
    audio, rate = soundfile.read(tmp_path / "c.wav", dtype="float32")
    assert rate == 16000
    expected = model.convert(files / "a.wav", speaker).samples.numpy()
    assert np.abs(audio - expected).max() <= 2**-16 + 1e-6
    assert np.abs(expected).max() > 1e-2
    assert hidden(tmp_path) == []
    assert (tmp_path / "c.wav").stat().st_size == 44 + 2 * len(audio)


@pytest.mark.slow
def test_flac_holds_the_same_samples(model, speaker, files, tmp_path):
    for name in ("c.wav", "c.flac"):
        model.convert_file(files / "a.wav", speaker, tmp_path / name)
    wav, flac = (soundfile.read(tmp_path / name, dtype="int16")[0] for name in ("c.wav", "c.flac"))
    assert np.array_equal(wav, flac)
    assert hidden(tmp_path) == []


@pytest.mark.parametrize("suffix", ["wav", "flac"])
@pytest.mark.slow
def test_an_interrupted_file_goes_on_to_the_same_samples(model, speaker, files, tmp_path, monkeypatch, suffix):
    model.convert_file(files / "a.wav", speaker, tmp_path / f"one.{suffix}")
    output, notes = tmp_path / f"two.{suffix}", []
    for blocks in (2, 3):
        restore = interrupted(monkeypatch, blocks)
        with pytest.raises(Stopped):
            model.convert_file(files / "a.wav", speaker, output)
        restore()
        assert not output.exists()
        assert hidden(tmp_path) == [f".two.{suffix}.lvc-journal", f".two.{suffix}.lvc-unfinished"]
    with (tmp_path / f".two.{suffix}.lvc-unfinished").open("ab") as file:  # killed between samples and journal
        file.write(b"\1" * 999)
    monkeypatch.setattr(model, "note", notes.append)
    model.convert_file(files / "a.wav", speaker, output)
    assert any("goes on after " in note for note in notes)
    one, two = (soundfile.read(tmp_path / f"{name}.{suffix}", dtype="int16")[0] for name in ("one", "two"))
    assert np.array_equal(one, two)
    assert hidden(tmp_path) == []


@pytest.mark.slow
def test_another_command_begins_anew_with_a_line(model, speaker, files, tmp_path, monkeypatch):
    restore, output, notes = interrupted(monkeypatch, 2), tmp_path / "c.wav", []
    with pytest.raises(Stopped):
        model.convert_file(files / "a.wav", speaker, output)
    restore()
    monkeypatch.setattr(model, "note", notes.append)
    model.convert_file(files / "a.wav", speaker, output, pitch_shift=2.0)
    assert sum("an unfinished output of another options is dropped" in note for note in notes) == 1
    expected = model.convert(files / "a.wav", speaker, pitch_shift=2.0).samples.numpy()
    assert np.abs(soundfile.read(output, dtype="float32")[0] - expected).max() <= 2**-16 + 1e-6


def test_ctrl_c_after_the_journal_is_renamed_keeps_its_block(tmp_path, monkeypatch):
    notes = []

    def renamed_then_interrupted(path):
        with atomic_file(path) as temporary:
            yield temporary
        raise KeyboardInterrupt

    def write():
        with unfinished.unfinished(tmp_path / "c.wav", {"options": "a"}, 1000, notes.append) as begun:
            begun.append(np.zeros(500, np.float32), 1, {"state": torch.zeros(3)})

    with monkeypatch.context() as patch:
        patch.setattr(unfinished, "atomic_file", contextlib.contextmanager(renamed_then_interrupted))
        with pytest.raises(KeyboardInterrupt):
            write()
    assert notes == [f"{tmp_path}/c.wav: 1 blocks are kept; the same command goes on from there"]
    with unfinished.unfinished(tmp_path / "c.wav", {"options": "a"}, 1000, notes.append) as begun:
        assert (begun.done, begun.samples) == (1, 500)


@pytest.mark.parametrize("damage", [lambda data: data[:100], lambda data: b"", lambda data: data[:-9] + b"x" * 9])
@pytest.mark.slow
def test_a_damaged_journal_begins_anew(model, speaker, files, tmp_path, monkeypatch, damage):
    restore, journal = interrupted(monkeypatch, 1), tmp_path / ".c.wav.lvc-journal"
    with pytest.raises(Stopped):
        model.convert_file(files / "a.wav", speaker, tmp_path / "c.wav")
    restore()
    journal.write_bytes(damage(journal.read_bytes()))
    assert model.convert_file(files / "a.wav", speaker, tmp_path / "c.wav") == SECONDS
    assert hidden(tmp_path) == []


@pytest.mark.slow
def test_a_full_disk_is_one_line_and_keeps_what_is_written(model, speaker, files, tmp_path, monkeypatch):
    sync, calls = os.fsync, []

    def full(handle):
        calls.append(1)
        if len(calls) > 4:
            raise OSError(28, "No space left on device")
        sync(handle)

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as failed:
        model.convert_file(files / "a.wav", speaker, tmp_path / "c.wav")
    assert failed.value.filename is not None
    assert ".c.wav.lvc-journal" in hidden(tmp_path)
    monkeypatch.setattr(os, "fsync", sync)
    assert model.convert_file(files / "a.wav", speaker, tmp_path / "c.wav") == SECONDS


def _hold(output, ready, end):
    with locked_output(Path(output)):
        ready.set()
        end.wait(30)


@pytest.mark.slow
def test_a_second_process_with_the_same_output_is_refused(model, speaker, files, tmp_path):
    context = multiprocessing.get_context("fork")
    ready, end = context.Event(), context.Event()
    holder = context.Process(target=_hold, args=(tmp_path / "c.wav", ready, end))
    holder.start()
    try:
        assert ready.wait(30)
        for name in ("a.wav", "b.wav"):
            with pytest.raises(ConfigurationError, match=r"c\.wav: another process is writing it"):
                model.convert_file(files / name, speaker, tmp_path / "c.wav")
    finally:
        end.set()
        holder.join()
    model.convert_file(files / "b.wav", speaker, tmp_path / "c.wav")
    assert hidden(tmp_path) == []


@pytest.mark.slow
def test_what_cannot_be_converted_leaves_nothing(model, speaker, files, tmp_path):
    soundfile.write(tmp_path / "silent.wav", np.zeros(48000), 16000)
    audio = speech_like(3.0).audio.copy()
    audio[30000] = np.nan
    soundfile.write(tmp_path / "nan.wav", audio, 16000, "FLOAT")
    for name, words in (("silent", "is silent"), ("nan", "not finite numbers")):
        with pytest.raises(RecordingError, match=words):
            model.convert_file(tmp_path / f"{name}.wav", speaker, tmp_path / "c.wav")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["nan.wav", "silent.wav"]


def test_a_source_that_ends_within_a_sample_is_used_as_far_as_it_goes(model, speaker, files, tmp_path, monkeypatch):
    data, notes = (files / "a.wav").read_bytes(), []
    (tmp_path / "cut.wav").write_bytes(data[: 44 + 2 * 40000 + 1])
    monkeypatch.setattr(model, "note", notes.append)
    assert model.convert_file(tmp_path / "cut.wav", speaker, tmp_path / "c.wav") == 2.5
    assert any("is truncated" in note for note in notes)


@pytest.mark.slow
def test_sources_with_64_bit_headers_are_read(model, speaker, files, tmp_path):
    audio, _ = soundfile.read(files / "a.wav", dtype="int16")
    for kind, name in (("RF64", "a.wav"), ("W64", "a.w64")):
        soundfile.write(tmp_path / name, audio, 16000, format=kind)
        assert model.convert_file(tmp_path / name, speaker, tmp_path / "c.wav") == SECONDS


@pytest.mark.slow
def test_more_than_32_bits_are_written_as_rf64(model, speaker, files, tmp_path, monkeypatch):
    model.convert_file(files / "a.wav", speaker, tmp_path / "short.wav")
    monkeypatch.setattr(unfinished, "MOST_32_BITS", 1000)
    model.convert_file(files / "a.wav", speaker, tmp_path / "long.wav")
    assert (tmp_path / "long.wav").read_bytes()[:4] == b"RF64"
    short, long = (soundfile.read(tmp_path / name, dtype="int16")[0] for name in ("short.wav", "long.wav"))
    assert np.array_equal(short, long)
    header = wav_header(3 << 31, 16000, 80)
    assert len(header) == 80
    assert struct.unpack_from("<QQQ", header, 20) == ((3 << 32) + 72, 3 << 32, 3 << 31)


@pytest.mark.slow
def test_a_model_of_whole_recordings_takes_long_files(files, tmp_path):
    model = Converter(small_voice(spread=0.3), note=lambda line: None)
    speaker = model.speaker(files / "b.wav")
    assert model.convert_file(files / "a.wav", speaker, tmp_path / "c.wav") == SECONDS


@pytest.mark.slow
def test_blocks_of_a_noisy_source_are_denoised_without_a_seam():
    random = np.random.default_rng(0)
    audio = (speech_like(4.0).audio + 0.05 * random.standard_normal(64000)).astype(np.float32)
    spec, notes = small_voice().spec, []
    source = LongSource("a.wav", lambda first, last: audio[first:last], spec, "auto")
    notes += source.notes
    assert any("a.wav is noisy" in note for note in notes)
    joined = torch.cat([source.block(index) for index in range(source.blocks)])
    assert len(joined) == 64000
    quiet = np.abs(np.diff(joined.numpy()))
    for edge in (16000, 32000, 48000):
        assert quiet[edge - 1] < 3 * quiet[edge - 400 : edge + 400].max()
    assert float(joined.square().mean()) < float(np.square(audio).mean())


def test_the_sample_of_a_source_is_spread_over_its_speech():
    audio = np.zeros(16000 * 20, np.float32)
    for second in (2, 9, 17):
        audio[second * 16000 : (second + 1) * 16000] = speech_like(1.0, speaker=second).audio
    source = LongSource("a.wav", lambda first, last: audio[first:last], small_voice().spec, "off")
    spans = source.survey.spans
    assert source.survey.length == len(audio)
    assert [begin // 16000 for begin, _ in spans] == [2, 9, 17]
    assert sum(end - begin for begin, end in spans) <= 1.5 * 16000


@pytest.mark.slow
def test_a_header_that_promises_more_than_decodes_is_noted(model, speaker, files, tmp_path, monkeypatch):
    audio, notes = soundfile.read(files / "a.wav", dtype="int16")[0], []
    soundfile.write(tmp_path / "a.flac", audio, 16000)
    monkeypatch.setattr(model, "note", notes.append)
    monkeypatch.setattr(opening.Decoder, "frames", property(lambda self: 3 * len(audio)))
    assert model.convert_file(tmp_path / "a.flac", speaker, tmp_path / "c.wav") == SECONDS
    assert [note for note in notes if "its header promises 13.0 s more than are there" in note]
