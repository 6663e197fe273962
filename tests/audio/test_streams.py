"""Files whose headers state another length than there is, and what is no file at all."""

import contextlib
import io
import os
import threading
import tracemalloc

import numpy as np
import pytest
import soundfile
from forks import completed

from lightning_voiceclone.audio import opening
from lightning_voiceclone.audio.checks import check_recording
from lightning_voiceclone.audio.io import read_audio, read_with_notes
from lightning_voiceclone.errors import RecordingError
from lightning_voiceclone.testing import altered_audio as altered
from lightning_voiceclone.testing.signals import speech_like

RATE = 22050
FRAME = 576  # samples of an MP3 frame at this rate
DECODER_DELAY = 529  # samples of an MP3 that are none of the recording: left out where a header states no delay
FORMATS = ["WAV", "FLAC", "OGG", "MP3"]


def sound(seconds=3.0, seed=0):
    """Quiet, then loud: a bitrate that varies."""
    audio = 0.5 * speech_like(seconds, sample_rate=RATE, seed=seed).audio
    audio[: len(audio) // 3] *= 0.01
    return audio.astype(np.float32)


def decoded(data):
    return soundfile.read(io.BytesIO(data), dtype="float32")[0]


def refusal(read, *args, **options):
    with pytest.raises(RecordingError) as caught:
        read(*args, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.fixture
def stored(tmp_path):
    def made(data, name="a.bin"):
        path = tmp_path / name
        path.write_bytes(data)
        return path

    return made


def assert_segments_are_slices(path, whole):
    """Whole: samples at the file's own rate."""
    seconds = len(whole) / RATE
    sixteen, _ = read_audio(path, 16000)
    for start, end in [(0.0, 0.3), (0.4 * seconds, 0.55 * seconds), (0.93 * seconds, None), (0.6 * seconds, 99.0)]:
        piece, _ = read_audio(path, start=start, end=end)
        stop = len(whole) if end is None else min(len(whole), round(end * RATE))
        np.testing.assert_allclose(piece, whole[round(start * RATE) : stop], atol=1e-5)
        piece, _ = read_audio(path, 16000, start=start, end=end)
        stop = len(sixteen) if end is None else min(len(sixteen), round(end * 16000))
        np.testing.assert_allclose(piece, sixteen[round(start * 16000) : stop], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("container", ["VBR", "MP3"])
def test_an_mp3_without_a_xing_header_is_read_to_its_end(stored, container):
    original = altered.encoded(sound(), RATE, container)
    path = stored(altered.mp3_without_header(original))
    whole, _, notes = read_with_notes(path)
    assert len(whole) == altered.mp3_frames(original) * FRAME - DECODER_DELAY
    assert not notes
    right = decoded(original)
    lag = len(whole) - len(right) - (len(whole) - len(right) - 576)  # LAME's own delay, which no header states now
    np.testing.assert_allclose(whole[lag : lag + len(right)], right, atol=1e-3)
    assert_segments_are_slices(path, whole)
    assert check_recording(path).seconds == pytest.approx(len(whole) / RATE)


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.3])
def test_an_mp3_whose_header_states_too_few_frames_is_read_to_its_end(stored, share):
    original = altered.encoded(sound(), RATE, "VBR")
    path = stored(altered.mp3_stating(original, int(share * altered.mp3_frames(original))))
    whole, _, notes = read_with_notes(path)
    np.testing.assert_allclose(whole, decoded(original), atol=1e-4)
    assert not notes
    assert_segments_are_slices(path, whole)


@pytest.mark.slow
@pytest.mark.parametrize("container", [*FORMATS, "VBR"])
def test_joined_files_are_read_one_after_another(stored, container):
    parts = [altered.encoded(sound(seconds, seed), RATE, container) for seconds, seed in ((1.3, 0), (2.1, 1), (0.7, 2))]
    path = stored(b"".join(parts))
    whole, _, notes = read_with_notes(path)
    np.testing.assert_allclose(whole, np.concatenate([decoded(part) for part in parts]), atol=1e-4)
    assert notes == (f"{path}: it is 3 recordings, one after another",)
    assert_segments_are_slices(path, whole)
    assert check_recording(path).seconds == pytest.approx(len(whole) / RATE)


@pytest.mark.slow
def test_joined_files_that_differ_are_refused_with_the_command_that_mends_them(stored):
    one, two = altered.encoded(sound(1.0), RATE, "MP3"), altered.encoded(sound(1.0), 16000, "MP3")
    for read in (read_audio, check_recording):
        told = refusal(read, path := stored(one + two))
        assert "16000 Hz with 1 channel(s) and 22050 Hz with 1 channel(s)" in told
        assert f"ffmpeg -i {path} " in told


@pytest.mark.slow
@pytest.mark.parametrize("stated", [0, 1000])
def test_a_wav_that_states_less_than_there_is_is_read_to_its_end(stored, stated):
    path = stored(altered.wav_stating(altered.encoded(sound(), RATE, "WAV"), size=stated))
    whole, _, notes = read_with_notes(path)
    np.testing.assert_allclose(whole, sound(), atol=1e-4)
    assert "less sound than is there" in notes[0]
    assert_segments_are_slices(path, whole)


@pytest.mark.slow
def test_chunks_and_junk_after_a_wavs_sound_are_no_sound(stored):
    data = altered.encoded(sound(), RATE, "WAV")
    for rest in (b"LIST\x04\x00\x00\x00abcd", b"\0" * 50, b"garbage!" * 9, b"\0" * 100_000):
        whole, _, notes = read_with_notes(stored(data + rest))
        assert (len(whole), notes) == (len(sound()), ())


@pytest.mark.slow
@pytest.mark.parametrize("stated", [0, 20000])
def test_a_flac_of_unknown_or_too_short_length_is_read_to_its_end(stored, stated):
    path = stored(altered.flac_stating(altered.encoded(sound(), RATE, "FLAC"), stated))
    whole, _, notes = read_with_notes(path)
    np.testing.assert_allclose(whole, sound(), atol=1e-4)
    assert not notes
    assert_segments_are_slices(path, whole)
    assert check_recording(path).seconds == pytest.approx(3.0)


def too_much(container):
    """A whole file whose header states more than there is."""
    data = altered.encoded(sound(), RATE, container)
    if container == "WAV":
        return altered.wav_stating(data, size=1 << 30)
    if container == "FLAC":
        return altered.flac_stating(data, (1 << 36) - 1)
    return altered.mp3_stating(data, (1 << 32) - 1)


@pytest.mark.slow
@pytest.mark.parametrize("container", ["WAV", "FLAC", "VBR"])
def test_memory_grows_with_what_is_there_and_not_with_what_a_header_states(stored, container):
    path = stored(too_much(container))
    tracemalloc.start()
    try:
        whole, _, notes = read_with_notes(path)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert abs(len(whole) - len(sound())) < 2 * FRAME
    assert peak < 40e6
    assert "is truncated: its header promises" in notes[0]
    assert "what is there is used" in notes[0]
    assert "truncated: its header promises" in refusal(check_recording, path)


@pytest.mark.slow
@pytest.mark.parametrize("container", [*FORMATS, "VBR"])
@pytest.mark.parametrize("kept", [0.4, 0.8, 0.99])
def test_a_truncated_file_is_read_as_far_as_it_goes_with_a_note(stored, container, kept):
    data = altered.encoded(sound(), RATE, container)
    path = stored(data[: int(kept * len(data))])
    if (container, kept) == ("OGG", 0.4):  # it has two pages of sound
        assert "no sound in it" in refusal(read_audio, path)
        return
    whole, _, notes = read_with_notes(path)
    assert 0.1 * len(sound()) < len(whole) < len(sound()) + FRAME
    np.testing.assert_allclose(whole[:5000], decoded(data)[:5000], atol=1e-3)
    assert [note for note in notes if f"{path} is truncated: " in note]
    assert "truncated" in refusal(check_recording, path)


@pytest.mark.slow
def test_what_an_mp3_has_between_its_frames_is_left_out_with_a_note(stored):
    data = altered.encoded(sound(), RATE, "MP3")
    middle = altered.mp3_without_header(data)[: len(data) // 2]
    cut = middle.rfind(data[:2])
    header = len(data) - len(altered.mp3_without_header(data))
    path = stored(data[: header + cut] + b"\x55" * 3000 + data[header + cut :])
    whole, _, notes = read_with_notes(path)
    assert len(whole) == len(sound())
    assert notes == (f"{path} is damaged: 3000 bytes within it are no MP3; the rest is used",)
    assert "damaged: 3000 bytes" in refusal(check_recording, path)


def test_tags_around_an_mp3_are_no_damage(stored):
    data = altered.encoded(sound(1.0), RATE, "MP3")
    tagged = b"ID3\x04\0\0\0\0\x01\x00" + b"\0" * 128 + data + b"TAG" + b"x" * 125
    whole, _, notes = read_with_notes(stored(tagged + tagged))
    assert len(whole) == 2 * RATE
    assert "2 recordings" in notes[0]
    whole, _, notes = read_with_notes(stored(b"\0" * 500 + data))
    assert (len(whole), notes) == (RATE, ())


@pytest.mark.slow
def test_vorbis_is_sought_exactly_in_its_last_page(stored):
    for samples in range(3 * RATE, 3 * RATE + 1000, 250):
        audio = sound(3.1)[:samples]
        path = stored(altered.encoded(audio, RATE, "OGG"))
        whole, _ = read_audio(path)
        for start in np.arange(1.5, 3.0, 0.29):
            piece, _ = read_audio(path, start=start, end=start + 0.2)
            np.testing.assert_allclose(piece, whole[round(start * RATE) :][: len(piece)], atol=1e-5)


@pytest.mark.slow
def test_a_segment_of_an_mp3_of_few_bits_is_right_although_frames_before_it_hold_some_of_them(stored):
    audio = np.repeat(sound(4.0), 2)  # 44,100 Hz
    data = altered.encoded(audio, 44100, "MP3", bitrate_mode="CONSTANT", compression_level=0.999)
    path = stored(data)
    whole, _ = read_audio(path)
    for start in np.arange(0.1, 3.9, 0.17):
        piece, _ = read_audio(path, start=start, end=start + 0.2)
        np.testing.assert_allclose(piece, whole[round(start * 44100) :][: len(piece)], atol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("container", [*FORMATS, "VBR"])
def test_decoding_in_blocks_leaves_no_seam(stored, monkeypatch, container):
    path = stored(altered.encoded(sound(2.1), RATE, container) * 2)
    whole, _ = read_audio(path)
    monkeypatch.setattr(opening, "BLOCK", 5000)
    np.testing.assert_allclose(read_audio(path)[0], whole, atol=1e-6)


@pytest.mark.parametrize("rate", [1, 3999, 768_001, 10_000_000])
def test_rates_that_no_recording_has_are_refused_with_the_command_that_mends_them(stored, rate):
    path = stored(altered.wav_stating(altered.encoded(sound(0.5), RATE, "WAV"), rate=rate))
    for read in (read_audio, check_recording):
        told = refusal(read, path)
        assert f"states {rate} Hz, expected 4000 to 768000" in told
        assert f"ffmpeg -i {path} -af asetrate=16000 " in told


@pytest.mark.slow
@pytest.mark.parametrize("channels", [0, 65, 1000, 65535])
def test_channels_that_no_recording_has_are_refused(stored, channels):
    path = stored(altered.wav_stating(altered.encoded(sound(0.5), RATE, "WAV"), channels=channels))
    assert "hannel" in refusal(read_audio, path)
    assert "hannel" in refusal(check_recording, path)


@pytest.mark.parametrize("container", FORMATS)
def test_a_pipe_is_read_as_the_file_is(stored, tmp_path, container):
    path, pipe = stored(altered.encoded(sound(1.0), RATE, container)), tmp_path / "pipe"
    os.mkfifo(pipe)
    for read in (read_audio, check_recording):
        writer = threading.Thread(target=lambda: pipe.write_bytes(path.read_bytes()))
        writer.start()
        through_pipe = read(pipe)
        writer.join()
        expected = read(path)
        if read is check_recording:
            assert through_pipe == expected
        else:
            np.testing.assert_array_equal(through_pipe[0], expected[0])


@pytest.mark.slow
@pytest.mark.parametrize("name", ["-", "/dev/stdin", "/dev/fd/0"])
@pytest.mark.parametrize("piped", [True, False])
def test_standard_input_is_read_from_a_pipe_and_from_a_file(stored, tmp_path, name, piped):
    data = altered.encoded(sound(1.0), RATE, "FLAC")

    def run():
        os.dup2(given, 0)
        print(len(read_audio(name)[0]))

    if piped:
        given, writer = os.pipe()
        assert os.write(writer, data) == len(data)  # a pipe holds that much
        os.close(writer)
    else:
        given = os.open(stored(data), os.O_RDONLY)
    done = completed(run, tmp_path)
    os.close(given)
    assert done.stdout == f"{RATE}\n", done.stderr


def test_an_endless_pipe_that_is_no_audio_and_an_empty_one_are_refused(tmp_path):
    reader, writer = os.pipe()
    os.close(writer)
    assert "empty pipe" in refusal(read_audio, f"/dev/fd/{reader}")
    os.close(reader)
    reader, writer = os.pipe()

    def fill():
        with contextlib.suppress(BrokenPipeError), open(writer, "wb") as file:
            while True:
                file.write(b"y\n" * 5000)

    thread = threading.Thread(target=fill)
    thread.start()
    told = refusal(read_audio, f"/dev/fd/{reader}")
    os.close(reader)
    thread.join()
    assert "not audio" in told


@pytest.mark.slow
def test_more_than_a_disk_may_hold_is_not_copied_from_a_pipe(monkeypatch):
    monkeypatch.setattr(opening, "MOST_SPOOLED", 100_000)
    reader, writer = os.pipe()
    data = altered.encoded(sound(5.0), RATE, "WAV")

    def fill():
        with contextlib.suppress(BrokenPipeError), open(writer, "wb") as file:
            file.write(data)

    thread = threading.Thread(target=fill)
    thread.start()
    told = refusal(read_audio, f"/dev/fd/{reader}")
    os.close(reader)
    thread.join()
    assert "write it to a file first" in told


@pytest.mark.slow
@pytest.mark.parametrize("name", ["/dev/null", "/dev/zero", "a\0b.wav", "a/" * 3000])
def test_what_is_no_recording_is_refused_in_one_line(name):
    assert refusal(read_audio, name)
    assert refusal(check_recording, name)


def test_names_that_are_not_utf_8_are_read(tmp_path):
    path = os.fsdecode(os.fsencode(tmp_path) + b"/\xe9t\xe9.wav")
    try:
        with open(path, "wb") as file:
            file.write(altered.encoded(sound(1.0), RATE, "WAV"))
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    assert len(read_audio(path)[0]) == RATE
    assert check_recording(path).seconds == 1.0


@pytest.mark.slow
@pytest.mark.parametrize("container", [*FORMATS, "VBR"])
def test_altered_bytes_are_read_or_refused_in_one_line(stored, container):
    random = np.random.default_rng(0)
    data = altered.encoded(sound(1.0), RATE, container)
    for number in range(40):
        made = bytearray(data)
        for place in random.integers(0, 200 if number % 2 else len(made), size=3):
            made[place] = random.integers(256)
        path = stored(bytes(made), f"{number}.bin")
        for read in (read_with_notes, check_recording):
            try:
                read(path)
            except RecordingError as error:
                assert "\n" not in str(error)  # noqa: PT017 - either is right
