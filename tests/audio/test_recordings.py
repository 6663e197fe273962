import io
import itertools
import logging
import os
import signal
import struct

import numpy as np
import pytest
import soundfile
import soxr

from lightning_voiceclone.audio import io as audio_io
from lightning_voiceclone.audio.checks import check_recording
from lightning_voiceclone.audio.io import read_audio, write_audio
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.testing.signals import speech_like

FORMATS = ["wav", "flac", "ogg", "mp3"]


def voice(seconds=2.0, rate=24000, seed=0):
    """Harmonics of 140 Hz that come and go, with a little noise."""
    time = np.arange(round(seconds * rate)) / rate
    envelope = np.sin(np.pi * 3 * time) ** 2
    harmonics = sum(np.sin(2 * np.pi * 140 * k * time) / k for k in range(1, 20))
    noise = np.random.default_rng(seed).standard_normal(len(time))
    return (0.2 * envelope * harmonics + 0.002 * noise).astype(np.float32)


@pytest.fixture
def recording(tmp_path):
    def made(suffix="wav", audio=None, rate=24000, name="a", **options):
        path = tmp_path / f"{name}.{suffix}"
        soundfile.write(path, voice(rate=rate) if audio is None else audio, rate, **options)
        return path

    return made


@pytest.mark.parametrize("suffix", FORMATS)
def test_every_format_reads_as_what_was_written(recording, suffix):
    audio, rate = read_audio(recording(suffix))
    original = voice()
    assert (rate, audio.dtype, audio.shape) == (24000, np.float32, original.shape)
    error = np.mean((audio - original) ** 2) / np.mean(original**2)
    assert error < (1e-6 if suffix in {"wav", "flac"} else 0.05)


def test_channels_are_averaged_or_kept(recording):
    left, right = voice(seed=1), -0.5 * voice(seed=2)
    path = recording("flac", np.stack([left, right], axis=1), subtype="PCM_24")
    mono, _ = read_audio(path)
    np.testing.assert_allclose(mono, (left + right) / 2, atol=1e-6)
    both, _ = read_audio(path, mono=False)
    np.testing.assert_allclose(both, np.stack([left, right]), atol=1e-6)


def test_resampling_is_that_of_soxr_and_keeps_a_tone(recording):
    tone = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(44100) / 44100)
    path = recording("wav", tone, rate=44100, subtype="FLOAT")
    audio, rate = read_audio(path, 16000)
    assert (rate, len(audio)) == (16000, 16000)
    np.testing.assert_allclose(audio, soxr.resample(tone.astype(np.float32), 44100, 16000, quality="HQ"), atol=1e-6)
    expected = 0.5 * np.sin(2 * np.pi * 1000 * np.arange(16000) / 16000)
    np.testing.assert_allclose(audio[500:-500], expected[500:-500], atol=1e-3)


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize(("rate", "wanted"), [(24000, None), (44100, 16000), (48000, 16000), (16000, 22050)])
def test_a_segment_equals_the_slice_of_the_whole(recording, suffix, rate, wanted):
    path = recording(suffix, rate=rate)
    whole, out = read_audio(path, wanted)
    for start, end in [(0.0, 0.3), (0.4321, 1.2345), (1.5, None), (1.9, 9.0)]:
        segment, _ = read_audio(path, wanted, start=start, end=end)
        stop = len(whole) if end is None else min(round(end * out), len(whole))
        expected = whole[round(start * out) : stop]
        assert len(segment) == len(expected)
        np.testing.assert_allclose(segment, expected, atol=1e-5)


def test_segments_join_without_a_seam(recording):
    path = recording("flac", rate=44100)
    whole, _ = read_audio(path, 16000)
    ends = [0.0, 0.31, 0.777, 1.5, 2.0]
    pieces = [read_audio(path, 16000, start=a, end=b)[0] for a, b in itertools.pairwise(ends)]
    np.testing.assert_allclose(np.concatenate(pieces), whole, atol=1e-5)


