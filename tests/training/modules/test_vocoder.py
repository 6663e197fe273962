"""Training of vocoders on synthetic speakers: resuming, drawn judges, likelihood, a voice's own features, joins."""

from dataclasses import replace
from functools import partial

import lightning.pytorch as pl
import pytest
import torch
from torch import nn

from lightning_voiceclone.audio.augmentation import RandomGain
from lightning_voiceclone.checkpoints.part_folder import save_part
from lightning_voiceclone.checkpoints.vocoder_choice import choose_vocoder, load_vocoder
from lightning_voiceclone.checkpoints.voice_folder import load_voice, save_voice
from lightning_voiceclone.core.interfaces import Vocoder
from lightning_voiceclone.core.part import Dims
from lightning_voiceclone.data.corpora import SpeakerFolders
from lightning_voiceclone.data.datamodule import VoiceDataModule
from lightning_voiceclone.errors import ConfigurationError, SpecMismatchError
from lightning_voiceclone.features.prosody import tracked
from lightning_voiceclone.features.spectral import MelSpectrogram
from lightning_voiceclone.networks.discriminators.patch import PatchDiscriminator
from lightning_voiceclone.networks.discriminators.spectra import WaveformDiscriminator
from lightning_voiceclone.networks.generators.conv import ConvGenerator
from lightning_voiceclone.testing.voices import small_voice
from lightning_voiceclone.training.checkpoint_io import WholeCheckpointIO
from lightning_voiceclone.training.recipes import VocoderModule
from lightning_voiceclone.training.step import StepSettings
from lightning_voiceclone.vocoders.griffin_lim import GriffinLim
from lightning_voiceclone.vocoders.vocos import Vocos
from lightning_voiceclone.voice.model import VoiceModel

MEL = partial(MelSpectrogram, n_mels=20)
TINY = partial(Vocos, width=8, hidden=8, layers=1)
JUDGES = partial(WaveformDiscriminator, periods=(2, 3), resolutions=((128, 32),), period_width=2, resolution_width=2,
                 draw=2)  # fmt: skip


class Coin(Vocoder):
    """Gives each sample the same normal distribution, whose mean and spread are trained by its likelihood."""

    capabilities = frozenset({"likelihood"})

    def __init__(self, spec):
        super().__init__()
        self.spec = spec
        self.mean = nn.Parameter(torch.tensor(1.0))
        self.spoken = 0

    def forward(self, features):
        self.spoken += 1
        return self.mean.detach().expand(len(features), features.shape[2] * self.spec.hop_length)

    def likelihood(self, features, audio):
        return 0.5 * (audio - self.mean).square().mean()


def module(**changes):
    torch.manual_seed(0)
    settings = {
        "feature_extractor": MEL(),
        "vocoder": TINY,
        "discriminator": JUDGES,
        "weights": {"mel": 5.0, "adversarial": 1.0, "feature_matching": 1.0},
        "generator_optimizer": partial(torch.optim.AdamW, lr=1e-3),
    }
    return VocoderModule(**{**settings, **changes})


def data(root, **changes):
    settings = {"segment_seconds": 0.2, "batch_size": 4, "validation": 2}
    return VoiceDataModule(SpeakerFolders, str(root), **{**settings, **changes})


def trainer(folder, **changes):
    settings = {
        "accelerator": "cpu", "default_root_dir": folder, "logger": False, "enable_progress_bar": False,
        "enable_model_summary": False, "use_distributed_sampler": False, "num_sanity_val_steps": 0,
        "plugins": [WholeCheckpointIO()], "max_steps": 6, "limit_val_batches": 2,
    }  # fmt: skip
    return pl.Trainer(**{**settings, **changes})


@pytest.mark.slow
def test_resuming_is_bit_exact_with_random_sub_discriminators(corpus_folder, tmp_path):
    whole, first, resumed = module(), module(), module()
    trainer(tmp_path, max_steps=9).fit(whole, data(corpus_folder))
    half = trainer(tmp_path, max_steps=5)
    half.fit(first, data(corpus_folder))
    half.save_checkpoint(tmp_path / "half.ckpt")
    trainer(tmp_path, max_steps=9).fit(resumed, data(corpus_folder), ckpt_path=tmp_path / "half.ckpt")
    for name, value in whole.state_dict().items():
        assert torch.equal(value, resumed.state_dict()[name]), name


def test_a_vocoder_that_takes_f0_gets_that_of_the_crops(corpus_folder, tmp_path):
    harmonic = module(vocoder=partial(TINY, harmonic=True))
    training, recordings = trainer(tmp_path, max_steps=2), data(corpus_folder)
    training.fit(harmonic, recordings)
    assert harmonic.vocoder.harmonics.head.weight.any()
    batch = next(iter(recordings.train_dataloader()))
    features, given, real = harmonic._features(batch)
    assert given["f0"].shape == (4, features.shape[2])
    assert torch.equal(real, batch.audio[:, batch.margin * 160 : -batch.margin * 160])
    voiced = given["f0"] > 0
    assert 0.3 < voiced.float().mean() < 1
    whole = tracked(batch.audio, harmonic.pitch)[:, batch.margin : -batch.margin]
    assert torch.equal(given["f0"], whole)
    assert module().make_pair(batch).fake.shape == harmonic.make_pair(batch).fake.shape


