import shutil

import pytest
import torch

from lightning_voiceclone.checkpoints.part_folder import save_part
from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.core.part import Dims, describe
from lightning_voiceclone.errors import ConfigurationError, PluginError, SpecMismatchError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.features.stack import Stack
from lightning_voiceclone.features.utterance import Utterance
from lightning_voiceclone.inference.converter import Converter, load_model
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder
from lightning_voiceclone.testing import VocoderConformance
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.vocoders.stacked import StackVocoder
from lightning_voiceclone.vocoders.vocos import Vocos
from lightning_voiceclone.voice.model import VoiceModel

RATE = 16000
SMALL = "Vocos:width=8,hidden=8,layers=1"


def stack():
    return Stack([MelSpectrogram(n_fft=256, n_mels=20), MelSpectrogram(), Utterance(n_mels=10)])


class TestStackVocoder(VocoderConformance):
    part = StackVocoder
    arguments = {"vocoder": SMALL, "part": 1}

    def extractor(self):
        return stack()


def test_it_is_the_inner_vocoder_on_its_part():
    features = stack()(torch.from_numpy(speech_like(0.5).audio)[None])
    vocoder = StackVocoder(stack().spec, part=1).eval()
    inner = Vocos(MelSpectrogram().spec, pretrained="default").eval()
    torch.testing.assert_close(vocoder(features), inner(features[:, 20:100]))
    assert vocoder.context == inner.context
    assert vocoder.weights_sha256 == inner.weights_sha256
    assert "exportable" in vocoder.capabilities
    assert not any(name.startswith("inner") for name in vocoder.state_dict())  # checkpoints refer to them by hash


@pytest.mark.parametrize("further", ["", ",finetune=true"])
def test_a_model_holds_weights_of_a_path_and_not_the_path(tmp_path, further):
    extractor = stack()
    save_part(Vocos(MelSpectrogram().spec, width=8, hidden=8, layers=1), MelSpectrogram().spec, tmp_path / "inner")
    given = f"{SMALL},pretrained={tmp_path / 'inner'}{further}"
    vocoder = StackVocoder(extractor.spec, vocoder=given, part=1).eval()
    assert vocoder.weights_sha256 is None
    assert describe(vocoder)["arguments"]["vocoder"] == SMALL + further
    voice = VoiceModel(extractor, ConvGenerator(Dims(extractor.spec.channels, noise=2), width=8, layers=1), vocoder,
                       noise=2)  # fmt: skip
    save_voice(voice, tmp_path / "voice")
    shutil.rmtree(tmp_path / "inner")
    features = extractor(torch.from_numpy(speech_like(0.2).audio)[None])
    assert torch.equal(load_voice(tmp_path / "voice").vocoder(features), vocoder(features))
    assert str(tmp_path) not in (tmp_path / "voice" / "voice.yaml").read_text()


@pytest.mark.parametrize(("settings", "error", "words"), [
    ({"part": 3}, ConfigurationError, "part is 3, but the features have 3 parts; give 0 to 2"),
    ({"part": 0}, SpecMismatchError, "n_fft is 256"),
    ({"vocoder": "Vocus"}, PluginError, "Vocos"),
    ({"vocoder": "Vocos:widht=8"}, ConfigurationError, "did you mean width"),
], ids=str)  # fmt: skip
def test_what_does_not_fit_is_refused(settings, error, words):
    with pytest.raises(error, match=words):
        StackVocoder(stack().spec, **settings)


def test_features_that_are_no_stack_are_refused():
    with pytest.raises(SpecMismatchError, match=r"kind 'mel'; use the vocoder itself \(Vocos\)"):
        StackVocoder(MelSpectrogram().spec)


@pytest.mark.slow
def test_a_model_of_several_time_scales_clones_and_is_stored(tmp_path):
    extractor = stack()
    count = extractor.spec.channels
    torch.manual_seed(0)
    voice = VoiceModel(
        extractor, ConvGenerator(Dims(count, content=4, speaker=8), width=8, layers=1),
        StackVocoder(extractor.spec, vocoder=SMALL, part=1),
        content_encoder=InstanceNormContentEncoder(Dims(count), channels=4, width=8, layers=1),
        speaker_encoder=StatisticsSpeakerEncoder(Dims(count), channels=8, width=8, layers=1),
    ).eval()  # fmt: skip
    voice.normalizer.fit([extractor(torch.from_numpy(speech_like(2.0, speaker=number).audio)[None])
                          for number in range(2)])  # fmt: skip
    model = Converter(voice, note=lambda line: None)
    reference = (speech_like(1.5, speaker=1).audio, RATE)
    source = (speech_like(1.0).audio, RATE)
    made = model.convert(source, model.speaker(reference)).samples
    assert made.shape == (RATE,)
    assert made.abs().max() > 0.01
    save_voice(voice, tmp_path / "voice")
    again = load_model(tmp_path / "voice", note=lambda line: None)
    torch.testing.assert_close(again.convert(source, again.speaker(reference)).samples, made)
