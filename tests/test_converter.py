"""The one way from recordings to converted speech, from Python."""

import subprocess
import sys

import numpy as np
import pytest
import soundfile
import soxr
import torch
from safetensors.torch import save_file

import lightning_voiceclone as lvc
from lightning_voiceclone.audio.noise import speech_power
from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.inference import converter as inference
from lightning_voiceclone.inference.converter import Converter, Speaker
from lightning_voiceclone.inference.level import with_speech_power
from lightning_voiceclone.inference.screening import screen_references, screen_source
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice

WIDTHS = Dims(20, content=4, speaker=8, noise=2, pitch=True, energy=True)


@pytest.fixture(scope="module")
def recordings(tmp_path_factory):
    folder = tmp_path_factory.mktemp("recordings")
    for name, speaker, rate in (("a", 1, 16000), ("b", 2, 44100), ("c", 2, 16000)):
        soundfile.write(folder / f"{name}.wav", speech_like(1.5, speaker=speaker, sample_rate=rate).audio, rate)
    soundfile.write(folder / "quiet.wav", 0.005 * speech_like(1.5).audio, 16000, "FLOAT")
    return folder


def converter(**settings):
    return Converter(small_voice(WIDTHS, spread=0.3), **settings)


@pytest.mark.slow
def test_three_lines_from_a_folder_to_a_file(recordings, tmp_path):
    save_voice(small_voice(WIDTHS, spread=0.3), tmp_path / "model")
    model = lvc.load_model(tmp_path / "model")
    speaker = model.speaker(recordings / "b.wav", recordings / "c.wav")
    lvc.write(tmp_path / "out.wav", model.convert(recordings / "a.wav", speaker))
    audio, rate = soundfile.read(tmp_path / "out.wav")
    assert rate == 16000
    assert len(audio) == 24000
    assert np.abs(audio).max() > 1e-3


@pytest.mark.slow
def test_it_is_what_its_steps_are(recordings):
    model = converter()
    voice = model.voice
    source, reference = (lvc.read(recordings / name, 16000).samples for name in ("a.wav", "b.wav"))
    screened, _ = screen_references([("b", reference)], voice.spec)
    expected = voice.convert(screen_source(source, voice.spec).audio, voice.prompt(screened, 16000), 16000, seed=3)
    given = model.convert(recordings / "a.wav", model.speaker(recordings / "b.wav"), seed=3)
    expected = with_speech_power(expected, 16000, speech_power(source.numpy(), 16000))
    assert torch.equal(given.samples, expected)


@pytest.mark.slow
def test_paths_arrays_and_tensors_with_a_rate_are_taken_alike(recordings):
    model = converter()
    audio, rate = soundfile.read(recordings / "b.wav", dtype="float32")
    stereo = np.stack([audio, audio])
    forms = [recordings / "b.wav", str(recordings / "b.wav"), (audio, rate), (audio.astype(np.float64), rate),
             (torch.from_numpy(audio), rate), lvc.Audio(torch.from_numpy(stereo), rate)]  # fmt: skip
    converted = [model.convert(form, model.speaker(form)).samples for form in forms]
    assert all(torch.equal(converted[0], other) for other in converted[1:])
    assert torch.equal(lvc.read((audio, rate), 16000).samples, torch.from_numpy(soxr.resample(audio, rate, 16000)))


@pytest.mark.slow
def test_a_speaker_is_analysed_once_for_many_sources(recordings, monkeypatch):
    model = converter()
    analysed = []
    analyze = model.voice.analyze
    monkeypatch.setattr(model.voice, "analyze", lambda *args, **kw: analysed.append(1) or analyze(*args, **kw))
    speaker = model.speaker(recordings / "b.wav")
    for _ in range(10):
        model.convert(recordings / "a.wav", speaker)
    assert len(analysed) == 11


@pytest.mark.slow
def test_a_saved_speaker_is_the_same_speaker(recordings, tmp_path):
    model = converter()
    speaker = model.speaker(recordings / "b.wav")
    speaker.save(tmp_path / "b.voice")
    loaded = model.speaker(tmp_path / "b.voice")
    assert loaded.prompt.tensors().keys() == speaker.prompt.tensors().keys()
    one, two = (model.convert(recordings / "a.wav", who, seed=1).samples for who in (speaker, loaded))
    assert torch.equal(one, two)


@pytest.mark.slow
def test_a_speaker_of_other_encoders_is_refused(recordings, tmp_path):
    speaker = converter().speaker(recordings / "b.wav")
    speaker.save(tmp_path / "b.voice")
    other = Converter(small_voice(WIDTHS, seed=1))
    with pytest.raises(ConfigurationError, match="made by another model"):
        other.convert(recordings / "a.wav", speaker)
    with pytest.raises(ConfigurationError, match="other encoders than this model's"):
        other.speaker(tmp_path / "b.voice")


@pytest.mark.slow
def test_another_generator_takes_the_same_speaker(recordings):
    model, finer = converter(), converter()
    with torch.no_grad():
        for parameter in finer.voice.generator.parameters():
            parameter.mul_(1.5)
    speaker = model.speaker(recordings / "b.wav")
    assert not torch.equal(*(one.convert(recordings / "a.wav", speaker).samples for one in (model, finer)))


