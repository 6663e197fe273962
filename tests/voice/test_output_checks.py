"""A part that gives another shape than its contract is named where it is used, with the contract."""

from functools import partial

import pytest
import torch

from lightning_voiceclone.core.interfaces import Dims
from lightning_voiceclone.core.output_checks import check_output
from lightning_voiceclone.data.batch import Batch
from lightning_voiceclone.errors import ConfigurationError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.generators.mlp import MLPGenerator
from lightning_voiceclone.testing.signals import speech_like
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.training.recipes import VocoderModule, VoiceModule
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.vocoders.vocos import Vocos

SPEECH = [torch.from_numpy(speech_like(0.6, speaker=row, seed=row).audio) for row in range(2)]
FRAMES = torch.full((2,), 40)


class ShortGenerator(MLPGenerator):
    """A frame too few."""

    def forward(self, condition):
        return super().forward(condition)[..., 1:]


class LongVocoder(GriffinLim):
    """A sample too many."""

    def forward(self, features):
        audio = super().forward(features)
        return torch.cat([audio, audio[:, :1]], 1)


class LongVocos(Vocos):
    """A sample too many, and trained."""

    def forward(self, features):
        audio = super().forward(features)
        return torch.cat([audio, audio[:, :1]], 1)


class FewerChannels(InstanceNormContentEncoder):
    """A channel less than it states."""

    def forward(self, x, lengths=None):
        return super().forward(x, lengths)[:, 1:]


def batch(margin):
    audio = torch.stack([row.repeat(2)[: (40 + 2 * margin) * 160] for row in SPEECH])
    return Batch(audio, FRAMES, torch.stack(SPEECH)[:, : 40 * 160], FRAMES.clone(), ["a", "b"], margin)


def test_a_conversion_names_part_and_contract():
    voice = small_voice(generator=partial(ShortGenerator, hidden=8))
    prompt = voice.prompt([SPEECH[1]], 16000)
    with pytest.raises(ConfigurationError, match=r"ShortGenerator gave \(1, 20, 59\), but a generator gives \(B, F,"):
        voice.convert(SPEECH[0], prompt, 16000, seed=0)
    voice = small_voice(vocoder=partial(LongVocoder, iterations=1))
    with pytest.raises(ConfigurationError, match=r"LongVocoder gave \(1, 9601\), but a vocoder gives \(B, T \* hop\)"):
        voice.vocode(torch.zeros(1, 20, 60))
    encoder = FewerChannels(Dims(20), channels=4, width=8, layers=1)
    voice = small_voice(content_encoder=encoder)
    analysis = voice.analyze(SPEECH[0][None], torch.tensor([60]))
    with pytest.raises(
        ConfigurationError, match=r"FewerChannels gave \(1, 3, 30\), but a content encoder gives \(B, C"
    ):
        voice.content(analysis)


def test_a_training_names_part_and_contract():
    module = VoiceModule(MelSpectrogram(n_mels=20), partial(ShortGenerator, hidden=8), None, noise=2,
                         content_encoder=partial(InstanceNormContentEncoder, channels=4, width=8, layers=1),
                         weights={"reconstruction": 1.0})  # fmt: skip
    module.fit_statistics(SPEECH)
    with pytest.raises(ConfigurationError, match=r"ShortGenerator gave \(2, 20, 39\).*here 2, 20, 40; correct"):
        module.make_pair(batch(module.margin))
    vocoder = partial(LongVocos, width=8, hidden=8, layers=1, pretrained="none")
    module = VocoderModule(MelSpectrogram(n_mels=20), vocoder, None, weights={"mel": 1.0})
    with pytest.raises(ConfigurationError, match=r"LongVocos gave \(2, 6401\).*here 2, 6400; correct its forward"):
        module.make_pair(batch(module.margin))


def test_what_is_no_tensor_is_named_by_its_type():
    generator = MLPGenerator(Dims(4, noise=2), hidden=8)
    with pytest.raises(ConfigurationError, match=r"MLPGenerator gave list, but a generator gives \(B, F, T\)"):
        check_output(generator, [], "(B, F, T)", 1, 4)
    assert check_output(generator, torch.zeros(1, 4, 9), "(B, F, T)", 1, 4).shape[2] == 9