@pytest.mark.slow
def test_balanced_losses_share_the_gradient_at_the_waveform(corpus_folder, tmp_path):
    balanced = module(weights={"mel": 3.0, "adversarial": 1.0}, steps=StepSettings(balance=0.9))
    trainer(tmp_path, max_steps=1).fit(balanced, data(corpus_folder))
    shares = {name: float(share) for name, share in balanced.report.shares.items()}
    assert shares == pytest.approx({"mel": 0.75, "adversarial": 0.25}, abs=1e-4)
    alone = module(vocoder=Coin, discriminator=None, weights={"likelihood": 1.0}, steps=StepSettings(balance=0.9))
    with pytest.raises(ConfigurationError, match="has no output from which all losses come; set it to null"):
        trainer(tmp_path).fit(alone, data(corpus_folder))


@pytest.mark.slow
def test_a_checkpoint_converts_with_averaged_weights_and_as_a_folder(corpus_folder, tmp_path):
    trained = module(steps=StepSettings(average=0.9))
    run = trainer(tmp_path)
    run.fit(trained, data(corpus_folder))
    run.save_checkpoint(tmp_path / "vocoder.ckpt")
    loaded = load_vocoder(tmp_path / "vocoder.ckpt")
    features = torch.randn(1, 20, 9)
    with trained.averaged():
        expected = trained.vocoder.eval()(features)
    assert torch.equal(loaded(features), expected)
    save_part(loaded, loaded.spec, tmp_path / "folder")
    assert torch.equal(load_vocoder(tmp_path / "folder")(features), expected)


@pytest.mark.slow
def test_features_of_a_crop_are_a_slice_of_the_wholes(corpus_folder, tmp_path):
    trained, source = module(), data(corpus_folder)
    trainer(tmp_path, max_steps=1).fit(trained, source)
    batch = next(iter(source.val_dataloader()))
    features, _, audio = trained._features(batch)
    assert features.shape == (4, 20, 20)
    assert audio.shape == (4, 3200)
    recordings = source.datasets["validation"].recordings
    whole = trained.extractor(torch.from_numpy(recordings.read(0))[None])
    assert torch.allclose(features[1], whole[0, :, 20:40], atol=1e-5)


@pytest.mark.slow
def test_likelihood_alone_trains_without_generating_audio(corpus_folder, tmp_path):
    trained = module(vocoder=Coin, discriminator=None, weights={"likelihood": 1.0}, steps=StepSettings(average=None),
                     generator_optimizer=partial(torch.optim.SGD, lr=0.5))  # fmt: skip
    run = trainer(tmp_path, max_steps=12)
    run.fit(trained, data(corpus_folder))
    assert trained.vocoder.spoken == 0
    assert abs(trained.vocoder.mean.item()) < 0.01
    assert run.validate(trained, data(corpus_folder), verbose=False)[0]["validation/likelihood"] < 0.1


@pytest.mark.slow
def test_finetuning_on_what_a_voice_makes(corpus_folder, tmp_path):
    extractor = MEL()
    save_voice(small_voice(Dims(20, content=4, speaker=4), seed=1), tmp_path / "voice")
    save_part(TINY(extractor.spec), TINY(extractor.spec).spec, tmp_path / "vocoder")
    tuned = module(voice=str(tmp_path / "voice"),
                   vocoder=partial(TINY, pretrained=str(tmp_path / "vocoder"), finetune=True))  # fmt: skip
    source = data(corpus_folder, reference_seconds=0.5)
    run = trainer(tmp_path, max_steps=3)
    run.fit(tuned, source)
    batch = next(iter(source.val_dataloader()))
    made = load_voice(tmp_path / "voice")
    analysed = made.analyze(batch.audio, batch.lengths, margin=batch.margin)
    reference = made.analyze(batch.reference, batch.reference_lengths, prosody=False)
    condition = made.condition(made.script_from_analysis(analysed), made.prompt_from_analysis(reference))
    features, _, _ = tuned._features(batch)
    assert torch.allclose(features, made.normalizer.inverse(made.generator(condition)), atol=1e-5)
    batch.lengths[1] = 12
    features = tuned._features(batch)[0]
    assert torch.equal(features[1, :, 12:], tuned._extracted(batch.audio, batch)[1, :, 12:])
    assert not torch.equal(features[0, :, 12:], tuned._extracted(batch.audio, batch)[0, :, 12:])
    run.save_checkpoint(tmp_path / "tuned.ckpt")
    state = torch.load(tmp_path / "tuned.ckpt", weights_only=True)["state_dict"]
    assert not any("generator" in name for name in state)  # the voice itself is not in it
    load_vocoder(tmp_path / "tuned.ckpt")


