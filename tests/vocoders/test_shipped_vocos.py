"""The Vocos that ships: it loads, fits, is small, and speaks better than Griffin-Lim of what it has never heard."""

from functools import partial
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch

from lightning_voiceclone.audio.io import write_audio
from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.cli.main import main
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import SpecMismatchError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.losses.mel import MultiResolutionMelLoss
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.vocoders.vocos import Vocos

FOLDER = Path(str(resources.files("lightning_voiceclone"))) / "weights/vocos"


def test_it_is_small_and_has_a_card():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 6e6
    card = (FOLDER / "MODEL_CARD.md").read_text()
    for word in ("CC BY 4.0", "recipes/vocoder_vocos.yaml", "steps", "hours", "Limits"):
        assert word in card


@pytest.mark.slow
def test_it_comes_nearer_to_the_spectrum_than_griffin_lim():
    extractor, distance = MelSpectrogram(), MultiResolutionMelLoss(16000)
    audio = torch.stack([torch.from_numpy(speech_like(2.0, speaker=row, seed=row).audio) for row in range(4)])
    features = extractor(audio)
    with torch.inference_mode():
        neural = distance(Vocos(extractor.spec, pretrained="default").eval()(features), audio).mean()
        classic = distance(GriffinLim(extractor.spec)(features), audio).mean()
    assert neural < classic


@pytest.mark.slow
def test_it_keeps_the_pitch_and_the_level():
    extractor = MelSpectrogram()
    time = torch.arange(32000) / 16000
    audio = sum(torch.cos(2 * torch.pi * 150 * k * time) / k for k in range(1, 20))[None] * 0.1
    with torch.inference_mode():
        spoken = Vocos(extractor.spec, pretrained="default").eval()(extractor(audio))
    inner = spoken[0, 8000:24000].numpy()
    spectrum = np.abs(np.fft.rfft(inner * np.hanning(len(inner))))
    assert abs(int(spectrum[:300].argmax()) - 150) <= 1  # bins of 1 Hz
    assert 20 * np.log10(np.std(inner) / audio[0, 8000:24000].std().item()) == pytest.approx(0, abs=1.5)


def test_other_features_are_refused_with_the_field():
    with pytest.raises(SpecMismatchError, match=r"n_mels is 40 in the features but 80 in the pretrained Vocos"):
        Vocos(MelSpectrogram(n_mels=40).spec, pretrained="default")


@pytest.fixture
def voice_folder(tmp_path):
    voice = small_voice(Dims(80, content=8, speaker=8), vocoder=partial(Vocos, pretrained="default"))
    save_voice(voice, tmp_path / "voice")
    return tmp_path / "voice"


@pytest.mark.slow
def test_a_voice_refers_to_it_instead_of_holding_it(voice_folder):
    assert (voice_folder / "weights.safetensors").stat().st_size < 1e6
    description = (voice_folder / "voice.yaml").read_text()
    assert f"sha256: {load_voice(voice_folder).vocoder.weights_sha256}" in description


@pytest.mark.slow
def test_a_voice_made_with_other_weights_is_refused_and_may_choose_another(voice_folder, tmp_path, capsys):
    path = voice_folder / "voice.yaml"
    digest = load_voice(voice_folder).vocoder.weights_sha256
    path.write_text(path.read_text().replace(digest, "a" * 64))
    for name, speaker in (("a", 1), ("b", 2)):
        write_audio(tmp_path / f"{name}.wav", speech_like(1.2, speaker=speaker).audio, 16000)
    words = ["clone", "--checkpoint", str(voice_folder), "--source", str(tmp_path / "a.wav"), "--reference",
             str(tmp_path / "b.wav"), "--output", str(tmp_path / "c.wav")]  # fmt: skip
    assert main(words) == 2
    assert "weights of its vocoder of the hash aaaaaaaaaaaa" in capsys.readouterr().err
    for vocoder in ("default", "GriffinLim"):
        assert main([*words, "--vocoder", vocoder]) == 0