@pytest.mark.slow
def test_what_is_no_speaker_file_is_refused(recordings, tmp_path):
    model, path = converter(), tmp_path / "b.voice"
    with pytest.raises(ConfigurationError, match="no such file"):
        model.speaker(path)
    for data in (b"", b"x" * 100, b"\xff" * 8):
        path.write_bytes(data)
        with pytest.raises(ConfigurationError, match="is no speaker, or is damaged"):
            model.speaker(path)
    good = tmp_path / "good.voice"
    model.speaker(recordings / "b.wav").save(good)
    for cut in (10, 100, len(good.read_bytes()) - 1):
        path.write_bytes(good.read_bytes()[:cut])
        with pytest.raises(ConfigurationError, match="is no speaker, or is damaged"):
            model.speaker(path)
    for metadata in ("null", "{}", '{"format": 1}', "[" * 100_000):
        save_file({"lengths": torch.tensor([3])}, path, {"speaker": metadata})
        with pytest.raises(ConfigurationError, match="is no speaker, or is damaged"):
            model.speaker(path)
    save_file({"other": torch.tensor([3])}, path, {"speaker": '{"format": 1, "model_sha256": ""}'})
    with pytest.raises(ConfigurationError, match="is no speaker, or is damaged"):
        model.speaker(path)
    with pytest.raises(ConfigurationError, match=r"a speaker is saved as \.voice; name it b\.voice"):
        Speaker.load(good).save(tmp_path / "b.pt")
    with pytest.raises(ConfigurationError, match="give it alone, or recordings alone"):
        model.speaker(good, recordings / "b.wav")


@pytest.mark.parametrize(
    ("recording", "error", "words"),
    [
        (3, ConfigurationError, "a recording is a path, or samples with their rate"),
        ((np.zeros(3),), ConfigurationError, "a recording is a path"),
        ((np.zeros(3, np.float32), 0), ConfigurationError, r"not \(ndarray, 0\)"),
        (([0.0], 16000), ConfigurationError, r"not \(list, 16000\)"),
        ((np.zeros(16000, np.int16), 16000), RecordingError, "samples are int16; give floating-point numbers"),
        ((np.zeros((2, 2, 2), np.float32), 16000), RecordingError, r"the shape \(2, 2, 2\)"),
        ((np.zeros(0, np.float32), 16000), RecordingError, r"the shape \(0,\)"),
        ("missing.wav", RecordingError, "there is no such file"),
    ],
)
def test_what_is_no_recording_is_refused(recording, error, words):
    with pytest.raises(error, match=words):
        converter().speaker(recording)


@pytest.mark.slow
def test_no_reference_and_no_speaker_are_refused(recordings):
    with pytest.raises(ConfigurationError, match="there is no reference"):
        converter().speaker()
    with pytest.raises(ConfigurationError, match="no reference given"):
        converter().convert(recordings / "a.wav")
    with pytest.raises(ConfigurationError, match="denoise is 'of'"):
        converter(denoise="of")


@pytest.mark.slow
def test_notes_are_given_where_something_was_done(recordings, caplog):
    notes = []
    model = converter(note=notes.append)
    speaker = model.speaker(recordings / "quiet.wav")
    assert "very quiet" in notes[0]
    converter().convert(recordings / "quiet.wav", speaker)
    assert "very quiet" in caplog.text


def test_the_package_imports_nothing_heavy():
    code = "import lightning_voiceclone as lvc, sys; print(sorted(lvc.__all__) == dir(lvc), 'torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["True", "False"]
    with pytest.raises(AttributeError, match="has no attribute 'missing'"):
        lvc.missing  # noqa: B018
    assert all(getattr(lvc, name) is not None for name in lvc.__all__)


@pytest.mark.slow
@pytest.mark.parametrize(("source_db", "reference_db"), [(0, -20), (0, -45), (-20, 0), (-45, 0)])
def test_a_clone_is_as_loud_as_its_source(recordings, source_db, reference_db):
    model = converter()
    source, reference = (lvc.read(recordings / name, 16000).samples for name in ("a.wav", "b.wav"))
    speaker = model.speaker((reference * 10 ** (reference_db / 20), 16000))
    made = model.convert((source * 10 ** (source_db / 20), 16000), speaker).samples
    wanted = speech_power(source.numpy(), 16000) * 10 ** (source_db / 10)
    assert speech_power(made.numpy(), 16000) == pytest.approx(wanted, rel=0.01)
    assert float(made.abs().max()) < 0.99


@pytest.mark.slow
def test_the_model_is_hashed_once(recordings, monkeypatch):
    counted = []
    monkeypatch.setattr(inference, "weights_sha256", lambda weights: counted.append(weights) or "0" * 64)
    model = converter()
    speaker = model.speaker(recordings / "b.wav")
    for _ in range(2):
        model.convert(recordings / "a.wav", speaker)
    assert len(counted) == 1
