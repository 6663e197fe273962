"""A voice trained further on one speaker."""

import copy

import pytest
import soundfile
import torch

from lightning_voiceclone.errors import ConfigurationError, RecordingError
from lightning_voiceclone.features.prosody import Energy, Pitch
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content import InstanceNormContentEncoder
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.networks.speaker import StatisticsSpeakerEncoder
from lightning_voiceclone.parts import Dims
from lightning_voiceclone.storage import load_voice, save_voice
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.training.adaptation import adapt, recordings_in
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.voice import Voice


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("speaker")
    for number in range(2):
        soundfile.write(made / f"{number}.wav", speech_like(4.0, speaker=3, seed=number).audio, 16000)
    return made


def voice():
    torch.manual_seed(0)
    extractor, dims = MelSpectrogram(n_mels=20), Dims(20)
    content = InstanceNormContentEncoder(dims, channels=4, width=8, layers=1)
    speaker = StatisticsSpeakerEncoder(dims, channels=8, width=8, layers=1)
    generator = ReferenceGenerator(Dims(20, 4, 8, 0, True, True), width=16, layers=2, heads=2, head_width=8)
    made = Voice(extractor, generator, GriffinLim(extractor.spec, iterations=2), content_encoder=content,
                 speaker_encoder=speaker, pitch=Pitch(), energy=Energy())  # fmt: skip
    made.normalizer.fit([extractor(torch.from_numpy(speech_like(2.0).audio)[None])])
    return made.eval()


def test_only_the_generator_learns_and_the_voice_needs_no_reference_then(folder, tmp_path):
    before = voice()
    after = adapt(copy.deepcopy(before), recordings_in(folder), steps=3, progress=False)
    old, new = before.state_dict(), after.state_dict()
    moved = {name.split(".")[0] for name in old if not torch.equal(old[name], new[name])}
    assert moved == {"generator"}
    save_voice(after, tmp_path / "adapted")
    source = torch.from_numpy(speech_like(1.0, speaker=1).audio)
    said = after.clone(source, [], 16000)
    assert torch.equal(load_voice(tmp_path / "adapted").clone(source, [], 16000), said)
    assert len(said) == 16000
    with pytest.raises(ConfigurationError, match="there is no reference, and this voice is not adapted"):
        before.clone(source, [], 16000)


def test_the_same_seed_gives_the_same_voice(folder):
    one, two = (adapt(voice(), recordings_in(folder), steps=2, progress=False).state_dict() for _ in range(2))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


def test_too_little_is_refused(tmp_path):
    soundfile.write(tmp_path / "short.wav", speech_like(2.0).audio, 16000)
    with pytest.raises(RecordingError, match=r"last 2\.0 s together; adaptation needs 5 s"):
        adapt(voice(), recordings_in(tmp_path), steps=1, progress=False)


def test_a_folder_without_recordings_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no recordings"):
        recordings_in(tmp_path)
