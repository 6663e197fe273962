"""Modules of training take models that are made already; recipes make them."""

from functools import partial

import pytest
import torch
from torch import nn

from lightning_voiceclone.core.interfaces import Dims
from lightning_voiceclone.errors import SpecMismatchError
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.discriminators.patch import PatchDiscriminator
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.training.frozen import Frozen
from lightning_voiceclone.training.modules.vocoder import VocoderTraining
from lightning_voiceclone.training.modules.voice import VoiceTraining
from lightning_voiceclone.training.recipes import VoiceModule, build_model
from lightning_voiceclone.vocoders.vocos import Vocos

CONTENT = partial(InstanceNormContentEncoder, channels=4, width=8, layers=1)
GENERATOR = partial(ConvGenerator, width=8, layers=1)


def test_later_parts_are_made_at_the_widths_of_earlier_ones():
    model, dims = build_model(MelSpectrogram(n_mels=20), GENERATOR, content_encoder=CONTENT, noise=3)
    assert dims == Dims(20, content=4, noise=3, frame_rate=100.0)
    assert model.content_encoder.channels == 4
    assert model.vocoder.spec == model.spec
    assert model.noise == 3


def test_a_module_takes_the_model_itself():
    voice = small_voice()
    module = VoiceTraining(voice)
    assert module.voice is voice is module.generator_side
    trained = {id(p) for group in module.configure_optimizers()[0][0].param_groups for p in group["params"]}
    assert trained == {id(p) for p in voice.parameters() if p.requires_grad}


def test_a_recipe_makes_what_a_module_takes():
    def made():
        torch.manual_seed(0)
        return VoiceModule(MelSpectrogram(n_mels=20), GENERATOR, partial(PatchDiscriminator, width=4, layers=1),
                           CONTENT, weights={"adversarial": 1.0}, swap=0.0)  # fmt: skip

    torch.manual_seed(0)
    model, dims = build_model(MelSpectrogram(n_mels=20), GENERATOR, content_encoder=CONTENT)
    taken = VoiceTraining(model, PatchDiscriminator(dims, width=4, layers=1), weights={"adversarial": 1.0})
    ours, theirs = made().state_dict(), taken.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[name], theirs[name]) for name in ours)


def test_what_is_held_is_no_submodule_of_its_holder():
    holder, inner = nn.Linear(1, 1), nn.Sequential(nn.Linear(2, 2), nn.Dropout())
    holder.frozen = Frozen(inner)
    assert not inner.training
    assert set(holder.state_dict()) == {"weight", "bias"}
    holder.train()
    holder.requires_grad_(True)
    assert not inner[1].training
    assert not inner[0].weight.requires_grad
    assert holder.frozen.on(torch.device("meta"))[0].weight.is_meta


def test_a_voice_that_makes_features_for_a_vocoder_is_not_in_its_checkpoints():
    voice = small_voice()
    vocoder = Vocos(voice.spec, width=8, hidden=8, layers=1)
    module = VocoderTraining(voice.feature_extractor, vocoder, voice=voice)
    assert {name.split(".")[0] for name in module.state_dict()} <= {"average", "vocoder", "extractor", "mel"}
    other = MelSpectrogram(n_mels=20, hop_length=200)
    vocoder = Vocos(other.spec, width=8, hidden=8, layers=1)
    with pytest.raises(SpecMismatchError, match=r"hop_length is 200 in the feature extractor but 160 in the model of"):
        VocoderTraining(other, vocoder, voice=voice)
