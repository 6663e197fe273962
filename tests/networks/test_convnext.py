"""Encoders of ConvNeXt blocks."""

import shutil
from functools import partial

import pytest
import torch

from lightning_voiceclone.checkpoints.part_folder import load_part, save_part
from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.core.interfaces import ContentEncoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.errors import SpecMismatchError
from lightning_voiceclone.features.prosody import Pitch
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.conv import ConvContentEncoder
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.layers.convnext import ConvNeXtBlock
from lightning_voiceclone.networks.speaker_encoders.conv import ConvSpeakerEncoder
from lightning_voiceclone.testing.conformance import ContentEncoderConformance, SpeakerEncoderConformance
from lightning_voiceclone.training.recipes import VoiceModule
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.voice.model import VoiceModel

SMALL = {"channels": 6, "width": 12, "hidden": 16, "layers": 2}


class TestConvContentEncoder(ContentEncoderConformance):
    part = ConvContentEncoder
    arguments = SMALL


class TestConvSpeakerEncoder(SpeakerEncoderConformance):
    part = ConvSpeakerEncoder
    arguments = SMALL


def test_a_block_is_torchs_depthwise_convolution_and_mlp():
    torch.manual_seed(0)
    block, x = ConvNeXtBlock(6, 8, 5, 0.3), torch.randn(2, 9, 6)
    seen = torch.nn.functional.conv1d(x.transpose(1, 2), block.taps.T[:, None], padding=2, groups=6).transpose(1, 2)
    expected = x + 0.3 * block.mix(torch.nn.functional.gelu(block.expand(block.norm(seen))))
    assert torch.allclose(block(x), expected, atol=1e-6)


@pytest.mark.slow
def test_pretrained_encoders_get_the_extractors_own_units_in_any_model(tmp_path):
    extractor = MelSpectrogram(n_mels=20)
    torch.manual_seed(0)
    dims = Dims(20, frame_rate=100.0)
    encoder = ConvContentEncoder(dims, **SMALL)
    encoder.fit_statistics([torch.randn(1, 20, 50) - 4])
    save_part(encoder, extractor.spec, tmp_path / "content")
    taken = ConvContentEncoder(dims, **SMALL, pretrained=str(tmp_path / "content")).eval()
    speaker = ConvSpeakerEncoder(dims, **SMALL)
    voice = VoiceModel(extractor, ConvGenerator(Dims(20, content=6, speaker=6), width=8, layers=1),
                  GriffinLim(extractor.spec), content_encoder=taken, speaker_encoder=speaker).eval()  # fmt: skip
    voice.normalizer.fit([3 * torch.randn(1, 20, 50) - 2])
    analysis = voice.analyze(0.1 * torch.randn(1, 16000))
    features = voice.normalizer.inverse(analysis.features)
    script = voice.script_from_analysis(analysis, speaker=True)
    assert torch.allclose(script.content[..., ::2], taken(features), atol=0.5)
    assert torch.allclose(script.speaker, speaker(features), atol=1e-5)
    assert not any(name.startswith("content_encoder") for name in voice.state_dict())  # referred to
    save_voice(voice, tmp_path / "voice")
    shutil.rmtree(tmp_path / "content")  # a folder holds what it needs
    assert torch.equal(load_voice(tmp_path / "voice").script_from_analysis(analysis).content, script.content)


def test_a_distilled_encoder_goes_into_a_model_with_pitch_and_noise(tmp_path):
    extractor = MelSpectrogram(n_mels=20)
    encoder = ConvContentEncoder(Dims(20, frame_rate=100.0), **SMALL)
    encoder.fit_statistics([torch.randn(1, 20, 50)])
    save_part(encoder, extractor.spec, tmp_path / "content")
    module = VoiceModule(
        extractor, partial(ConvGenerator, width=8, layers=1), pitch=Pitch(), noise=2,
        content_encoder=partial(ConvContentEncoder, **SMALL, pretrained=str(tmp_path / "content")),
    )  # fmt: skip
    assert torch.equal(module.voice.content_encoder.leave.weight, encoder.leave.weight)
    assert module.voice.content_encoder.weights_sha256


def test_fresh_encoders_in_a_model_are_fitted_with_it():
    module = VoiceModule(
        MelSpectrogram(n_mels=20), partial(ConvGenerator, width=8, layers=1),
        content_encoder=partial(ConvContentEncoder, **SMALL), speaker_encoder=partial(ConvSpeakerEncoder, **SMALL),
    )  # fmt: skip
    assert not module.fitted
    module.fit_statistics(iter([0.1 * torch.randn(16000)]))
    assert module.fitted
    assert module.voice.content_encoder.chain.normalizer.mean.mean() < -1


class Recorder(ContentEncoder):
    """Remembers the lengths that it was given."""

    takes = "audio"
    channels = 1
    frame_rate = 50.0
    sample_rate = 16000

    def __init__(self, dims):
        super().__init__()

    def forward(self, x, lengths=None):
        self.lengths = lengths
        return torch.zeros(len(x), 1, x.shape[1] // 320)


def test_encoders_of_audio_are_given_samples_and_their_own_rate():
    def voice_of(extractor):
        encoder = Recorder(Dims(20))
        return VoiceModel(extractor, ConvGenerator(Dims(20, content=1), width=8, layers=1), GriffinLim(extractor.spec),
                     content_encoder=encoder)  # fmt: skip

    voice = voice_of(MelSpectrogram(n_mels=20))
    voice.script_from_analysis(voice.analyze(0.1 * torch.randn(2, 16000), torch.tensor([100, 60])))
    assert voice.content_encoder.lengths.tolist() == [16000, 9600]
    with pytest.raises(SpecMismatchError, match="sample_rate is 24000 in the feature extractor but 16000 in Recorder"):
        voice_of(MelSpectrogram(n_mels=20, sample_rate=24000, hop_length=240))


def test_an_encoder_taught_on_other_features_is_refused(tmp_path):
    dims = Dims(20, frame_rate=100.0)
    save_part(ConvContentEncoder(dims, **SMALL), MelSpectrogram(n_mels=20).spec, tmp_path / "content")
    other = MelSpectrogram(n_mels=20, fmax=7000)
    with pytest.raises(
        SpecMismatchError, match=r"fmax is 7000\.0 in the feature extractor but 8000\.0 in the pretrained"
    ):
        VoiceModel(other, ConvGenerator(Dims(20, content=6), width=8, layers=1), GriffinLim(other.spec),
              content_encoder=ConvContentEncoder(dims, **SMALL, pretrained=str(tmp_path / "content")))  # fmt: skip


def test_a_part_of_another_kind_is_refused(tmp_path):
    save_part(ConvContentEncoder(Dims(20), **SMALL), MelSpectrogram(n_mels=20).spec, tmp_path / "content")
    assert isinstance(load_part(tmp_path / "content", "content_encoders"), ConvContentEncoder)
    with pytest.raises(Exception, match="holds ConvContentEncoder, of content_encoders, not of vocoders"):
        load_part(tmp_path / "content", "vocoders")


@torch.no_grad()
def test_a_causal_block_is_exported_as_the_same(monkeypatch):
    block, x = ConvNeXtBlock(6, 8, 7, 0.5, causal=True).double(), torch.randn(2, 9, 6, dtype=torch.float64)
    expected = block(x)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close(block(x), expected, rtol=0, atol=1e-12)
