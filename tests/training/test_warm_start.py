"""Beginning with the weights of a trained voice."""

from functools import partial

import pytest
import torch

from lightning_voiceclone.checkpoints.part_folder import save_part
from lightning_voiceclone.checkpoints.voice_folder import save_voice
from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.prosody import Energy, Pitch
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.features.stack import Stack
from lightning_voiceclone.networks.content_encoders.instance_norm import InstanceNormContentEncoder
from lightning_voiceclone.networks.discriminators.patch import PatchDiscriminator
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.networks.generators.mlp import MLPGenerator
from lightning_voiceclone.networks.generators.reference import ReferenceGenerator
from lightning_voiceclone.networks.speaker_encoders.statistics import StatisticsSpeakerEncoder
from lightning_voiceclone.training.recipes import VocoderModule, VoiceModule
from lightning_voiceclone.training.warm_start import _is_fresh
from lightning_voiceclone.vocoders.stacked import StackVocoder
from lightning_voiceclone.vocoders.vocos import Vocos


class OneLevel(Vocoder):
    capabilities = frozenset({"differentiable"})

    def __init__(self, spec):
        super().__init__()
        self.spec, self.level = spec, torch.nn.Parameter(torch.ones(1))

    def forward(self, features):
        return self.level.expand(len(features), features.shape[2] * self.spec.hop_length)


def module(seed, **changes):
    torch.manual_seed(seed)
    settings = {
        "feature_extractor": MelSpectrogram(n_mels=20),
        "generator": partial(ConvGenerator, width=8, layers=2),
        "discriminator": partial(PatchDiscriminator, width=4, layers=2),
        "content_encoder": partial(InstanceNormContentEncoder, channels=4, width=8, layers=1),
        "speaker_encoder": partial(StatisticsSpeakerEncoder, channels=8, width=8, layers=1),
        "pitch": Pitch(),
        "energy": Energy(),
        "weights": {"reconstruction": 5.0, "adversarial": 1.0},
    }
    return VoiceModule(**{**settings, **changes})


@pytest.fixture
def checkpoint(tmp_path):
    """Of a module whose averages differ from its weights, with the module."""
    trained = module(1)
    with torch.no_grad():
        for name, buffer in trained.average.named_buffers():
            if name != "updates":
                buffer.add_(0.25)
        trained.voice.normalizer.fit_once([torch.randn(1, 20, 50) + 3])
    stored = {"state_dict": trained.state_dict(), "pytorch-lightning_version": "2.0"}
    trained.on_save_checkpoint(stored)
    path = tmp_path / "trained.ckpt"
    torch.save(stored, path)
    return path, trained


def differences(left, right):
    theirs = right.state_dict()
    return max(float((value.float() - theirs[name].float()).abs().max()) for name, value in left.state_dict().items())


def test_begins_with_averaged_weights_and_the_discriminator(checkpoint):
    path, trained = checkpoint
    begun = module(2, start=str(path))
    with trained.averaged():
        for role in ("generator", "content_encoder", "speaker_encoder", "normalizer"):
            assert differences(getattr(begun.voice, role), getattr(trained.voice, role)) == 0, role
    assert differences(begun.discriminator, trained.discriminator) == 0
    with begun.averaged():  # its average begins there too
        now = begun.voice.generator.state_dict()
    with trained.averaged():
        assert all(torch.equal(value, now[name]) for name, value in trained.voice.generator.state_dict().items())


@pytest.mark.slow
def test_what_has_another_shape_begins_afresh(checkpoint):
    path, trained = checkpoint
    wider = {"speaker_encoder": partial(StatisticsSpeakerEncoder, channels=8, width=12, layers=1)}
    begun, fresh = module(2, start=str(path), **wider), module(2, **wider)
    ours, theirs, new = (m.voice.speaker_encoder.state_dict() for m in (begun, trained, fresh))
    other = [name for name in ours if ours[name].shape != theirs[name].shape]
    assert other
    assert all(torch.equal(ours[name], new[name]) for name in other)
    with trained.averaged():
        assert differences(begun.voice.generator, trained.voice.generator) == 0


@pytest.mark.slow
def test_a_generator_may_have_less_or_more_than_that_which_it_begins_with(checkpoint, tmp_path):
    path, trained = checkpoint
    longer = module(2, start=str(path), generator=partial(ConvGenerator, width=8, layers=3))
    looking = module(2, start=str(path), generator=partial(ReferenceGenerator, width=8, layers=2))
    with trained.averaged():
        theirs = trained.voice.generator.state_dict()
        for begun in (longer, looking):
            ours = begun.voice.generator.state_dict()
            assert all(torch.equal(ours[name], value) for name, value in theirs.items() if "blocks" in name)
    save_voice(looking.voice, tmp_path / "looking")
    plain = module(3, start=str(tmp_path / "looking"))
    ours, theirs = plain.voice.generator.state_dict(), looking.voice.generator.state_dict()
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())