@pytest.mark.parametrize(("start", "end", "told"), [(5.0, None, "ended"), (1.0, 1.0, "empty"), (1.0, 0.5, "empty")])
def test_an_impossible_segment_is_refused(recording, start, end, told):
    for rate in (None, 16000):
        with pytest.raises(RecordingError, match=told):
            read_audio(recording(), rate, start=start, end=end)


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_writing_and_reading_is_exact_in_16_bits(tmp_path, suffix):
    samples = np.round(voice() * 32768) / 32768
    write_audio(tmp_path / "new" / f"a.{suffix}", samples, 24000)
    audio, rate = read_audio(tmp_path / "new" / f"a.{suffix}")
    assert rate == 24000
    np.testing.assert_array_equal(audio, samples.astype(np.float32))
    stereo = np.stack([samples, -samples])
    write_audio(tmp_path / f"b.{suffix}", stereo, 8000)
    np.testing.assert_array_equal(read_audio(tmp_path / f"b.{suffix}", mono=False)[0], stereo.astype(np.float32))


def test_what_lies_beyond_full_scale_is_clipped_with_a_warning(tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        write_audio(tmp_path / "a.wav", np.array([0.5, 1.5, -2.0]), 16000)
    assert "2.000" in caplog.text
    np.testing.assert_allclose(read_audio(tmp_path / "a.wav")[0], [0.5, 1.0, -1.0], atol=1e-4)


def test_ctrl_c_while_a_file_is_encoded_is_not_lost(tmp_path, monkeypatch):
    class Interrupted(io.BytesIO):
        def write(self, data):
            if not self.tell():
                signal.raise_signal(signal.SIGINT)
            return super().write(data)

    monkeypatch.setattr(audio_io.io, "BytesIO", Interrupted)
    previous = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            write_audio(tmp_path / "a.flac", np.zeros(1000, np.float32), 8000)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, previous)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_written_leaves_nothing(tmp_path, monkeypatch):
    with pytest.raises(ConfigurationError, match=r"\.xyz"):
        write_audio(tmp_path / "a.xyz", voice(), 16000)
    with pytest.raises(ConfigurationError, match="NaN"):
        write_audio(tmp_path / "a.wav", np.array([0.0, np.nan]), 16000)

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_audio(tmp_path / "a.wav", voice(), 16000)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("suffix", FORMATS)
def test_facts(recording, suffix):
    stereo = np.stack([voice(), voice()], axis=1)
    facts = check_recording(recording(suffix, stereo), min_seconds=1.0)
    assert (facts.rate, facts.channels, facts.clipped) == (24000, 2, 0.0)
    assert facts.seconds == pytest.approx(2.0)
    assert facts.peak_dbfs == pytest.approx(20 * np.log10(np.abs(voice()).max()), abs=1.0)
    assert len(facts.sha256) == 64