def test_a_voice_of_other_features_is_refused(tmp_path):
    other = MelSpectrogram(n_mels=20, hop_length=200)
    voice = VoiceModel(other, ConvGenerator(Dims(20, noise=2), width=8, layers=1), GriffinLim(other.spec), noise=2)
    save_voice(voice, tmp_path / "voice")
    with pytest.raises(SpecMismatchError, match="hop_length is 160 in the feature extractor but 200 in the model"):
        module(voice=str(tmp_path / "voice"))


@pytest.mark.slow
def test_a_voice_and_augmentation_are_not_to_be_had_together(tmp_path):
    save_voice(small_voice(Dims(20, noise=2)), tmp_path / "voice")
    with pytest.raises(ConfigurationError, match=r"leave out model\.augmentation or model\.voice"):
        module(voice=str(tmp_path / "voice"), augmentation=[RandomGain()])


def test_choosing_a_vocoder_for_a_voice(tmp_path):
    spec = MEL().spec
    assert isinstance(choose_vocoder("GriffinLim", spec), GriffinLim)
    save_part(TINY(spec), TINY(spec).spec, tmp_path / "vocoder")
    assert choose_vocoder(str(tmp_path / "vocoder"), spec).spec == spec
    with pytest.raises(SpecMismatchError, match="hop_length is 200 in the voice but 160 in the vocoder"):
        choose_vocoder(str(tmp_path / "vocoder"), MelSpectrogram(n_mels=20, hop_length=200).spec)
    with pytest.raises(ConfigurationError, match="Vocos must be trained before it is used"):
        choose_vocoder("Vocos", spec)
    with pytest.raises(ConfigurationError, match="no vocoder is called 'Vokos'"):
        choose_vocoder("Vokos", spec)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"vocoder": GriffinLim, "discriminator": None}, "GriffinLim cannot be trained: it has no weights"),
        ({"discriminator": PatchDiscriminator}, "takes features, not waveforms"),
        ({"weights": {"likelihood": 1.0, "adversarial": 1.0}}, "Vocos computes no likelihood"),
        ({"vocoder": Coin, "discriminator": None, "weights": {"mel": 1.0}}, "Coin is not differentiable"),
        ({"vocoder": Coin, "weights": {"likelihood": 1.0, "adversarial": 1.0}}, "Coin is not differentiable"),
        ({"weights": {"mell": 1.0}}, "no loss is called 'mell'"),
    ],
)
def test_what_cannot_train(changes, words):
    with pytest.raises(ConfigurationError, match=words):
        module(**changes)


@pytest.mark.slow
def test_stored_features_do_not_go_with_changed_audio(corpus_folder, tmp_path):
    made, source = module(augmentation=[RandomGain()]), data(corpus_folder)
    trainer(tmp_path, max_steps=1).fit(made, source)
    batch = next(iter(source.train_dataloader()))
    with pytest.raises(ConfigurationError, match="cached_features gives features of the recordings as they are"):
        made.train()._features(replace(batch, features=torch.zeros(4, 20, 20)))


@pytest.mark.slow
def test_features_of_short_recordings_are_those_of_their_audio_whatever_pads_stored_ones(corpus_folder, tmp_path):
    made, source = module(), data(corpus_folder)
    trainer(tmp_path, max_steps=1).fit(made, source)
    batch = next(iter(source.train_dataloader()))
    stored = replace(batch, features=torch.zeros(4, 20, 20))
    assert not made._features(stored)[0].any()
    stored.lengths[1] = 12
    assert torch.equal(made._features(stored)[0], made._features(batch)[0])


@pytest.mark.slow
def test_an_untrained_vocoder_is_not_validated(corpus_folder, tmp_path):
    with pytest.raises(ConfigurationError, match="has not been trained yet"):
        trainer(tmp_path).validate(module(), data(corpus_folder), verbose=False)


def test_external_weights_cannot_be_trained(tmp_path):
    save_part(TINY(MEL().spec), MEL().spec, tmp_path / "vocoder")
    with pytest.raises(ConfigurationError, match="its pretrained weights are frozen; set finetune"):
        module(vocoder=partial(TINY, pretrained=str(tmp_path / "vocoder")))


@pytest.mark.slow
def test_a_checkpoint_of_another_vocoder_is_refused(corpus_folder, tmp_path):
    run = trainer(tmp_path, max_steps=1)
    run.fit(module(), data(corpus_folder))
    run.save_checkpoint(tmp_path / "one.ckpt")
    with pytest.raises(SpecMismatchError, match=r"vocoder is Vocos\(.*width=8.*\) in the checkpoint but Vocos\(.*=16"):
        trainer(tmp_path).fit(module(vocoder=partial(Vocos, width=16, hidden=8, layers=1)), data(corpus_folder),
                              ckpt_path=tmp_path / "one.ckpt")  # fmt: skip