def test_a_causal_model_begins_with_one_that_is_not_and_a_fresh_vocoder_with_its_vocoder(tmp_path):
    vocos = partial(Vocos, width=8, hidden=8, layers=1)
    trained = module(1, vocoder=vocos)
    save_voice(trained.voice, tmp_path / "voice")
    save_part(module(5, vocoder=vocos).voice.vocoder, trained.spec, tmp_path / "own")
    begun = module(2, start=str(tmp_path / "voice"), generator=partial(ConvGenerator, width=8, layers=2, causal=True),
                   vocoder=partial(vocos, causal=True))  # fmt: skip
    for role in ("generator", "vocoder"):
        assert differences(getattr(begun.voice, role), getattr(trained.voice, role)) == 0, role
    own = module(
        3, start=str(tmp_path / "voice"), vocoder=partial(vocos, pretrained=str(tmp_path / "own"), finetune=True)
    )
    assert differences(own.voice.vocoder, trained.voice.vocoder) > 0


def test_a_vocoder_begins_with_that_of_a_model(tmp_path):
    vocos = partial(Vocos, width=8, hidden=8, layers=1)
    trained = module(1, vocoder=vocos)
    save_voice(trained.voice, tmp_path / "voice")
    made = VocoderModule(
        MelSpectrogram(n_mels=20), partial(vocos, layers=2), start=str(tmp_path / "voice"), weights={"mel": 1.0}
    )
    assert differences(trained.voice.vocoder, made.vocoder) == 0
    with pytest.raises(ConfigurationError, match=r"no weight of the Vocos of .* fits this OneLevel"):
        VocoderModule(MelSpectrogram(n_mels=20), OneLevel, start=str(tmp_path / "voice"), weights={"mel": 1.0})
    save_part(made.vocoder, made.spec, tmp_path / "own")
    given = partial(vocos, layers=2, pretrained=str(tmp_path / "own"), finetune=True)
    with pytest.raises(ConfigurationError, match=r"would replace the weights that model\.vocoder\.pretrained gives"):
        VocoderModule(MelSpectrogram(n_mels=20), given, start=str(tmp_path / "voice"), weights={"mel": 1.0})
    with pytest.raises(SpecMismatchError, match="channels"):
        VocoderModule(MelSpectrogram(n_mels=24), vocos, start=str(tmp_path / "voice"), weights={"mel": 1.0})


@pytest.mark.parametrize("further", ["", ",finetune=true"])
def test_a_vocoder_whose_inner_one_was_given_weights_keeps_them(tmp_path, further):
    spec = Stack([MelSpectrogram(n_mels=20)]).spec
    save_part(Vocos(spec.parts[0], width=8, hidden=8, layers=1), spec.parts[0], tmp_path / "own")
    small = "Vocos:width=8,hidden=8,layers=1"
    assert _is_fresh(StackVocoder(spec, vocoder=small))
    assert not _is_fresh(StackVocoder(spec, vocoder=f"{small},pretrained={tmp_path / 'own'}{further}"))


@pytest.mark.slow
def test_begins_with_a_folder_without_a_discriminator(checkpoint, tmp_path):
    _, trained = checkpoint
    save_voice(trained.voice, tmp_path / "voice")
    begun, fresh = module(2, start=str(tmp_path / "voice")), module(2)
    assert differences(begun.voice.generator, trained.voice.generator) == 0
    assert differences(begun.discriminator, fresh.discriminator) == 0


@pytest.mark.slow
def test_another_generator_or_other_features_are_refused(checkpoint):
    path, _ = checkpoint
    with pytest.raises(
        ConfigurationError, match=r"no weight of the ConvGenerator of .* fits this MLPGenerator"
    ) as caught:
        module(2, start=str(path), generator=partial(MLPGenerator, hidden=16, layers=2))
    assert "\n" not in str(caught.value)
    with pytest.raises(SpecMismatchError, match=r"channels is 20.*but 24"):
        module(2, start=str(path), feature_extractor=MelSpectrogram(n_mels=24))
    with pytest.raises(ConfigurationError, match="no model at"):
        module(2, start=str(path.with_name("absent.ckpt")))