def phrases(rate):
    """Three phrases with pauses between them, and the level of their loud frames: pauses are not speech."""
    spoken = speech_like(1.5, sample_rate=rate, seed=3).audio
    step = rate // 50
    levels = np.square(spoken[: len(spoken) // step * step]).reshape(-1, step).mean(1)
    level = levels[levels > 0.03 * levels.mean()].mean()
    return np.concatenate([spoken, np.zeros(rate // 2, np.float32)] * 3), level


@pytest.mark.parametrize("rate", [8000, 16000])
def test_speech_over_noise_is_known_within_three_decibels(recording, rate):
    speech, level = phrases(rate)
    noise = np.random.default_rng(0).standard_normal(len(speech)) * np.sqrt(level)
    for decibels in (5, 15, 25, 35):
        noisy = speech + noise * 10 ** (-decibels / 20)
        found = check_recording(recording("wav", 0.2 * noisy, rate=rate, subtype="FLOAT")).snr_db
        assert found == pytest.approx(decibels, abs=3)
    quiet = speech + noise * 10 ** (-50 / 20)
    assert check_recording(recording("wav", quiet, rate=rate, subtype="FLOAT")).snr_db > 40


def test_digital_silence_is_no_background_noise_and_noise_is_no_speech(recording):
    rate, (speech, level) = 16000, phrases(16000)
    noisy = speech + np.random.default_rng(0).standard_normal(len(speech)) * np.sqrt(level / 10)
    cut = np.concatenate([noisy, np.zeros(2 * rate), noisy])
    plain, edited = (check_recording(recording("wav", 0.2 * audio, rate=rate)).snr_db for audio in (noisy, cut))
    assert edited == pytest.approx(plain, abs=0.5)
    hiss = 0.1 * np.random.default_rng(0).standard_normal(2 * rate)
    assert check_recording(recording("wav", hiss, rate=rate)).snr_db < 0


@pytest.mark.slow
def test_bandwidth_is_the_files_own_and_not_its_rates(recording):
    noise = 0.1 * np.random.default_rng(0).standard_normal(16000).astype(np.float32)
    narrow = soxr.resample(noise, 8000, 16000, quality="VHQ")
    assert check_recording(recording("wav", noise, rate=16000)).bandwidth_hz == 8000
    for suffix in ("wav", "flac"):
        assert check_recording(recording(suffix, narrow, rate=16000)).bandwidth_hz == pytest.approx(4000, abs=250)


def test_clipping_is_a_fact_and_not_a_fault(recording):
    facts = check_recording(recording("wav", np.clip(8 * voice(), -1, 1)))
    assert 0.05 < facts.clipped < 0.9


def test_a_segment_is_checked_by_itself(recording):
    path = recording("flac", np.concatenate([np.zeros(24000), voice(1.0)]))
    assert check_recording(path, start=1.0).seconds == pytest.approx(1.0)
    with pytest.raises(RecordingError, match="silent"):
        check_recording(path, start=0.1, end=0.9)
    with pytest.raises(RecordingError, match=r"not within its 2\.00 s"):
        check_recording(path, start=1.0, end=3.0)


def rejection(path, **options):
    with pytest.raises(RecordingError) as caught:
        check_recording(path, **options)
    told = str(caught.value)
    assert "\n" not in told
    assert str(path) in told
    return told


@pytest.mark.parametrize("suffix", FORMATS)
@pytest.mark.parametrize("kept", [0.3, 0.6, 0.97])
def test_a_truncated_file_is_found_in_every_format(recording, suffix, kept):
    path = recording(suffix)
    check_recording(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(kept * len(whole))])
    assert "truncated" in rejection(path)


def test_an_mp3_cut_between_two_frames_is_found_by_its_header(recording):
    path = recording("mp3")
    data = path.read_bytes()
    header = data[:2]
    begins = [i for i in range(len(data) - 2000, len(data) - 1) if data[i : i + 2] == header]
    path.write_bytes(data[: begins[-2]])  # one frame less may be a header that counts itself
    assert "frames" in rejection(path)


def test_a_streamed_wav_without_sizes_is_accepted(recording):
    path = recording("wav")
    data = bytearray(path.read_bytes())
    struct.pack_into("<I", data, 4, 0xFFFFFFFF)
    struct.pack_into("<I", data, data.index(b"data") + 4, 0xFFFFFFFF)
    path.write_bytes(data)
    assert check_recording(path).seconds == pytest.approx(2.0)


def test_unusable_files_are_rejected_with_the_reason(recording, tmp_path):
    assert "no such file" in rejection(tmp_path / "missing.wav")
    assert "folder" in rejection(tmp_path)
    (tmp_path / "empty.flac").touch()
    assert "0 bytes" in rejection(tmp_path / "empty.flac")
    assert "empty" in rejection(recording("wav", np.zeros(0), name="none"))
    (tmp_path / "text.wav").write_text("This is not a recording.\n" * 50)
    assert "not audio" in rejection(tmp_path / "text.wav")
    (tmp_path / "noise.mp3").write_bytes(np.random.default_rng(0).bytes(5000))
    assert "not audio" in rejection(tmp_path / "noise.mp3") or "damaged" in rejection(tmp_path / "noise.mp3")
    assert "silent" in rejection(recording("flac", np.zeros(24000), name="zeros"))
    assert "silent" in rejection(recording("flac", 1e-4 * voice(), name="quiet"))
    assert "too short: 0.50 s" in rejection(recording("flac", voice(0.5), name="short"), min_seconds=1.0)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_samples_that_are_not_finite_are_rejected(recording, value):
    audio = voice()
    audio[1000] = value
    assert "NaN or infinite" in rejection(recording("wav", audio, subtype="FLOAT"))


def test_a_missing_or_undecodable_file_is_one_line_when_read(tmp_path):
    with pytest.raises(RecordingError, match="no such file"):
        read_audio(tmp_path / "missing.wav")
    (tmp_path / "a.wav").write_text("no")
    with pytest.raises(RecordingError, match="not audio"):
        read_audio(tmp_path / "a.wav")
